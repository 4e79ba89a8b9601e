"""Where a device stands in its fleet, by its own folder alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.push import unsent
from edge_nusa.device.fleet.remembered import remembered
from edge_nusa.device.opened import Opened
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load
from edge_nusa.sync.round_file import Received


@dataclass(frozen=True, kw_only=True)
class FleetStatus:
    """fleet, device: their names; round: that the state is based on; waiting: updates that it does not hold; unsent,
    unsent_pictures: what was gained since the last push; refused_by_hub: update -> reason; refused_here: round ->
    reason."""

    fleet: str
    device: str
    store: str
    round: int
    waiting: list[int]
    unsent_pictures: int
    unsent: bool
    refused_by_hub: dict[str, str]
    refused_here: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """What `sync status --format json` prints."""
        return asdict(self)


def status(opened: Opened) -> FleetStatus:
    """Where this device stands; asks no store."""
    fleet = Fleet(opened)
    _, knowledge = load(opened.bundle, opened.state, DEVICE)
    base = fleet.base(knowledge.round)
    received = base.received.get(fleet.device, Received())
    gained = unsent(knowledge, base, fleet.pending(base), fleet.device)
    numbers = [one.statement.place.sequence for one in fleet.sent()]
    refused = [entry for entry in remembered(fleet).values() if entry["kind"] == "refused"]
    return FleetStatus(
        fleet=fleet.fleet,
        device=fleet.device,
        store=fleet.store_place,
        round=knowledge.round.number,
        waiting=[number for number in numbers if number > received.through],
        unsent_pictures=gained.pictures,
        unsent=not gained.is_empty,
        refused_by_hub={str(number): why for number, why in received.refused.items()},
        refused_here={str(entry["round"]): entry["reason"] for entry in refused},
    )
