"""The hub's own look at the store: the newest targets that it signed, whoever holds its folder now.

A hub whose folder was restored from a backup may be behind what it published later, and one that was made anew from its
keys knows nothing: both can read it here. Expired metadata counts as well, since nothing is taken that the hub did not
sign itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edge_nusa.sync.stores.store import MissingObjectError, Store
from edge_nusa.sync.trust.metadata import LARGEST_METADATA_BYTES, versions

if TYPE_CHECKING:
    from tuf.api.metadata import Root, Targets

MOST_CANDIDATES = 64
"""How many timestamps are looked at, newest first, before nothing is said to be there: who plants one more costs a
request."""


@dataclass(frozen=True)
class Newest:
    """The newest targets, the keys of the timestamp, the snapshot and the targets that lead to them, and until when
    all of these are believed."""

    keys: tuple[str, ...]
    targets: Targets
    expires: datetime


def newest(store: Store, root: Root) -> Newest | None:
    """The newest targets in the store that this root vouches for; None where there are none, as before the first
    publication after a rotation. Raises StoreError."""
    for _, key in versions(store, "timestamp")[: -MOST_CANDIDATES - 1 : -1]:
        found = _followed(store, root, key)
        if found is not None:
            return found
    return None


def _followed(store: Store, root: Root, timestamp_key: str) -> Newest | None:
    """What a timestamp leads to, None where it is not this hub's."""
    from tuf.api.exceptions import RepositoryError

    try:
        timestamp = _signed(store, root, "timestamp", timestamp_key)
        version = timestamp.snapshot_meta.version
        snapshot_key = f"metadata/{version}.snapshot.json"
        snapshot = _signed(store, root, "snapshot", snapshot_key, version)
        version = snapshot.meta["targets.json"].version
        targets_key = f"metadata/{version}.targets.json"
        targets: Targets = _signed(store, root, "targets", targets_key, version)
        expires = min(one.expires for one in (timestamp, snapshot, targets))
        return Newest((timestamp_key, snapshot_key, targets_key), targets, expires)
    except (RepositoryError, MissingObjectError, KeyError, ValueError):
        return None


def _signed(store: Store, root: Root, role: str, key: str, version: int | None = None) -> Any:
    """Metadata that the role's key signed, of this version where one is given. Raises RepositoryError, ValueError."""
    from tuf.api.metadata import Metadata

    if (store.head(key) or 0) > LARGEST_METADATA_BYTES:
        raise ValueError(f"{key}: larger than any metadata")
    found: Metadata[Any] = Metadata.from_bytes(store.get(key, LARGEST_METADATA_BYTES))
    root.verify_delegate(role, found.signed_bytes, found.signatures)
    if found.signed.type != role or version not in (None, found.signed.version):
        raise ValueError(f"{key}: {found.signed.type} {found.signed.version}")
    return found.signed
