"""Small knowledges for tests of the exchange: real arithmetic of head and cores, few features, no model behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from identities import identity

from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.sync import round_file
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.round_file import Round

FEATURES, RANK = 40, 3
FLEET, BASIS = "f" * 32, identity()


def small_shapes() -> UpdateShapes:
    """The sizes of a model with 40 features and two adapted matrices of rank 3."""
    shapes = object.__new__(UpdateShapes)
    shapes.identity, shapes.features = BASIS, FEATURES
    shapes.ranks = {"text.0.q": RANK, "text.0.v": RANK}
    shapes.largest_cores = dict.fromkeys(shapes.ranks, 10.0)
    return shapes


def first() -> Round:
    """The round before the first."""
    return round_file.nothing(FLEET, small_shapes())


def pictures(seed: int, count: int) -> np.ndarray:
    """Features (count, F) int64 of pictures that never were, by the head's own fixed point."""
    return heads.features(np.random.default_rng(seed).normal(size=(count, FEATURES - 1)).astype(np.float32))


def taught(knowledge: Knowledge, name: str, rows: np.ndarray, core_step: float = 0.0) -> Knowledge:
    """What learning a label does to head, counts and tasks; the cores move by `core_step`."""
    keys = [label_names.key(one) for one in knowledge.names]
    labels = list(knowledge.labels)
    if label_names.key(name) not in keys:
        keys.append(label_names.key(name))
        labels.append(Label(name, 0))
    column = keys.index(label_names.key(name))
    labels[column] = replace(labels[column], images=labels[column].images + len(rows))
    head = knowledge.head.added(rows, np.full(len(rows), column), len(labels))
    cores = {
        matrix: core + core_step * (1 + np.arange(core.size).reshape(core.shape))
        for matrix, core in knowledge.cores.items()
    }
    none = np.zeros((len(labels), 0), np.float32)
    return replace(
        knowledge,
        labels=tuple(labels),
        head=head,
        cores=cores,
        tasks=knowledge.tasks + 1,
        frozen_anchors=none,
        adapted_anchors=none,
    )


def head_facts(head: Head, names: list[str]) -> dict[str, Any]:
    """The head by label key, so that the order of labels does not matter."""
    return {
        "gram": head.gram.tolist(),
        "spare": head.spare,
        "labels": {
            label_names.key(name): (int(head.counts[i]), head.sums[:, i].tolist()) for i, name in enumerate(names)
        },
    }


def facts(knowledge: Knowledge) -> dict[str, Any]:
    """`head_facts` of a knowledge."""
    return head_facts(knowledge.head, knowledge.names)


def joint(lessons: Mapping[str, list[np.ndarray]]) -> dict[str, Any]:
    """The facts of one device that saw all the pictures."""
    knowledge = Knowledge(
        recipe=DEVICE,
        labels=(),
        frozen_anchors=np.zeros((0, 0)),
        adapted_anchors=np.zeros((0, 0)),
        cores={},
        head=Head.empty(FEATURES),
    )
    for name, parts in lessons.items():
        for rows in parts:
            knowledge = taught(knowledge, name, rows)
    return facts(knowledge)
