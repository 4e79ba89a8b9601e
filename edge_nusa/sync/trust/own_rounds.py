"""The hub's own look at the store: the newest round that it published (`edge_nusa.sync.trust.own_targets`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_nusa.sync.trust import own_targets, sealed_rounds, trusted
from edge_nusa.sync.trust.repository import Repository
from edge_nusa.sync.trust.sealed_rounds import Announced
from edge_nusa.sync.trust.trusted import Bounds, Published


def newest_own(repository: Repository, parts: Path, bounds: Bounds) -> Published | None:
    """The newest round in the store that the newest root of this hub vouches for, opened with the hub's keys; None
    where there is none, as before the first publication after a rotation, or where bundles alone were published.

    parts: a folder for what came of it so far. Raises StoreError, TrustError for a round that is not what was signed or
    is not for these keys, ResourceError.
    """
    newest = newest_metadata(repository)
    if newest is None:
        return None
    found = newest.announced
    if found.sha256 in bounds.known:
        return Published(found.number, found.sha256, None)
    return trusted.opened_round(repository.store, found, repository.sealing_keys(), parts, bounds)


@dataclass(frozen=True)
class OwnMetadata:
    """The keys of the newest timestamp, snapshot and targets that this hub signed, and the round that they announce."""

    keys: tuple[str, ...]
    announced: Announced


def newest_metadata(repository: Repository) -> OwnMetadata | None:
    """What this hub published last, by the newest of its roots; None where there is none, or only bundles. Raises
    StoreError, TrustError."""
    found = own_targets.newest(repository.store, repository.root().signed)
    if found is None or sealed_rounds.TARGET not in found.targets.targets:
        return None
    return OwnMetadata(found.keys, sealed_rounds.announced_by(found.targets.targets[sealed_rounds.TARGET]))
