"""The store of a fleet was moved: this device asks the new place from now on, once that has proven to be the
fleet's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_nusa import kept
from edge_nusa.device.fleet import reaching, settings
from edge_nusa.device.fleet.joining import absolute
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.opened import Opened
from edge_nusa.files import durable
from edge_nusa.files.read_back import keep_file


@dataclass(frozen=True)
class Moved:
    """store, rounds: asked from now on (rounds None: the store); before: the store that was asked until now."""

    store: str
    rounds: str | None
    before: str

    def to_json(self) -> dict[str, Any]:
        """What `sync set-store --format json` prints."""
        return asdict(self)


def set_store(opened: Opened, store: str, rounds: str | None = None, *, has_mirror: bool = True) -> Moved:
    """Ask another place from now on. rounds: a mirror to pull from, None for the one that was asked until now;
    has_mirror: whether one is asked at all.

    Raises StoreError where the new place does not answer or holds no fleet, TrustError where it holds another one; all
    is then as it was.
    """
    fleet = Fleet(opened)
    with fleet.locked():
        before = settings.read(fleet.folder)
        place = absolute(store)
        mirror = (absolute(rounds) if rounds else before.rounds) if has_mirror else None
        reaching.prove_store(place, fleet.root)
        if mirror:
            reaching.prove_mirror(mirror, fleet.root)
        made = replace(before, store=place, rounds=mirror)
        with durable.explained(f"write {fleet.folder}"):
            keep_file(fleet.folder / settings.NAME, made.encoded(), lambda data: settings.decode(data, settings.NAME))
    kept.done(f"{place} is this device's store")
    return Moved(place, mirror, before.store)
