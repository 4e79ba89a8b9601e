"""`edge-nusa eval` from Python, such as from a notebook: `sweep(Settings(...))` runs learners through a suite and gives
plain records.

    digits = data_set("digits", [str(digit) for digit in range(10)], (pictures, classes), (others, theirs))
    settings = Settings(suite="mtil", data=[digits], out=Path("out"), learners=("frozen", Mine), shots=(4,), seeds=1)
    found = sweep(settings)
    pandas.DataFrame(found.tasks)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_nusa.research.data.arrays import data_set, save_set
from edge_nusa.research.data.datasets import find_sets
from edge_nusa.research.data.views import View
from edge_nusa.research.figures.classes import read_classes
from edge_nusa.research.figures.records import Row, class_rows, confusion_rows, metric_rows, task_rows
from edge_nusa.research.figures.runs import read_runs
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Answer
from edge_nusa.research.protocol.material import Progress, Settings
from edge_nusa.research.protocol.suites import evaluate

__all__ = ["Answer", "Options", "Results", "Settings", "View", "data_set", "find_sets", "save_set", "sweep"]


@dataclass(frozen=True, kw_only=True)
class Results:
    """All finished runs of the folder. tasks: the rows of results.csv; metrics: a row a run and metric; classes: a row
    a class; confusions: a row for each pair that was mistaken (`edge_nusa.research.figures.records` names the
    columns); files: the report's."""

    tasks: list[Row]
    metrics: list[Row]
    classes: list[Row]
    confusions: list[Row]
    files: list[Path]


def _quietly(what: str, done: int, total: int) -> None:
    """No progress."""


def sweep(settings: Settings, progress: Progress = _quietly) -> Results:
    """Do every run that `settings.out` does not have yet, as `edge-nusa eval` does, and read all of them; called again
    after a kill it goes on. progress (what, done, total) is called on the way.

    Raises what `edge_nusa.research.protocol.suites.evaluate` raises.
    """
    files = evaluate(settings, progress)
    runs, classes = read_runs(settings.out / "runs"), read_classes(settings.out / "classes")
    return Results(
        tasks=list(task_rows(runs, classes)),
        metrics=list(metric_rows(runs)),
        classes=list(class_rows(runs, classes)),
        confusions=list(confusion_rows(runs, classes)),
        files=files,
    )
