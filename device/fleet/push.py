"""Pushing: what this device gained since its last push goes to the fleet's store; it takes no lock of the state."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edge_nusa import kept
from edge_nusa.device.fleet import kept_here
from edge_nusa.device.fleet import sent as sents
from edge_nusa.device.fleet.gained import unsent
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.other_lives import LessonFinder, adopt
from edge_nusa.device.fleet.remembered import remembered
from edge_nusa.device.opened import Opened
from edge_nusa.errors import ResourceError
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load
from edge_nusa.knowledge.waiting import Waiting
from edge_nusa.sync import chain, parcel, update
from edge_nusa.sync.packed import Precision
from edge_nusa.sync.round_file import Round
from edge_nusa.sync.stores.store import Store

PRECISION: Precision = "float16"


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What a push did. update: the number of the one that it made, None where nothing was gained; sent: those that it
    put into the store; bytes, labels, pictures: of the one made; forgets: keys of labels that it takes back; others:
    numbers of updates that another life of this device (a restored card, a clone) has sent, found this time;
    pictures_waiting: labels with pictures that wait for more of theirs."""

    update: int | None
    sent: list[int]
    bytes: int
    labels: list[str]
    pictures: int
    forgets: list[str]
    others: list[int] = field(default_factory=list)
    pictures_waiting: tuple[Waiting, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What `sync push --format json` prints."""
        return asdict(self)


def push(
    opened: Opened, precision: Precision = PRECISION, most_bytes: int | None = None, fleet: Fleet | None = None
) -> Pushed:
    """Send what was gained since the last push, and what the store may not have of earlier ones.

    fleet: the state's part in its fleet, where its store is another than the settings say.
    Raises StoreError, or ResourceError where more than `most_bytes` would go out; what was gained is then kept to be
    sent.
    """
    fleet = fleet or Fleet(opened)
    with fleet.locked():
        _, knowledge = load(opened.bundle, opened.state, DEVICE)
        knowledge = kept_here.agreed(opened, knowledge)
        base = fleet.base(knowledge.round)
        store = fleet.store()
        adopted = adopt(fleet, store, LessonFinder(opened, fleet, store, knowledge, base), base, base)
        pushed = send(fleet, store, knowledge, base, precision, most_bytes)
        return replace(pushed, others=adopted, pictures_waiting=kept_here.not_told(opened, knowledge))


def send(
    fleet: Fleet, store: Store, knowledge: Knowledge, base: Round, precision: Precision, most_bytes: int | None = None
) -> Pushed:
    """Send what `knowledge` has beyond its base and the updates that this lacks, and what of those the store may not
    have. Call it with the fleet's lock held. Raises as `push` does."""
    gained = unsent(knowledge, base, fleet.pending(base), fleet.device)
    made = (
        None if gained.is_empty else fleet.keep_sent(*update.encode(gained, _place(fleet, knowledge, base), precision))
    )
    waiting = fleet.waiting(base)
    _check_size(sum(len(one.envelope) + len(one.sealed or b"") for one in waiting), most_bytes)
    for one in waiting:
        _put(fleet, store, one)
        kept.part(f"update {one.cover.sequence} is sent")
    return Pushed(
        update=made.cover.sequence if made else None,
        sent=[one.cover.sequence for one in waiting],
        bytes=len(made.envelope) + len(made.sealed or b"") if made else 0,
        labels=[label.name for label in made.statement.labels] if made else [],
        pictures=gained.pictures,
        forgets=sorted(gained.forgotten_keys),
    )


def _place(fleet: Fleet, knowledge: Knowledge, base: Round) -> update.Place:
    sent = fleet.sent()
    number, before = chain.tip(sents.links(sent), fleet.received(base))
    earlier = {id for one in sent for id in one.statement.place.lessons}
    refused = tuple(sorted(sha256 for sha256, entry in remembered(fleet).items() if entry["kind"] == "refused"))
    return update.Place(
        fleet=fleet.fleet,
        identity=fleet.shapes.identity,
        device=fleet.device,
        sequence=number + 1,
        before=before,
        round=knowledge.round,
        lessons=tuple(id for id in knowledge.lessons if id not in earlier),
        refused_rounds=refused,
    )


def _put(fleet: Fleet, store: Store, one: sents.Sent) -> None:
    if one.parcel is not None:
        parcel.send(store, one.parcel)
    if not one.is_put:
        fleet.put(one)


def _check_size(size: int, most_bytes: int | None) -> None:
    if most_bytes is not None and size > most_bytes:
        raise ResourceError(
            f"push: expected at most {most_bytes} bytes (--max-bytes), found {size}; allow more, or wait for a "
            "cheaper connection"
        )
