"""What `edge-nusa eval --list` shows: learners, suites, orders, and the sets of a folder. No learner is made, and torch
is imported only where one that is not built in is asked for."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.research.data.datasets import find_sets, set_names
from edge_nusa.research.learners.described import DESCRIBED, GROUP
from edge_nusa.research.protocol.orders import ORDER_I, ORDER_II

SUITES = {
    "mtil": "data sets in sequence; each is asked with its own labels offered",
    "cil": "the classes of one or more sets in steps; all labels so far are offered",
    "orders": "mtil in ten random orders (--order says others)",
}
ORDERS = {
    "given": "as --sets names them, else by name",
    "I": f"of the MTIL benchmark: {', '.join(ORDER_I)}",
    "II": f"of the MTIL benchmark: {', '.join(ORDER_II)}",
    "random:N": "N distinct ones, the same on every machine",
    "FILE": "a text file with one set a line",
}


@dataclass(frozen=True, kw_only=True)
class ListedLearner:
    """name: as --learners takes it; source: its paper, or where its code is from; reason: why it cannot be used, or
    ""."""

    name: str
    says: str
    source: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ListedSet:
    """labels, train and test are counts; reason: why the set cannot be used, or ""."""

    name: str
    labels: int = 0
    train: int = 0
    test: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All of it; sets: None where no folder was given."""

    learners: list[ListedLearner]
    suites: dict[str, str]
    orders: dict[str, str]
    sets: list[ListedSet] | None

    def to_json(self) -> dict[str, object]:
        """Lists of objects with a name each."""
        named = {
            kind: [{"name": name, "says": says} for name, says in each.items()]
            for kind, each in (("suites", self.suites), ("orders", self.orders))
        }
        return {**asdict(self), **named}


def listing(data: Path | None, own: Sequence[str]) -> Listing:
    """own: further learners as `package.module:Class`. Raises InputError where `data` is no folder of sets, and as
    `edge_nusa.research.learners.own.entry_of` does."""
    built_in = [ListedLearner(name=name, says=each.says, source=each.source) for name, each in DESCRIBED.items()]
    return Listing(
        learners=[*built_in, *_entry_points(), *map(_own, own)],
        suites=SUITES,
        orders=ORDERS,
        sets=None if data is None else [_set(data, name) for name in set_names(data)],
    )


def _own(name: str) -> ListedLearner:
    from edge_nusa.research.learners.own import entry_of

    entry = entry_of(name)
    assert entry.provenance is not None
    source = f"{entry.provenance.module} {entry.provenance.version}".strip()
    return ListedLearner(name=name, says=entry.says, source=source)


def _entry_points() -> list[ListedLearner]:
    found = []
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name in DESCRIBED:
            reason = "a built-in learner has this name"
            found.append(ListedLearner(name=point.name, says="", source=point.value, reason=reason))
            continue
        try:
            found.append(_own(point.name))
        except EdgeNusaError as error:
            found.append(ListedLearner(name=point.name, says="", source=point.value, reason=str(error)))
    return found


def _set(data: Path, name: str) -> ListedSet:
    try:
        [found] = find_sets(data, [name])
    except InputError as error:
        return ListedSet(name=name, reason=str(error))
    test = int(found.is_test.sum())
    return ListedSet(name=name, labels=len(found.labels), train=len(found.classes) - test, test=test)
