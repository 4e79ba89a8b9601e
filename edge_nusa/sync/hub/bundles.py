"""Bundles that a hub gives to whoever trusts its root: published, listed, withdrawn.

The fleet's own bundle need not be at hand. Bundles are for everybody who reaches the store: they are signed, not
sealed, and hold nothing that was learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from edge_nusa import kept
from edge_nusa.errors import InputError
from edge_nusa.files import durable
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State
from edge_nusa.sync.bundles.announced import (
    LONGEST_MODEL,
    MOST_BUNDLES,
    Announced,
    bundles_in,
    check_name,
    chosen,
    name_of,
    offered,
    target_of,
)
from edge_nusa.sync.bundles.progress import Told
from edge_nusa.sync.bundles.putting import put_bundle
from edge_nusa.sync.hub.folder import read_settings
from edge_nusa.sync.hub.mirror import mirror
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.trust import keys
from edge_nusa.sync.trust.repository import Repository


@dataclass(frozen=True)
class Offer:
    """What is to be published. name: "" for the model's own; multiply_adds: of a picture in the image tower, 0 where
    not known; mirror: where all that is published is copied to, None for nowhere."""

    bundle: Bundle
    name: str = ""
    multiply_adds: int = 0
    mirror: str | None = None


def publish_bundle(folder: Path, offer: Offer, told: Told) -> Announced:
    """Put a bundle into the store of the hub in `folder` and announce it: the next version under its name, or the same
    one signed anew where nothing of it changed.

    Raises InputError for a name that is none or that has a bundle of another model or precision, and for too many;
    StoreError, TrustError, DamagedError, ResourceError.
    """
    name = check_name(offer.name or name_of(offer.bundle.manifest.model))
    doing, repository = f"publish the bundle {name}", _repository(folder)
    with durable.explained(doing):
        _checked(repository, name, offer.bundle)
        # many bytes, whose names are their hashes: no other command of the hub has to wait for them
        put = put_bundle(repository.store, offer.bundle, name, told)
    with _writing(folder, doing) as repository:
        there = _checked(repository, name, offer.bundle)
        made = replace(put, version=_version(put, there.get(name)), multiply_adds=offer.multiply_adds)
        repository.sign({made.path: target_of(made)})
    kept.part(f"the bundle {name}, version {made.version}, is published")
    if offer.mirror is not None:
        mirror(repository.store, offer.mirror, {**there, name: made})
    return made


def withdraw_bundle(folder: Path, name: str) -> Announced:
    """Announce a bundle no more; what was put into the store stays there, as a store has no way to remove it. Raises
    InputError for a name that is not announced."""
    with _writing(folder, f"withdraw the bundle {name}") as repository:
        gone = replace(chosen(offered(bundles_in(repository.targets())), name), is_withdrawn=True)
        repository.sign({gone.path: target_of(gone)})
        kept.part(f"the bundle {name} is withdrawn")
    return gone


def listed(folder: Path) -> list[Announced]:
    """What the hub announces now. Raises StoreError."""
    return [*offered(bundles_in(_repository(folder).targets())).values()]


def _version(made: Announced, before: Announced | None) -> int:
    if before is None:
        return 1
    return before.version + (made.index != before.index or before.is_withdrawn)


def _checked(repository: Repository, name: str, bundle: Bundle) -> dict[str, Announced]:
    """The bundles announced until now. Raises InputError where a name would mean another model than before, or where
    there are too many names."""
    there = bundles_in(repository.targets())
    before, count = there.get(name), len(there)
    found = (bundle.manifest.model[:LONGEST_MODEL], bundle.manifest.precision)
    if before is not None and (before.model, before.precision) != found:
        raise InputError(
            f"{name}: expected {before.model} in {before.precision}, as published under that name, found {found[0]} in "
            f"{found[1]}; give it a --name of its own"
        )
    if before is None and count >= MOST_BUNDLES:
        raise InputError(f"{name}: expected at most {MOST_BUNDLES} names of bundles, found {count}; use one again")
    return there


def _repository(folder: Path) -> Repository:
    keys.require_packages()
    settings = read_settings(folder)
    return Repository(open_store(settings.store), folder, settings.expiry)


@contextmanager
def _writing(folder: Path, doing: str) -> Iterator[Repository]:
    """The hub's repository, while no other command of the hub changes anything."""
    repository = _repository(folder)
    with State(folder / "state", read_settings(folder).identity).writer(), durable.explained(doing):
        yield repository
