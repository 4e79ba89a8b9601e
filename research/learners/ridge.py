"""The ridge head that other methods use (RanPAC, RAIL), fitted from the same sums as the product's head: a baseline.

W = (G + lambda I)^-1 Q; sources: RanPAC (arXiv 2307.02251), RAIL (arXiv 2406.18868). The strength lambda minimises
generalised cross-validation (Golub, Heath and Wahba 1979), which needs nothing but the sums. Letters: B, F, L as in
`edge_nusa.knowledge.head`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.knowledge.head import UNIT, Head
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


def _score(values: np.ndarray, rotated: np.ndarray, head: Head, strength: float) -> float:
    shrunk, seen = rotated / (values + strength)[:, None], float(head.counts.sum())
    residual = seen - 2 * (rotated * shrunk).sum() + (values[:, None] * shrunk**2).sum()
    freedom = seen - (values / (values + strength)).sum()
    return float(seen * max(residual, 0.0) / max(freedom, 1e-9) ** 2)
