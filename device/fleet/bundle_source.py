"""Whose bundles this board trusts: those of the root that a person names, or of the fleet that a state belongs to."""

from __future__ import annotations

from pathlib import Path

from edge_nusa.device.fleet import settings
from edge_nusa.device.fleet.first_root import member_root, root_in
from edge_nusa.device.opened import data_folder
from edge_nusa.errors import InputError
from edge_nusa.sync.bundles.announced import Announced
from edge_nusa.sync.bundles.source import Source
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.trust import keys, roots


def source(store: str, root: Path | None, state: Path) -> Source:
    """The bundles in a store. root: the file root.json of a fleet; without it the fleet of the state in that folder.

    Raises InputError where neither says whom to trust, TrustError for a root that is none.
    """
    keys.require_packages()
    if root is None:
        return _of_member(store, state)
    if not root.exists():
        raise InputError(f"{root}: expected a root.json, found no such file; bring it from whoever runs the hub")
    data = root_in(root)
    roots.read_root(data, str(root))
    return Source(open_store(store), data, data_folder("--root") / "fleets" / roots.fleet_name(data))


def pulled_folder(one: Announced) -> Path:
    """Where a bundle goes that nobody names a place for: each version has its own, so none takes another's."""
    return bundles_folder() / f"{one.name}-{one.version}"


def bundles_folder() -> Path:
    """Where those folders are."""
    return data_folder("--out") / "bundles"


def _of_member(store: str, state: Path) -> Source:
    folder = state / "sync"
    try:
        fleet = settings.read(folder).fleet
    except InputError as error:
        raise InputError(
            f"{state}: expected --root, or a state that belongs to a fleet, found neither; bring root.json from "
            "whoever runs the hub, by a way you trust"
        ) from error
    return Source(open_store(store), member_root(folder, fleet), folder)
