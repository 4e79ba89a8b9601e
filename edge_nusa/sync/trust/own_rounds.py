"""The hub's own look at the store: the newest round that it published (`edge_nusa.sync.trust.own_targets`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge_nusa.sync.trust import own_targets, sealed_rounds, trusted
from edge_nusa.sync.trust.repository import Repository
from edge_nusa.sync.trust.sealed_rounds import Announced
from edge_nusa.sync.trust.trusted import Bounds, Published


@dataclass(frozen=True)
class OwnPublication:
    """A publication in the store: the round that it announces, until when devices believe all of it, and the keys of
    its timestamp, snapshot and targets."""

    announced: Announced
    expires: datetime
    keys: tuple[str, ...] = ()


def newest_own(repository: Repository, parts: Path, bounds: Bounds) -> Published | None:
    """The newest round in the store that the newest root of this hub vouches for, opened with the hub's keys; None
    where there is none, as before the first publication after a rotation, or where bundles alone were published.

    parts: a folder for what came of it so far. Raises StoreError, TrustError for a round that is not what was signed or
    is not for these keys, ResourceError.
    """
    own = published(repository)
    if own is None:
        return None
    found = own.announced
    if found.sha256 in bounds.known:
        return Published(found.number, found.sha256, None)
    return trusted.opened_round(repository.store, found, repository.sealing_keys(), parts, bounds)


def published(repository: Repository) -> OwnPublication | None:
    """The same without its round, expired or not. Raises StoreError, TrustError for a root."""
    found = own_targets.newest(repository.store, repository.root().signed)
    if found is None or sealed_rounds.TARGET not in found.targets.targets:
        return None
    announced = sealed_rounds.announced_by(found.targets.targets[sealed_rounds.TARGET])
    return OwnPublication(announced, found.expires, found.keys)
