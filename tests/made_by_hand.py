"""Knowledge put together by hand for table tests of decisions: few labels, few features, plain numbers, no model
behind them.

Letters: L labels, F features, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.fit import UNIT, Solved
from edge_nusa.knowledge.head import Head, features
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.recipes import DEVICE

SCALE = 10.0
"""The logit scale of these tests."""


def unit(*rows: Sequence[float]) -> np.ndarray:
    """(B, D) float32 rows of length 1."""
    wide = np.array(rows, np.float32)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def pictures(*taps: Sequence[float]) -> np.ndarray:
    """Features (B, F) int64 of taps (B, F - 1), by the head's own fixed point."""
    return features(np.array(taps, np.float32))


def clusters(seed: int, counts: Sequence[int], distance: float = 2.0, taps: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Feature rows (B, taps + 1) int64 of labels whose means lie about `distance` apart beside noise of 1, and their
    columns (B,)."""
    generator = np.random.default_rng(seed)
    goals = np.repeat(np.arange(len(counts)), counts)
    means = distance * generator.standard_normal((len(counts), taps))
    return features((means[goals] + generator.standard_normal((len(goals), taps))).astype(np.float32)), goals


def labels(*names: str, images: int = 5) -> tuple[Label, ...]:
    """Labels of these names."""
    return tuple(Label(name, images) for name in names)


def plain_solved(
    means: np.ndarray, counts: Sequence[int], variance: float = 1.0, spread: float = 1.0, own: Sequence[float] = ()
) -> Solved:
    """A fit in which P is the identity: scores are m'z - m'm / 2, distances are Euclidean. means (L, F) in features'
    own units; spread: the squared distance that is expected of a picture; own (L,): mean squared distance of each
    label's pictures from its centre where that of all labels is 1 (all 1 where none are given)."""
    sizes = np.array(counts, np.int64)
    return Solved(
        whitening=np.eye(means.shape[1]),
        means=means.astype(np.float64),
        counts=sizes,
        shrinkage=0.5,
        variance=variance,
        downdate=0.0,
        spread=spread,
        centres=means.astype(np.float32),
        scatter=np.array(own or [1.0] * len(sizes)) * (np.maximum(sizes - 1, 0) + 3),
        guess=0.0,
        pooled=1.0,
    )


def knowledge(
    names: Sequence[str],
    frozen: np.ndarray,
    adapted: np.ndarray | None = None,
    solved: Solved | None = None,
) -> Knowledge:
    """Labels with their anchors (L, D), and the fit `solved` as if the head had given it."""
    known = tuple(Label(name, 5) for name in names)
    size = solved.means.shape[1] if solved is not None else 3
    head = Head(np.zeros((size, size), np.int64), np.zeros((size, len(names)), np.int64), np.full(len(names), 5))
    made = Knowledge(
        recipe=DEVICE,
        labels=known,
        frozen_anchors=frozen,
        adapted_anchors=frozen if adapted is None else adapted,
        cores={},
        head=head,
        tasks=1,
        fusion=fusion.nothing_seen(),
    )
    if solved is not None:
        made.__dict__["solved"] = solved
    return made


def taught(names: Sequence[str], rows: np.ndarray, goals: np.ndarray) -> Knowledge:
    """A knowledge whose head saw these features (B, F) int64 of the columns `goals` (B,); anchors are the axes of a
    space of L."""
    axes = np.eye(len(names), dtype=np.float32)
    head = Head.empty(rows.shape[1]).added(rows, goals, len(names))
    return replace(knowledge(names, axes), head=head)


def whole(rows: np.ndarray) -> np.ndarray:
    """(B, F) int64 features of plain numbers that are whole multiples of 2^-10."""
    return np.rint(np.asarray(rows, np.float64) * UNIT).astype(np.int64)


def softmax(*logits: float) -> np.ndarray:
    """Of one row, as the definition says."""
    powers = np.exp(np.array(logits, np.float64))
    return np.asarray(powers / powers.sum())
