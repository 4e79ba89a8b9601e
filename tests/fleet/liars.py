"""Devices that hold a key and sign what they like: who they are, and what they send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from fleet_world import Member

from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.knowledge import Label, RoundMark
from edge_nusa.sync import parcel, update
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.parcel import Parcel
from edge_nusa.sync.trust import keys, sealing_keys
from edge_nusa.sync.update import Place, Statement

Lessons = Mapping[str, np.ndarray]


class Liar:
    """A member of a fleet whose updates are made by hand, one link of its chain after another."""

    def __init__(self, hub: Hub, member: Member) -> None:
        self.hub, self.member = hub, member
        folder = member.model.state.folder / "sync"
        self.signer = keys.load_key(folder / "key.pem")
        self.own = sealing_keys.load_key(folder / "sealing.key")
        self.place = Place(
            fleet=hub.settings.fleet, identity=hub.settings.identity, device=member.key, sequence=1, round=RoundMark()
        )

    def send(self, change: Change, base: RoundMark | None = None) -> Parcel:
        """Seal, sign and send the next link."""
        return self.send_numbers(*self.encoded(change, base))

    def encoded(self, change: Change, base: RoundMark | None = None) -> tuple[Statement, bytes]:
        return update.encode(change, replace(self.place, round=base or RoundMark()), "float16")

    def send_numbers(self, statement: Statement, numbers: bytes) -> Parcel:
        made = parcel.parcel(statement, numbers, self.signer, (self.hub.keys[0].public, self.own.public))
        parcel.send(self.hub.store, made)
        self.place = replace(self.place, sequence=self.place.sequence + 1, before=made.sha256)
        return made


def zero_cores(hub: Hub) -> dict[str, np.ndarray]:
    return {name: np.zeros((rank, rank)) for name, rank in hub.shapes.ranks.items()}


def nothing(hub: Hub) -> Change:
    return Change(cores=zero_cores(hub), gram=np.zeros((hub.shapes.features,) * 2, np.int64))


def giving(hub: Hub, lessons: Lessons, sign: int = 1) -> Change:
    """These pictures given, or with the sign -1 taken back."""
    rows = np.concatenate(list(lessons.values())).astype(np.float64)
    labels = {
        name: LabelChange(Label(name, 0), sign * len(own), sign * own.sum(axis=0)) for name, own in lessons.items()
    }
    return replace(nothing(hub), gram=sign * (rows.T @ rows).astype(np.int64), labels=labels, tasks=sign)


def pieces(lessons: Lessons, count: int) -> Iterator[Lessons]:
    """The same pictures in so many updates, as evenly as can be; where they are fewer, each is given again."""
    flat = [(name, row) for place in range(max(map(len, lessons.values()))) for name, row in _places(lessons, place)]
    for one in range(count):
        own = flat[one::count] or [flat[one % len(flat)]]
        yield {
            name: np.array([row for other, row in own if other == name]) for name in dict.fromkeys(n for n, _ in own)
        }


def _places(lessons: Lessons, place: int) -> Iterator[tuple[str, np.ndarray]]:
    for name, rows in lessons.items():
        if place < len(rows):
            yield name, rows[place]


def worst_mixture(size: int = fusion.LARGEST) -> np.ndarray:
    """Losses that speak for the mixture in which neither head nor text count much."""
    losses = np.full(fusion.SHAPE, size, np.int64)
    losses[0, fusion.SHAPE[1] - 1] = 0
    return losses
