"""Leaving a fleet, and coming back to it: the device's folder of the fleet is put aside whole, under the fleet's name.

STATE/sync-left/FLEET/  what was STATE/sync/: keys, rounds, and what was sent

What was learned stays, also what came from the fleet. It says which round it is based on, and only this folder tells
what of it the fleet has already: so a state comes back to its fleet with the same folder and counts nothing twice, and
joins another one only while it has taken no round. One rename does it, so a killed process leaves it done or not.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_nusa import kept
from edge_nusa.device.fleet import settings
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.pull import mark_of
from edge_nusa.device.fleet.status import status
from edge_nusa.device.opened import Opened
from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.files import durable
from edge_nusa.knowledge.knowledge import RoundMark

NAME = "sync-left"


@dataclass(frozen=True, kw_only=True)
class Left:
    """fleet, device: their names; folder: where the keys and all that belongs to the fleet are now; labels: that stay
    known; unsent_pictures: that the fleet was never told of, None where that cannot be told."""

    fleet: str
    device: str
    folder: str
    labels: tuple[str, ...]
    unsent_pictures: int | None

    def to_json(self) -> dict[str, Any]:
        """What `sync leave --format json` prints."""
        return asdict(self)


def leave(opened: Opened, labels: tuple[str, ...]) -> Left:
    """Leave the fleet; asks no store. labels: that are known. Raises InputError for a state of no fleet, ResourceError
    where a sync is running."""
    fleet = Fleet(opened)
    unsent = None
    with suppress(EdgeNusaError):  # a damaged round is no reason to stay
        unsent = status(opened).unsent_pictures
    with fleet.locked():
        aside = opened.state.folder / NAME / fleet.fleet
        if aside.exists():
            raise InputError(f"{aside}: expected no folder, found one; move it away, it may hold keys")
        _moved(fleet.folder, aside)
        kept.done(f"this device has left the fleet {fleet.fleet[:16]}")
    return Left(fleet=fleet.fleet, device=fleet.device, folder=str(aside), labels=labels, unsent_pictures=unsent)


def bring_back(opened: Opened, fleet: str) -> None:
    """Before a state joins a fleet: the folder with which it left it, in its place again. Raises InputError where its
    knowledge holds rounds of another fleet."""
    aside = opened.state.folder / NAME / fleet
    if (aside / settings.NAME).is_file():
        _moved(aside, opened.state.folder / "sync")  # and is so the member that it was, whatever comes after this
    elif any(mark_of(generation).number for generation in opened.state.history()):
        raise InputError(
            f"{opened.state.folder}: expected a state that has taken no round of a fleet, found one with rounds of "
            "another fleet; what they hold must not count twice: use another --state"
        )


def left_with(opened: Opened, mark: RoundMark) -> Fleet | None:
    """The fleet that a state has left and whose round this mark is, and may come back to; None where there is none."""
    found = sorted((opened.state.folder / NAME).glob(f"*/bases/{mark.sha256}.round"))
    return Fleet(opened, found[0].parents[1]) if found else None


def _moved(folder: Path, target: Path) -> None:
    with durable.explained(f"move {folder} to {target}"):
        durable.make_folder(target.parent)
        os.rename(folder, target)
        durable.sync_folder(target.parent)
        durable.sync_folder(folder.parent)
