"""Pushing: what this device gained since its last push goes to the fleet's store; it takes no lock of the state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa import kept
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.remembered import remembered
from edge_nusa.device.fleet.store import asked
from edge_nusa.device.opened import Opened
from edge_nusa.errors import ResourceError
from edge_nusa.knowledge.knowledge import Knowledge, RoundMark
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load
from edge_nusa.sync import change, merging, update
from edge_nusa.sync.change import Change
from edge_nusa.sync.hub import inbox
from edge_nusa.sync.merging import Step
from edge_nusa.sync.packed import Precision
from edge_nusa.sync.round_file import Received, Round

PRECISION: Precision = "float16"


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What a push did. update: the number of the one that it made, None where nothing was gained; sent: those that it
    put into the store; bytes, labels, pictures: of the one made; forgets: keys of labels that it takes back."""

    update: int | None
    sent: list[int]
    bytes: int
    labels: list[str]
    pictures: int
    forgets: list[str]

    def to_json(self) -> dict[str, Any]:
        """What `sync push --format json` prints."""
        return asdict(self)


def push(opened: Opened, precision: Precision = PRECISION, most_bytes: int | None = None) -> Pushed:
    """Send what was gained since the last push, and what the store may not have of earlier ones.

    Raises StoreError, or ResourceError where more than `most_bytes` would go out; what was gained is then kept to be
    sent.
    """
    fleet = Fleet(opened)
    with fleet.locked():
        _, knowledge = load(opened.bundle, opened.state, DEVICE)
        base = fleet.base(knowledge.round)
        gained = unsent(knowledge, base, fleet.pending(base), fleet.device)
        made = (
            None
            if gained.is_empty
            else fleet.keep_sent(*update.encode(gained, _place(fleet, knowledge.round), precision))
        )
        received = base.received.get(fleet.device, Received())
        waiting = [one for one in fleet.sent() if one.statement.place.sequence > received.through]
        _check_size(sum(len(one.envelope) + len(one.numbers) for one in waiting), most_bytes)
        store = asked(fleet.store_place)
        for one in waiting:
            inbox.send(store, one.envelope, one.statement, one.numbers)
            kept.part(f"update {one.statement.place.sequence} is sent")
        return Pushed(
            update=made.statement.place.sequence if made else None,
            sent=[one.statement.place.sequence for one in waiting],
            bytes=len(made.envelope) + len(made.numbers) if made else 0,
            labels=[label.name for label in made.statement.labels] if made else [],
            pictures=gained.pictures,
            forgets=sorted(gained.forgotten_keys),
        )


def unsent(knowledge: Knowledge, base: Round, pending: Sequence[Step], device: str) -> Change:
    """What the knowledge has beyond its base and the device's pending steps. Raises UsageError for a recipe that
    cannot be merged."""
    change.check_shared(knowledge)
    before = merging.rebased(base, pending, device)
    return change.difference(knowledge, before, {pair for step in pending for pair in step.change.forgets})


def _place(fleet: Fleet, mark: RoundMark) -> update.Place:
    last = fleet.sent()[-1:]
    sequence = last[0].statement.place.sequence + 1 if last else 1
    refused = tuple(sorted(sha256 for sha256, entry in remembered(fleet).items() if entry["kind"] == "refused"))
    return update.Place(
        fleet=fleet.fleet,
        identity=fleet.shapes.identity,
        device=fleet.device,
        sequence=sequence,
        round=mark,
        refused_rounds=refused,
    )


def _check_size(size: int, most_bytes: int | None) -> None:
    if most_bytes is not None and size > most_bytes:
        raise ResourceError(
            f"push: expected at most {most_bytes} bytes (--max-bytes), found {size}; allow more, or wait for a "
            "cheaper connection"
        )
