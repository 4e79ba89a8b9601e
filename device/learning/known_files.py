"""Which of a task's files were taught before: they are left out, so that the same folder taught again adds only what
is new in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_nusa.device.learning.task import Task
from edge_nusa.errors import InputError
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.labels import listed, quoted
from edge_nusa.knowledge.taught_files import TaughtFiles, digest_of
from edge_nusa.pictures.picture import sha256_of
from edge_nusa.pictures.pictures import Quarantined, printable


@dataclass(frozen=True, kw_only=True)
class FreshTask:
    """task: without the files that were taught before, each of which its `quarantined` names; digests (B,) uint64 of
    its paths, 0 of one that cannot be read; known: which of its labels had files left out, which need no new one."""

    task: Task
    digests: np.ndarray
    known: frozenset[int]

    def narrowed(self, kept: Sequence[int]) -> Task:
        """The task with the labels alone that have a picture among `kept`, indices of its paths; other paths are of
        label -1."""
        present = np.unique(self.task.classes[list(kept)])
        places = np.full(len(self.task.labels), -1, np.int64)
        places[present] = np.arange(len(present))
        return replace(self.task, labels=[self.task.labels[i] for i in present], classes=places[self.task.classes])

    def taught(self, before: TaughtFiles, counted: Sequence[int], narrow: Task, columns: np.ndarray) -> TaughtFiles:
        """What is known of files after the lesson of `narrow`. counted: indices of the paths that were taught, or are
        nearly the same as one that was; columns (C,) int64: the place of each of its labels among all names."""
        chosen = np.array([i for i in counted if narrow.classes[i] >= 0 and self.digests[i]], np.int64)
        return before.added(self.digests[chosen], columns[narrow.classes[chosen]])


def fresh(task: Task, before: Knowledge, is_again: bool) -> FreshTask:
    """The task without the files that were taught before; is_again: none is left out.

    Raises InputError where all files of a label were taught as another one.
    """
    digests = np.array([_digest(task, i) for i in range(len(task.pictures))], np.uint64)
    found = [before.files.column_of.get(digest) for digest in digests.tolist()]
    if is_again:
        found = [None] * len(found)
    stays = np.array([column is None for column in found], bool)
    for label in np.setdiff1d(task.classes, task.classes[stays]).tolist():
        mine = [column for column, one in zip(found, task.classes, strict=True) if one == label and column is not None]
        _check_same(task.labels[label], {before.names[column] for column in mine})
    said = [
        Quarantined(printable(path), f"taught before as {quoted(before.names[column])}; --again teaches it once more")
        for path, column in zip(task.paths, found, strict=True)
        if column is not None
    ]
    pictures = [picture for picture, stay in zip(task.pictures, stays, strict=True) if stay]
    known = frozenset(task.classes[~stays].tolist())
    rest = replace(task, pictures=pictures, classes=task.classes[stays], quarantined=[*task.quarantined, *said])
    return FreshTask(task=rest, digests=digests[stays], known=known)


def _digest(task: Task, index: int) -> int:
    """0 of a file that cannot be read, which looking at it will say."""
    try:
        return digest_of(sha256_of(task.pictures[index]))
    except InputError:
        return 0


def _check_same(label: str, taught_as: set[str]) -> None:
    """Raises InputError where all files of the label were taught as other ones."""
    if label_names.key(label) in {label_names.key(name) for name in taught_as}:
        return
    raise InputError(
        f"every picture of {quoted(label)} was taught before as {listed(sorted(taught_as))}; nothing was learned: give "
        "pictures of its own, take the other label back with `edge-nusa forget`, or use --again"
    )
