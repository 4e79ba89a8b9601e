"""Results as plain records, for CSV files and for Python: a row a task, a row a run and metric, a row a class, a row a
mistake.

Each table's columns, with what they hold, are the keys of its rows in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edge_nusa.research.figures import metrics
from edge_nusa.research.figures.classes import Classes
from edge_nusa.research.figures.runs import Run, key_of
from edge_nusa.research.figures.summary import METRICS, figures_of

Row = dict[str, Any]
"""Texts, whole numbers, floats, and None where there is no figure."""

OF_RUN = {
    "run": "the name of the run's files in runs, classes and parts",
    "suite": "mtil or cil",
    "learner": "as --learners calls it",
    "order": "the name of the order of tasks",
    "seed": "of shots and training",
    "shots": "pictures a class that were taught; 0 for all",
    "steps": "how many tasks the run has",
}
"""What each table begins with."""
TASKS = {
    **OF_RUN,
    "task": "its place in the order, from 1",
    "name": "of the set, or of the step",
    "labels": "how many classes it has",
    "taught": "pictures that were taught",
    "asked": "test pictures that were asked",
    "untouched": "accuracy before anything was learned, percent",
    "own": "accuracy right after this task, percent",
    "end": "accuracy after the last task, percent",
    "transfer": "mean accuracy after each earlier task, percent; the mean over the tasks is Transfer",
    "average": "mean accuracy after every task, percent (cil: on all labels so far after it); the mean is Average",
    "last": "as end (cil: on all labels, in the last step alone); the mean is Last",
    "forgotten": "best accuracy since it was learned, minus end, percent; the mean is Forgetting",
    "joint": "cil: accuracy on all labels so far after this task, percent",
    "retention": "accuracy on the set that is never learned after this task, percent",
    "ece": "expected calibration error after this task, percent",
    "auroc": "of the set that is never learned against learned ones after this task, percent",
    "seconds": "of learning this task, without evaluation",
    "state_bytes": "kept after this task",
    "peak_rss_bytes": "of the whole run's process",
    "trained_numbers": "that one task trains",
}
"""Of results.csv."""
METRIC = {**OF_RUN, "metric": "one of the metrics of results.json", "value": "in the metric's unit"}
"""Of results-metrics.csv."""
CLASSES = {
    **OF_RUN,
    "task": "its place in the order, from 1",
    "name": "of the set, or of the step",
    "label": "the class",
    "taught": "pictures of it that were taught",
    "asked": "test pictures of it that were asked",
    "own": "of them answered right after its own task",
    "end": "of them answered right after the last task",
}
"""Of results-classes.csv."""
CONFUSIONS = {
    **OF_RUN,
    "name": "the set, or the step, of what was shown",
    "label": "the class that was shown",
    "answered_name": "the set, or the step, of what was answered",
    "answered": "the class that was answered instead",
    "pictures": "how many, after the last task",
}
"""Of results-confusions.csv."""


def task_rows(runs: Sequence[Run], classes: Mapping[str, Classes]) -> Iterator[Row]:
    """Of every run, a row a task with the keys of TASKS; None where nothing was measured or counted."""
    for run in runs:
        counted = classes.get(key_of(run))
        for index, name in enumerate(run.order):
            yield {
                **_of_run(run),
                "task": index + 1,
                "name": name,
                **_sizes(counted, index),
                **_accuracies(run, index),
                "joint": run.joint[index + 1],
                "retention": run.retention[index + 1],
                "ece": run.ece[index + 1],
                "auroc": run.auroc[index + 1],
                "seconds": run.seconds[index],
                "state_bytes": run.state_bytes[index],
                "peak_rss_bytes": run.peak_rss_bytes,
                "trained_numbers": run.trained_numbers,
            }


def _of_run(run: Run) -> Row:
    about: Row = {"run": key_of(run), "suite": run.suite, "learner": run.learner, "order": run.order_name}
    return about | {"seed": run.seed, "shots": run.shots, "steps": len(run.order)}


def _sizes(counted: Classes | None, index: int) -> Row:
    if counted is None:
        return {"labels": None, "taught": None, "asked": None}
    task = counted.tasks[index]
    return {"labels": len(task.labels), "taught": sum(task.taught), "asked": sum(task.asked)}


def _accuracies(run: Run, index: int) -> Row:
    """One task's column of the accuracies, and its parts of the run's figures."""
    matrix = metrics.matrix_of(run.accuracy)
    column, is_joint, is_last = matrix[:, index], run.suite == "cil", index + 1 == len(run.order)
    since = column[index + 1 :]
    return {
        "untouched": metrics.known(column[0]),
        "own": metrics.known(since[0]),
        "end": metrics.known(column[-1]),
        "transfer": metrics.known(column[1 : index + 1].mean()) if index else None,
        "average": metrics.known(run.joint[index + 1]) if is_joint else metrics.known(column[1:].mean()),
        "last": (metrics.known(run.joint[-1]) if is_last else None) if is_joint else metrics.known(column[-1]),
        "forgotten": None if is_last else metrics.known(since.max() - column[-1]),
    }


def metric_rows(runs: Sequence[Run]) -> Iterator[Row]:
    """Of every run, a row for each of METRICS."""
    for run in runs:
        found = figures_of(run)
        for metric in METRICS:
            yield {**_of_run(run), "metric": metric, "value": found[metric]}


def class_rows(runs: Sequence[Run], classes: Mapping[str, Classes]) -> Iterator[Row]:
    """Of every run whose classes are known, a row a class with the keys of CLASSES."""
    for run in runs:
        for index, task in enumerate(classes[key_of(run)].tasks if key_of(run) in classes else ()):
            for place, label in enumerate(task.labels):
                counts: Row = {name: getattr(task, name)[place] for name in ("taught", "asked", "own", "end")}
                yield {**_of_run(run), "task": index + 1, "name": task.task, "label": label, **counts}


def confusion_rows(runs: Sequence[Run], classes: Mapping[str, Classes]) -> Iterator[Row]:
    """Of every run whose classes are known, a row for each pair of classes that was mistaken, the most first."""
    for run in runs:
        counted = classes.get(key_of(run))
        names = counted.names() if counted else []
        for shown, answered, count in counted.mistakes if counted else ():
            (name, label), (other, instead) = names[shown], names[answered]
            pair: Row = {"name": name, "label": label, "answered_name": other, "answered": instead}
            yield {**_of_run(run), **pair, "pictures": count}
