"""Labels that a fleet has renamed: how an update that was made before the renaming is read after it.

Labels travel by name. A step speaks of a label by the key that its base has; each renaming of a later round gives that
label its next key. Who teaches the old name on the round of the renaming, or on a later one, means a new label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa.errors import InputError
from edge_nusa.files.json_record import Record
from edge_nusa.knowledge import labels as label_names

MOST_RENAMED = 1000
"""Renamings that a round tells of; updates made before one that it no longer tells bring back the old name."""
LONGEST = 2000
"""Characters of a key or a name, which are more than a label may have."""


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """old: the label's key until then; new: its name since; round: the number of the round that renamed it; since: of
    the first round on which the old key means this label, as an older one of that name was forgotten before."""

    old: str
    new: str
    round: int
    since: int = 0

    @property
    def key(self) -> str:
        """The label's key since then."""
        return label_names.key(self.new)


@dataclass(frozen=True)
class Spoken:
    """What a step says by a key: the label's key now, its name where that is another, and the number of the last round
    that is taken into account by it: the step's base, or that of the renaming."""

    key: str
    base: int
    name: str | None = None


def spoken(key: str, base: int, renamed: Iterable[Renaming]) -> Spoken:
    """The label that a step of this base means by a key. renamed: oldest first."""
    found = Spoken(key, base)
    for one in renamed:
        if found.key == one.old and one.since <= found.base < one.round:
            found = Spoken(one.key, one.round, one.new)
    return found


def newest(renamed: Iterable[Renaming]) -> tuple[Renaming, ...]:
    """The newest MOST_RENAMED of them, oldest first."""
    return tuple(sorted(renamed, key=lambda one: one.round)[-MOST_RENAMED:])


def taken_back(renamed: Iterable[Renaming], number: int, made: int, names: Mapping[str, str]) -> tuple[Renaming, ...]:
    """What the round `made` tells of, which undoes round `number`. names: key -> name of the labels that it then has.

    A label that had become another one is apart from it again: what was said of both as one stays with that other.
    """
    stays = [one for one in renamed if one.round != number]
    for one in renamed:
        if one.round == number and one.key not in names and one.old in names:
            stays.append(Renaming(old=one.key, new=names[one.old], round=made, since=number))
    return newest(stays)


def to_json(renamed: Iterable[Renaming]) -> list[dict[str, Any]]:
    """As a round has them."""
    return [asdict(one) for one in renamed]


def from_record(record: Record, name: str) -> tuple[Renaming, ...]:
    """The inverse of `to_json`, () where the record has no such field. Raises the record's error."""
    if name not in record:
        return ()
    return tuple(_renaming(one) for one in record.records(name, MOST_RENAMED))


def _renaming(record: Record) -> Renaming:
    found = Renaming(
        old=record.text("old", LONGEST),
        new=record.text("new", LONGEST),
        round=record.integer("round"),
        since=record.integer("since"),
    )
    try:
        label_names.key(found.new)
    except InputError as error:
        expected = f"a label (1 to {label_names.MAX_CHARACTERS} characters)"
        raise record.origin.refused("new", expected, found.new) from error
    return found
