"""One run of one learner over one sequence of tasks: what was measured, as a JSON file of its own.

Letters: N tasks. Row 0 of every table is the untouched model, row t what was measured after task t.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, Protocol, cast, get_args

from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin, Record

FORMAT_VERSION = 1
_NEXT_STEP = "remove the file and run the same command again"
Suite = Literal["mtil", "cil"]
Row = tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    """learner: its name; shots: pictures a class that it was taught (0: all of the training split); seed: of shots
    and training;
    order_name: `I`, `II`, `given`, `alphabetical` or `random:K`; order: the tasks' names as they were learned.

    accuracy (N + 1, N) percent on the test pictures of task j (columns in the order of `order`). Suite `mtil`: each
    task's own labels are offered. Suite `cil`: all labels seen so far are offered; None where task j is not yet
    learned. joint (N + 1,): suite `cil` only, accuracy on all test pictures of labels seen so far; None elsewhere and
    in row 0. retention (N + 1,) percent on a set that is never learned; None where none was asked. ece (N + 1,):
    expected calibration error in percent over test pictures of learned tasks; None in row 0. auroc (N + 1,): percent,
    pictures of the never learned set against learned test pictures by the learner's novelty; None where it has none.
    seconds (N,): of each task's learning, without evaluation; state_bytes (N,): arrays kept after each task;
    peak_rss_bytes: of the process so far; trained_numbers: parameters that one task trains.
    """

    suite: Suite
    learner: str
    shots: int
    seed: int
    order_name: str
    order: tuple[str, ...]
    accuracy: tuple[Row, ...]
    joint: Row
    retention: Row
    ece: Row
    auroc: Row
    seconds: tuple[float, ...]
    state_bytes: tuple[int, ...]
    peak_rss_bytes: int
    trained_numbers: int

    def to_json(self) -> str:
        """One JSON object, keys sorted."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> Run:
        """The inverse of `to_json`. Raises DamagedError naming `where`."""
        record = parse(text.encode("utf-8", "replace"), Origin(f"{where}: not a run of this version", _NEXT_STEP))
        record.version(FORMAT_VERSION)
        record.only(["format_version", *(field.name for field in fields(cls))])
        order = record.texts("order")
        tables = {name: _row(record, name, len(order) + 1) for name in ("joint", "retention", "ece", "auroc")}
        return cls(
            suite=cast(Suite, record.choice("suite", get_args(Suite))),
            learner=record.text("learner"),
            shots=record.integer("shots"),
            seed=record.integer("seed"),
            order_name=record.text("order_name"),
            order=order,
            accuracy=_accuracy(record, len(order)),
            **tables,
            seconds=record.numbers("seconds", len(order)),
            state_bytes=record.whole_numbers("state_bytes", len(order)),
            peak_rss_bytes=record.integer("peak_rss_bytes"),
            trained_numbers=record.integer("trained_numbers"),
        )


class Key(Protocol):
    """What tells the runs of one folder apart."""

    @property
    def suite(self) -> Suite: ...
    @property
    def learner(self) -> str: ...
    @property
    def shots(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def order_name(self) -> str: ...
    @property
    def order(self) -> tuple[str, ...]: ...


def key_of(run: Key) -> str:
    """The name of a run's files, which no other run of its folder has."""
    count = f"-{len(run.order)}tasks" if run.suite == "cil" else ""
    order = run.order_name.replace(":", "")
    return f"{run.suite}{count}-{file_name(run.learner)}-{run.shots}shots-seed{run.seed}-{order}"


def file_name(learner: str) -> str:
    """A learner in the names of files: `mine:Mine` is mine.Mine there, which no built-in one is called."""
    return learner.replace(":", ".")


def _accuracy(record: Record, tasks: int) -> tuple[Row, ...]:
    """(N + 1, N) out of the record."""
    rows = record.entries("accuracy")
    if len(rows) != tasks + 1:
        raise record.origin.refused("accuracy", f"{tasks + 1} rows", rows)
    inside = Record({f"row {index}": row for index, row in enumerate(rows)}, record.origin.inside("accuracy"))
    return tuple(_row(inside, name, tasks) for name in inside.fields)


def _row(record: Record, name: str, count: int) -> Row:
    """So many percentages, each of which may be missing."""
    found = record.entries(name, count)
    if len(found) != count:
        raise record.origin.refused(name, f"a list of {count} entries", found)
    inside = Record({str(index): value for index, value in enumerate(found)}, record.origin.inside(name))
    return tuple(None if inside.fields[place] is None else inside.number(place, 0.0, 100.0) for place in inside.fields)


def read_runs(folder: Path) -> list[Run]:
    """All finished runs of a folder, sorted by file name. Raises DamagedError for a file that is none."""
    return [Run.from_json(path.read_text(errors="replace"), str(path)) for path in sorted(folder.glob("*.json"))]
