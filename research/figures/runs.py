"""One run of one learner over one sequence of tasks: what was measured, as a JSON file of its own.

Letters: N tasks. Row 0 of every table is the untouched model, row t what was measured after task t.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from edge_nusa.errors import DamagedError, UsageError
from edge_nusa.files import durable

FORMAT_VERSION = 1
Suite = Literal["mtil", "cil"]
Row = tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    """learner: its name; shots: pictures a class that it was taught (0: all of the training split); seed: of shots
    and training;
    order_name: `I`, `II`, `given`, `alphabetical` or `random:K`; order: the tasks' names as they were learned.

    accuracy (N + 1, N) percent on the test pictures of task j (columns in the order of `order`). Suite `mtil`: each
    task's
    own labels are offered. Suite `cil`: all labels seen so far are offered; None where task j is not yet learned.
    joint (N + 1,): suite `cil` only, accuracy on all test pictures of labels seen so far; None elsewhere and in row 0.
    retention (N + 1,) percent on a set that is never learned; None where none was asked.
    ece (N + 1,): expected calibration error in percent over test pictures of learned tasks; None in row 0.
    auroc (N + 1,): percent, pictures of the never learned set against learned test pictures by the learner's novelty;
    None where it has none.
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
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str) -> Run:
        """The inverse of `to_json`. Raises DamagedError naming `where`."""
        names = {field.name for field in fields(cls)}
        try:
            content = json.loads(text)
            if content.pop("format_version") != FORMAT_VERSION or set(content) != names:
                raise ValueError(f"expected format {FORMAT_VERSION} with the fields {sorted(names)}")
            return cls(**{name: _tuples(value) for name, value in content.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedError(
                f"{where}: not a run of this version ({error}); remove the file and run the same command again"
            ) from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value


def read_runs(folder: Path) -> list[Run]:
    """All finished runs of a folder, sorted by file name. Raises DamagedError for a file that is none."""
    return [Run.from_json(path.read_text(), str(path)) for path in sorted(folder.glob("*.json"))]


def check_begun_alike(path: Path, shared: dict[str, Any]) -> None:
    """Keep what the runs of a folder share, where it is new. Raises UsageError where it was begun with other settings,
    DamagedError where they cannot be read."""
    if not path.exists():
        durable.replace_file(path, json.dumps(shared, sort_keys=True).encode())
        return
    try:
        before = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise DamagedError(
            f"{path}: expected the settings of the runs beside it, found {error}; take another --out"
        ) from error
    other = [name for name, value in shared.items() if before.get(name, value) != value]
    if other:
        raise UsageError(
            f"{path}: this folder was begun with {other[0]} {before[other[0]]!r}, now it is {shared[other[0]]!r}; take "
            "another --out"
        )
