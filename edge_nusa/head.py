"""The analytic head: ridge regression on the trunk's frozen taps, from running sums that any order gives bit for bit.

Every picture's taps become a feature vector z of whole numbers (fixed point, 10 binary places), so the sums
G = sum z z^T and Q = sum z y^T are exact integers: order, chunks and devices cannot change them.
W = (G + lambda I)^-1 Q; sources: RanPAC (arXiv 2307.02251), RAIL (arXiv 2406.18868).
The strength lambda minimises generalised cross-validation, the rotation-invariant form of leave-one-out
(Golub, Heath and Wahba 1979), which needs nothing but the sums. Letters: B images, F features, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_nusa.errors import DamagedError, InputError

BINARY_PLACES = 10
LARGEST = 32.0
"""Features beyond this are cut off; taps are scaled to a root mean square of 1, so this is far out."""
STRENGTHS = tuple(10.0**e for e in np.arange(-3.0, 2.01, 0.25))
"""Candidates of lambda, in multiples of the mean eigenvalue of G."""


def features(taps: np.ndarray) -> np.ndarray:
    """Fixed-point features (B, F) int64, F = taps + 1, of taps (B, F - 1) float32: root mean square 1 each row, then a bias.

    Raises InputError for NaN or infinite taps.
    """
    if not np.isfinite(taps).all():
        raise InputError("the trunk gave NaN or infinite features for a picture; check the bundle with `edge-nusa doctor`")
    wide = taps.astype(np.float64)
    wide /= np.maximum(np.sqrt(np.mean(wide**2, axis=1, keepdims=True)), 1e-12)
    with_bias = np.concatenate([wide, np.ones((len(wide), 1))], axis=1)
    return np.rint(np.clip(with_bias, -LARGEST, LARGEST) * 2**BINARY_PLACES).astype(np.int64)


@dataclass(frozen=True)
class Solved:
    """A fitted head: weights (F, L) float64 for features in their whole-number unit / 2^10, lambda, and its GCV score.

    inverse_root (F, F) float64 in the same unit: (G + lambda I)^-1 = inverse_root inverse_root^T.
    """

    weights: np.ndarray
    inverse_root: np.ndarray
    strength: float
    score: float

    def scores(self, feature_rows: np.ndarray) -> np.ndarray:
        """(B, L) float64: about 1 for the label, about 0 for the others. feature_rows (B, F) int64."""
        return np.asarray((feature_rows / 2.0**BINARY_PLACES) @ self.weights)

    def leverage(self, feature_rows: np.ndarray) -> np.ndarray:
        """(B,) float64 h = z^T (G + lambda I)^-1 z, below 1 for a picture that is in the sums. feature_rows (B, F) int64."""
        # a sum of squares loses nothing to cancellation; z^T inverse z does, which 1 / (1 - h) then magnifies
        return np.asarray(np.square((feature_rows / 2.0**BINARY_PLACES) @ self.inverse_root).sum(axis=1))

    def leave_one_out(self, feature_rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(B, L) scores of pictures that are in the sums, each as if it alone were not: (yhat - h y) / (1 - h).

        feature_rows (B, F) int64 of the labels `columns` (B,).
        """
        leverage = self.leverage(feature_rows)[:, None]
        own = np.eye(self.weights.shape[1])[columns]
        return np.asarray((self.scores(feature_rows) - leverage * own) / (1 - leverage))


class Head:
    """Running sums: gram (F, F) int64, sums (F, L) int64 (one column a label), counts (L,) int64."""

    def __init__(self, gram: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> None:
        self.gram, self.sums, self.counts = gram, sums, counts

    @classmethod
    def empty(cls, feature_count: int) -> Head:
        """A head that has seen nothing."""
        return cls(np.zeros((feature_count, feature_count), np.int64), np.zeros((feature_count, 0), np.int64), np.zeros(0, np.int64))

    def added(self, feature_rows: np.ndarray, columns: np.ndarray, label_count: int) -> Head:
        """A new head that has also seen feature_rows (B, F) int64 of the labels `columns` (B,), out of `label_count`."""
        sums = np.zeros((len(self.gram), label_count), np.int64)
        counts = np.zeros(label_count, np.int64)
        sums[:, : self.sums.shape[1]], counts[: len(self.counts)] = self.sums, self.counts
        # int64 products have no BLAS; float64 holds every one exactly, since they stay below 2^53
        wide = feature_rows.astype(np.float64)
        gram = self.gram + (wide.T @ wide).astype(np.int64)
        for column in np.unique(columns):
            sums[:, column] += feature_rows[columns == column].sum(axis=0)
            counts[column] += int((columns == column).sum())
        return Head(gram, sums, counts)

    def without(self, column: int) -> Head:
        """A new head without one label's column and count. Its pictures stay in G, as background of no label."""
        return Head(self.gram, np.delete(self.sums, column, axis=1), np.delete(self.counts, column))

    def solve(self) -> Solved:
        """Fit with the strength of least GCV score; float64 throughout. Raises InputError when nothing was learned."""
        if self.sums.shape[1] == 0:
            raise InputError("the head knows no label yet; teach one with `edge-nusa learn`")
        unit = 2.0 ** (2 * BINARY_PLACES)
        values, vectors = np.linalg.eigh(self.gram / unit)
        values = np.maximum(values, 0)
        rotated = vectors.T @ (self.sums / 2.0**BINARY_PLACES)
        seen = self.gram[-1, -1] / unit
        candidates = [(self._gcv(values, rotated, seen, s * values.mean()), s * values.mean()) for s in STRENGTHS]
        score, strength = min(candidates)
        return Solved(vectors @ (rotated / (values + strength)[:, None]), vectors / np.sqrt(values + strength), strength, score)

    def _gcv(self, values: np.ndarray, rotated: np.ndarray, seen: float, strength: float) -> float:
        shrunk = rotated / (values + strength)[:, None]
        residual = self.counts.sum() - 2 * (rotated * shrunk).sum() + (values[:, None] * shrunk**2).sum()
        freedom = seen - (values / (values + strength)).sum()
        return float(seen * max(residual, 0.0) / max(freedom, 1e-9) ** 2)


def head_tensors(head: Head) -> dict[str, np.ndarray]:
    """What is stored: the upper triangle of G (int64), Q (int32, which holds 65,000 extreme pictures a label), counts.

    Raises InputError where a sum outgrows int32.
    """
    if np.abs(head.sums).max(initial=0) >= 2**31:
        raise InputError("a label has been shown too many pictures for the head's sums (over 65,000); forget it and teach it with fewer")
    upper = head.gram[np.triu_indices(len(head.gram))]
    return {"gram": upper, "sums": np.ascontiguousarray(head.sums.T).astype(np.int32), "counts": head.counts}


def head_from_tensors(tensors: Mapping[str, np.ndarray], feature_count: int, label_count: int) -> Head:
    """The inverse of `head_tensors`. Raises DamagedError when the lengths do not fit."""
    upper, sums, counts = tensors["gram"], tensors["sums"], tensors["counts"]
    if len(upper) != feature_count * (feature_count + 1) // 2 or sums.shape != (label_count, feature_count) or counts.shape != (label_count,):
        raise DamagedError(f"head.safetensors: expected {feature_count} features and {label_count} labels, found other sizes; run `edge-nusa undo`")
    gram = np.zeros((feature_count, feature_count), np.int64)
    gram[np.triu_indices(feature_count)] = upper
    gram = gram + np.triu(gram, 1).T
    return Head(gram, sums.astype(np.int64).T, counts.astype(np.int64))
