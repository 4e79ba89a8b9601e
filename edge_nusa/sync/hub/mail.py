"""What came from one device: what is merged of it, what is refused for good, and what was passed over this time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge_nusa.sync.parcel import Cover
from edge_nusa.sync.round_file import Received, Refusal, RefusalKind, short
from edge_nusa.sync.update import Statement

MOST_NOTES = 20
"""Of a device in a merge's report."""


@dataclass(frozen=True)
class Accepted:
    """A verified update that can be merged: its cover, the SHA-256 of its envelope, its statement, and label key ->
    pictures gained."""

    cover: Cover
    sha256: str
    statement: Statement
    pictures: Mapping[str, int]


@dataclass(kw_only=True)
class Mail:
    """What came from one device. accepted: oldest first; refused: by the update's `short` hash, for good; notes: what
    was passed over this time, in words; through, last: number and SHA-256 of the last update that was taken or
    refused; ahead: the number of a round that its next update is based on and the hub does not know, 0 for none."""

    device: str
    accepted: list[Accepted] = field(default_factory=list)
    refused: dict[str, Refusal] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    through: int = 0
    last: str = ""
    ahead: int = 0

    def refuse(self, reason: str, round_number: int, kind: RefusalKind = "refused") -> None:
        """Refuse all that was accepted. round_number: of the round that will say so."""
        for one in self.accepted:
            self.refused[short(one.sha256)] = Refusal(one.cover.sequence, reason, kind, round_number)
        self.accepted = []

    def wait(self, earlier: Received, reason: str) -> None:
        """Leave everything for another time. earlier: what the last round says of the device."""
        self.accepted, self.refused, self.through, self.last = [], {}, earlier.through, earlier.last
        self.notes = few([*self.notes, f"update {earlier.through + 1} and later ones wait: {reason}"])

    def told(self, earlier: Received) -> Received:
        """What the next round says of the device. earlier: what is said of it without the refusals."""
        return replace(earlier, through=self.through, last=self.last).with_refused(self.refused)

    @property
    def settled(self) -> list[str]:
        """The `short` hashes of what was decided this time."""
        return [*(short(one.sha256) for one in self.accepted), *self.refused]


def few(notes: list[str]) -> list[str]:
    """At most MOST_NOTES of them, the last of which says how many more there were."""
    if len(notes) <= MOST_NOTES:
        return notes
    return [*notes[: MOST_NOTES - 1], f"and {len(notes) - MOST_NOTES + 1} more"]
