"""The hub's own look at the store: the newest round that it published, whoever holds its folder now.

A hub whose folder was restored from a backup may be behind what it published later, and one that was made anew from its
keys knows nothing: both can read it here. Expired metadata counts as well, since nothing is taken that the hub did not
sign itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa.sync.stores.store import MissingObjectError
from edge_nusa.sync.trust import sealed_rounds, trusted
from edge_nusa.sync.trust.repository import Repository, versions
from edge_nusa.sync.trust.sealed_rounds import Announced
from edge_nusa.sync.trust.trusted import Bounds, Published

if TYPE_CHECKING:
    from tuf.api.metadata import Root

MOST_CANDIDATES = 64
"""How many timestamps are looked at, newest first, before nothing is said to be there: who plants one more costs a
request."""


def newest_own(repository: Repository, parts: Path, bounds: Bounds) -> Published | None:
    """The newest round in the store that the newest root of this hub vouches for, opened with the hub's keys; None
    where there is none, as before the first publication after a rotation.

    parts: a folder for what came of it so far. Raises StoreError, TrustError for a round that is not what was signed or
    is not for these keys, ResourceError.
    """
    root = repository.root().signed
    for _, key in versions(repository.store, "timestamp")[: -MOST_CANDIDATES - 1 : -1]:
        found = _announced(repository, root, key)
        if found is None:
            continue
        if found.sha256 in bounds.known:
            return Published(found.number, found.sha256, None)
        return trusted.opened_round(repository.store, found, repository.sealing_keys(), parts, bounds)
    return None


def _announced(repository: Repository, root: Root, timestamp_key: str) -> Announced | None:
    """What a timestamp leads to, None where it is not this hub's."""
    from tuf.api.exceptions import RepositoryError

    try:
        timestamp = _signed(repository, root, "timestamp", timestamp_key)
        version = timestamp.snapshot_meta.version
        snapshot = _signed(repository, root, "snapshot", f"metadata/{version}.snapshot.json", version)
        version = snapshot.meta["targets.json"].version
        targets = _signed(repository, root, "targets", f"metadata/{version}.targets.json", version)
        return sealed_rounds.announced_by(targets.targets.get(sealed_rounds.TARGET))
    except (RepositoryError, MissingObjectError, KeyError, ValueError):
        return None


def _signed(repository: Repository, root: Root, role: str, key: str, version: int | None = None) -> Any:
    """Metadata that the role's key signed, of this version where one is given. Raises RepositoryError, ValueError."""
    from tuf.api.metadata import Metadata

    if (repository.store.head(key) or 0) > trusted.LARGEST_METADATA_BYTES:
        raise ValueError(f"{key}: larger than any metadata")
    found: Metadata[Any] = Metadata.from_bytes(repository.store.get(key, trusted.LARGEST_METADATA_BYTES))
    root.verify_delegate(role, found.signed_bytes, found.signatures)
    if found.signed.type != role or version not in (None, found.signed.version):
        raise ValueError(f"{key}: {found.signed.type} {found.signed.version}")
    return found.signed
