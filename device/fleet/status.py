"""Where a device stands in its fleet, by its own folder alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa.device.fleet import kept_here
from edge_nusa.device.fleet.gained import unsent
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.remembered import remembered
from edge_nusa.device.opened import Opened
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load
from edge_nusa.knowledge.waiting import Waiting


@dataclass(frozen=True, kw_only=True)
class FleetStatus:
    """fleet, device: their names; round: that the state is based on; waiting: updates that it does not hold; unsent,
    unsent_pictures: what was gained since the last push; refused_by_hub: update -> reason; refused_here: round ->
    reason; pictures_waiting: labels with pictures that wait for more of theirs before the fleet is told of them."""

    fleet: str
    device: str
    store: str
    round: int
    waiting: list[int]
    unsent_pictures: int
    unsent: bool
    refused_by_hub: dict[str, str]
    refused_here: dict[str, str]
    pictures_waiting: tuple[Waiting, ...]

    def to_json(self) -> dict[str, Any]:
        """What `sync status --format json` prints."""
        return asdict(self)


def status(opened: Opened) -> FleetStatus:
    """Where this device stands; asks no store."""
    fleet = Fleet(opened)
    _, knowledge = load(opened.bundle, opened.state, DEVICE)
    knowledge = kept_here.agreed(opened, knowledge)
    base = fleet.base(knowledge.round)
    gained = unsent(knowledge, base, fleet.pending(base), fleet.device)
    refused = [entry for entry in remembered(fleet).values() if entry["kind"] == "refused"]
    return FleetStatus(
        fleet=fleet.fleet,
        device=fleet.device,
        store=fleet.store_place,
        round=knowledge.round.number,
        waiting=[one.cover.sequence for one in fleet.waiting(base)],
        unsent_pictures=gained.pictures,
        unsent=not gained.is_empty,
        refused_by_hub={
            **{str(one.cover.sequence): one.refusal.reason for one in fleet.sent() if one.refusal is not None},
            **{str(one.number): one.reason for one in fleet.received(base).refused.values() if one.kind == "refused"},
        },
        refused_here={str(entry["round"]): entry["reason"] for entry in refused},
        pictures_waiting=kept_here.not_told(opened, knowledge),
    )
