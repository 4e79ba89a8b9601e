"""Which labels' pictures wait on a board until they are enough for a group, and in which words a person is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_nusa.knowledge.groups import FEWEST, Formed
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.labels import in_list


@dataclass(frozen=True)
class Waiting:
    """Pictures of a label that the fleet is not told of until so many `more` were taught."""

    label: str
    pictures: int
    more: int

    def __str__(self) -> str:
        pictures = "1 picture waits" if self.pictures == 1 else f"{self.pictures} pictures wait"
        return f"{in_list(self.label)}: {pictures} for {self.more} more of this label"


def waiting(knowledge: Knowledge, formed: Formed) -> tuple[Waiting, ...]:
    """Of each label with open pictures, in the order in which labels were taught. Pictures that were in a group before
    `undo` or `forget` took it back wait for FEWEST that were in none."""
    if knowledge.private is None:
        return ()
    found = []
    for column, label in enumerate(knowledge.labels):
        marks = knowledge.private.marks_of(column)
        if marks:
            found.append(Waiting(label.name, len(marks), max(FEWEST - len(formed.fresh(marks)), 1)))
    return tuple(found)


def told(rows: Iterable[Waiting]) -> str:
    """One line of them."""
    return "; ".join(str(row) for row in rows)
