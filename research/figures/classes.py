"""What one run answered class by class: a JSON file beside the run's own, OUT/classes/KEY.json.

Letters: C classes of all tasks in the order they were learned, each with its column 0..C - 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin, Record

FORMAT_VERSION = 1
LARGEST_BYTES, MOST_MISTAKES = 64 << 20, 1 << 20
_NEXT_STEP = "remove the file and the run of the same name in runs, and run the same command again"


@dataclass(frozen=True, kw_only=True)
class TaskClasses:
    """One task's classes, each list with one entry a label: taught and asked are pictures; own: answered right after
    the task itself was learned; end: after the last task."""

    task: str
    labels: tuple[str, ...]
    taught: tuple[int, ...]
    asked: tuple[int, ...]
    own: tuple[int, ...]
    end: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Classes:
    """tasks in the order they were learned; mistakes: after the last task, (column of the class shown, column of the
    label answered, pictures) of every pair that occurred, the most first."""

    tasks: tuple[TaskClasses, ...]
    mistakes: tuple[tuple[int, int, int], ...]

    def names(self) -> list[tuple[str, str]]:
        """(task, label) of each of the C columns."""
        return [(each.task, label) for each in self.tasks for label in each.labels]

    def to_json(self) -> str:
        """One JSON object, keys sorted."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Classes:
        """The inverse of `to_json`. Raises DamagedError naming `where`."""
        record = parse(data, Origin(f"{where}: not the classes of a run", _NEXT_STEP), LARGEST_BYTES)
        record.version(FORMAT_VERSION)
        record.only(["format_version", *(field.name for field in fields(cls))])
        tasks = tuple(_task(each) for each in record.records("tasks"))
        columns = sum(len(each.labels) for each in tasks)
        return cls(
            tasks=tasks,
            mistakes=tuple(_mistake(each, record, columns) for each in record.entries("mistakes", MOST_MISTAKES)),
        )


def _task(record: Record) -> TaskClasses:
    record.only([field.name for field in fields(TaskClasses)])
    labels = record.texts("labels")
    counts = {name: record.whole_numbers(name, len(labels)) for name in ("taught", "asked", "own", "end")}
    return TaskClasses(task=record.text("task"), labels=labels, **counts)


def _mistake(entry: object, record: Record, columns: int) -> tuple[int, int, int]:
    """One of `mistakes`; both columns are there."""
    inside = Record({"of three": entry}, record.origin.inside("mistakes"))
    shown, answered, count = inside.whole_numbers("of three", 3)
    if max(shown, answered) >= columns:
        raise record.origin.refused("mistakes", f"columns below {columns}", entry)
    return shown, answered, count


def read_classes(folder: Path) -> dict[str, Classes]:
    """The run's key -> its classes, of all files of a folder. Raises DamagedError for a file that is none."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        with durable.explained(f"read {path}"):
            data = durable.read_at_most(path, LARGEST_BYTES + 1)
        found[path.stem] = Classes.from_json(data, str(path))
    return found


def added(several: Mapping[str, Classes]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(task, label) -> pictures asked, right after the own task, right at the end, added over runs."""
    total: dict[tuple[str, str], tuple[int, int, int]] = {}
    for one in several.values():
        for each in one.tasks:
            for label, *counts in zip(each.labels, each.asked, each.own, each.end, strict=True):
                before = total.get((each.task, label), (0, 0, 0))
                total[each.task, label] = (before[0] + counts[0], before[1] + counts[1], before[2] + counts[2])
    return total
