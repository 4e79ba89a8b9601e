"""Several data sets as one: classes in a row, and names that tell apart what two sets call the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge_nusa.research.data.datasets import DataSet
from edge_nusa.research.data.views import View


def told_apart(datasets: Sequence[DataSet]) -> list[DataSet]:
    """The sets, with each label that more than one of them has named after its set in front ("flowers5 sunflower")."""
    counts = Counter(label for dataset in datasets for label in dataset.labels)
    return [
        replace(
            dataset,
            labels=tuple(f"{dataset.name} {label}" if counts[label] > 1 else label for label in dataset.labels),
        )
        for dataset in datasets
    ]


def joined(views: Sequence[View], chosen: Sequence[Sequence[np.ndarray]]) -> tuple[View, list[np.ndarray]]:
    """All views as one, their classes and pictures in this order, each class under its own set's templates; and of each
    kind of chosen pictures (kinds of (K,) int64 by view) those of all views in it."""
    starts = np.cumsum([0, *(len(view.classes) for view in views)])
    labels = np.cumsum([0, *(len(view.labels) for view in views)])
    rows = np.cumsum([0, *(len(view.embedding) for view in views)])
    tokens = [view.tokens for view in views if view.tokens is not None]
    whole = View(
        name=" and ".join(view.name for view in views),
        labels=tuple(label for view in views for label in view.labels),
        classes=np.concatenate([view.classes + start for view, start in zip(views, labels, strict=False)]),
        place=np.concatenate(
            [np.where(view.place < 0, -1, view.place + start) for view, start in zip(views, rows, strict=False)]
        ),
        embedding=np.concatenate([view.embedding for view in views]),
        taps=np.concatenate([view.taps for view in views]),
        tokens=np.concatenate(tokens) if len(tokens) == len(views) else None,
        anchors=np.concatenate([view.anchors for view in views]),
        hidden=_prompts(views),
    )
    return whole, [
        np.concatenate([pictures + start for pictures, start in zip(kind, starts, strict=False)])
        for kind in zip(*chosen, strict=True)
    ]


def _prompts(views: Sequence[View]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Hidden states and end positions by template: sets with fewer templates repeat theirs, so that every class keeps
    the mean over its own; shorter texts are padded, which nothing after their end is read of."""
    count = math.lcm(*(len(view.hidden) for view in views))
    longest = max(states.shape[1] for view in views for states, _ in view.hidden)
    prompts = []
    for number in range(count):
        parts = [view.hidden[number % len(view.hidden)] for view in views]
        states = [np.pad(part, ((0, 0), (0, longest - part.shape[1]), (0, 0))) for part, _ in parts]
        prompts.append((np.concatenate(states), np.concatenate([last for _, last in parts])))
    return tuple(prompts)
