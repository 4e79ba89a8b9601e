"""A hub's part in a larger fleet: HUB/above/, the same files as a device's STATE/sync/
(`edge_nusa.device.fleet.membership`)."""

from __future__ import annotations

from pathlib import Path

from edge_nusa.device.fleet import joining, settings
from edge_nusa.device.fleet.joining import Joined
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.opened import Opened
from edge_nusa.errors import InputError
from edge_nusa.model.bundle import Bundle
from edge_nusa.sync.hub.above import FOLDER
from edge_nusa.sync.hub.folder import ROOT_NAME, read_root
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.trust import roots
from edge_nusa.sync.trust.roots import SHARINGS


def join(hub: Hub, store: str, root_path: Path, rounds: str | None = None, *, is_offline: bool = False) -> Joined:
    """Make a hub a member of a larger fleet: its keys there, and what it trusts. rounds: that fleet's mirror to pull
    from, instead of its store; is_offline: the store is not asked whether it answers.

    Raises InputError where it is one already, or has rounds of a fleet that it is not a member of any more, or shares
    more of each picture than that fleet promises; TrustError and StoreError as `joining.join` does.
    """
    folder = hub.folder / FOLDER
    with hub.state.writer():
        if (folder / settings.NAME).exists():
            raise InputError(
                f"{folder}: expected a hub of no larger fleet, found one that has joined one; another needs another hub"
            )
        if any(hub.shares_of(generation).above.is_used for generation in hub.state.history()):
            raise InputError(
                f"{hub.folder}: expected a hub that has taken no round of a larger fleet, found one with such rounds "
                f"and without {FOLDER}/; what they hold must not count twice: restore {folder} from your backup"
            )
        root = joining.first_root(store, root_path, None)
        _check_root(hub, root, root_path)
        store, rounds = joining.absolute(store), joining.absolute(rounds) if rounds else None
        if not is_offline:
            joining.prove(store, rounds, root)
        return joining.made_member(folder, root, (store, rounds), has_reports=False)


def _check_root(hub: Hub, root: bytes, root_path: Path) -> None:
    if roots.fleet_name(root) == hub.settings.fleet:
        raise InputError(
            f"{root_path}: expected the root of a larger fleet, found that of this hub's own; bring root.json from the "
            "larger fleet's hub"
        )
    own = roots.read_root(read_root(hub.folder), str(hub.folder / ROOT_NAME))
    here, there = roots.fleet_terms(own).sharing, roots.fleet_terms(roots.read_root(root, str(root_path))).sharing
    if SHARINGS.index(here) < SHARINGS.index(there):
        raise InputError(
            f"{root_path}: expected a larger fleet whose devices may share as much as these do (--sharing {here}), "
            f"found --sharing {there}; sums that were shared already cannot be made coarser: begin a fleet with "
            f"`edge-nusa hub init --sharing {there}`"
        )


def member(hub: Hub, bundle: Bundle) -> Fleet:
    """The hub's part in the larger fleet. Raises InputError where it has joined none."""
    folder = hub.folder / FOLDER
    if not (folder / settings.NAME).exists():
        raise InputError(
            f"{hub.folder}: expected a hub that has joined a larger fleet, found one that has not; run `edge-nusa hub "
            "join STORE --root root.json`"
        )
    fleet = Fleet(Opened(bundle, hub.state), folder)
    fleet.shapes = hub.shapes  # its devices' provider, whatever this bundle was opened with
    return fleet
