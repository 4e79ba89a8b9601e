"""Counts of right and wrong answers class by class, while a run goes on; `edge_nusa.research.figures.classes` keeps
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_nusa.research.data.views import View
from edge_nusa.research.figures.classes import Classes, TaskClasses

Chosen = Mapping[str, np.ndarray]
"""Of each task, pictures (B,) int64."""


@dataclass
class Counts:
    """own: of each learned task, right answers a class after it was learned; end: those of all learned tasks after the
    newest; mistakes: (class, answer, pictures) after the newest, in columns of all tasks in a row."""

    own: dict[str, list[int]] = field(default_factory=dict)
    end: dict[str, list[int]] = field(default_factory=dict)
    mistakes: list[list[int]] = field(default_factory=list)

    def begin(self) -> None:
        """Before what is asked after one more task."""
        self.end, self.mistakes = {}, []

    def add(self, view: View, classes: np.ndarray, answers: np.ndarray, start: int) -> None:
        """Answers (B,) to pictures of classes (B,) of one learned task, whose first column is `start`; both count from
        that task's first class."""
        is_right = answers == classes
        right = np.bincount(classes[is_right], minlength=len(view.labels)).tolist()
        self.own.setdefault(view.name, right)
        self.end[view.name] = right
        pairs, pictures = np.unique(np.stack([classes, answers])[:, ~is_right], axis=1, return_counts=True)
        self.mistakes += [
            [int(shown) + start, int(answer) + start, int(count)]
            for (shown, answer), count in zip(pairs.T, pictures, strict=True)
        ]

    def whole(self, order: Sequence[str], views: Mapping[str, View], kinds: tuple[Chosen, Chosen]) -> Classes:
        """What a finished run keeps. kinds: the pictures that were taught, and those that were asked."""
        tasks = []
        for name in order:
            view, none = views[name], [0] * len(views[name].labels)
            counted = [
                np.bincount(view.classes[pictures], minlength=len(view.labels)).tolist()
                for pictures in (kind[name] for kind in kinds)
            ]
            counts = (*counted, self.own.get(name, none), self.end.get(name, none))
            tasks.append(_task(name, view.labels, [tuple(each) for each in counts]))
        mistakes = sorted(map(tuple, self.mistakes), key=lambda each: (-each[2], each[0], each[1]))
        return Classes(tasks=tuple(tasks), mistakes=tuple((shown, answer, count) for shown, answer, count in mistakes))


def _task(name: str, labels: tuple[str, ...], counts: Sequence[tuple[int, ...]]) -> TaskClasses:
    taught, asked, own, end = counts
    return TaskClasses(task=name, labels=labels, taught=taught, asked=asked, own=own, end=end)
