"""The ridge head that other methods use (RanPAC, RAIL), fitted from the same sums as the product's head: baselines.

W = (G + lambda I)^-1 Q; sources: RanPAC (arXiv 2307.02251), RAIL (arXiv 2406.18868). The strength lambda minimises
generalised cross-validation (Golub, Heath and Wahba 1979), which needs nothing but the sums. Letters: B, F, L as in
`edge_nusa.knowledge.head`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_nusa.device.asking.answer import softmax
from edge_nusa.errors import InputError
from edge_nusa.knowledge.fit import UNIT
from edge_nusa.knowledge.head import Head, features
from edge_nusa.knowledge.sums_file import head_from_tensors, head_tensors
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.data.views import View
from edge_nusa.research.learners.learners import Answer, Arrays, Columns, Frozen
from edge_nusa.threads import one_blas_thread

STRENGTHS = tuple(10.0**e for e in np.arange(-3.0, 2.01, 0.25))
"""Candidates of lambda, in multiples of the mean eigenvalue of G."""


@dataclass(frozen=True)
class Ridge:
    """A fitted ridge head: weights (F, L) float64 for features / 2^10, inverse_root (F, F) with
    (G + lambda I)^-1 = inverse_root inverse_root^T, lambda, and its generalised cross-validation score."""

    weights: np.ndarray
    inverse_root: np.ndarray
    strength: float
    score: float

    @one_blas_thread
    def scores(self, feature_rows: np.ndarray) -> np.ndarray:
        """(B, L) float64: about 1 for the label, about 0 for the others. feature_rows (B, F) int64."""
        return np.asarray((feature_rows / UNIT) @ self.weights)

    @one_blas_thread
    def novelty(self, feature_rows: np.ndarray) -> np.ndarray:
        """(B,) lambda z^T (G + lambda I)^-1 z: near 0 for what was taught, near z^T z for what is unlike it."""
        return np.asarray(self.strength * np.square((feature_rows / UNIT) @ self.inverse_root).sum(axis=1))


@one_blas_thread
def solve(head: Head) -> Ridge:
    """Fit with the strength of least score; float64 throughout. Raises InputError when nothing was learned."""
    if head.sums.shape[1] == 0:
        raise InputError("the head knows no label yet; teach one first")
    values, vectors = np.linalg.eigh(head.gram / UNIT**2)
    values = np.maximum(values, 0)
    rotated = vectors.T @ (head.sums / UNIT)
    candidates = [(_score(values, rotated, head, s * values.mean()), s * values.mean()) for s in STRENGTHS]
    score, strength = min(candidates)
    return Ridge(
        vectors @ (rotated / (values + strength)[:, None]), vectors / np.sqrt(values + strength), strength, score
    )


class RidgeHead:
    """The analytic ridge head alone behind the published gate: learned tasks by the head, others by the untouched
    model.

    kind: "embedding" (RAIL), "random" (RanPAC: ReLU of `width` random projections of the embedding) or "taps".
    """

    trained_numbers = 0

    def __init__(self, bundle: Bundle, kind: str, width: int = 1024) -> None:
        self.bundle, self.kind, self.columns = bundle, kind, Columns()
        inputs = bundle.manifest.image.embed_dim
        self.projection = (
            np.random.default_rng(0).normal(size=(inputs, width)) / np.sqrt(inputs) if kind == "random" else None
        )
        self.head: Head | None = None
        self._fitted: Ridge | None = None

    @one_blas_thread
    def _features(self, view: View, pictures: np.ndarray) -> np.ndarray:
        if self.kind == "taps":
            return view.features(pictures)
        rows = view.embeddings(pictures)
        return features(rows if self.projection is None else np.maximum(rows @ self.projection, 0))

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """Add the pictures to the sums."""
        columns, rows = self.columns.add(view), self._features(view, pictures)
        before = self.head or Head.empty(rows.shape[1])
        self.head, self._fitted = before.added(rows, columns[view.classes[pictures]], self.columns.count), None

    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        """The head's scores as they are where all offered tasks are learned, zero-shot elsewhere."""
        columns = [self.columns.of(view) for view in offered]
        if self.head is None or any(column is None for column in columns):
            return Frozen(self.bundle).answer(offered, asked, pictures)
        if self._fitted is None:
            self._fitted = solve(self.head)
        rows = self._features(asked, pictures)
        chosen = np.concatenate([column for column in columns if column is not None])
        return Answer(softmax(self._fitted.scores(rows)[:, chosen] * 4), self._fitted.novelty(rows))

    def arrays(self) -> Arrays:
        """The sums."""
        return head_tensors(self.head) if self.head is not None else {}

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """Go on from the sums."""
        for view in learned:
            self.columns.add(view)
        size = arrays["sums"].shape
        self.head = head_from_tensors(arrays, size[1], size[0])


def _score(values: np.ndarray, rotated: np.ndarray, head: Head, strength: float) -> float:
    shrunk, seen = rotated / (values + strength)[:, None], float(head.counts.sum())
    residual = seen - 2 * (rotated * shrunk).sum() + (values[:, None] * shrunk**2).sum()
    freedom = seen - (values / (values + strength)).sum()
    return float(seen * max(residual, 0.0) / max(freedom, 1e-9) ** 2)
