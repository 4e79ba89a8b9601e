"""The analytic head: linear discriminant analysis of the trunk's frozen taps, from running sums that any order gives
bit for bit.

Every picture's taps become a feature vector z of whole numbers (fixed point, 10 binary places), so the sums G = sum z
z^T and Q = sum z y^T are exact integers: order, chunks and devices cannot change them. From them come the label means m
= q / n and the pooled scatter within labels T = G - sum q q^T / n, and a picture's score for a label is z^T P m - m^T P
m / 2 with P = ((1 - a) T / f + lambda I)^-1 (Fisher 1936; f degrees of freedom). The shrinkage a is OAS (Chen, Wiesel,
Eldar, Hero 2010, arXiv 0907.4698, eq. 23), a formula of the sums alone; over eight real sets this beat ridge regression
on the same sums by 2 to 5 points, on a ninth it lost one (docs/evidence.md). Sums as in RanPAC (arXiv 2307.02251) and
RAIL (arXiv 2406.18868). Letters: B images, F features, L labels.
"""

from __future__ import annotations

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.knowledge.fit import (
    ONE_PICTURE_VARIANCE,
    UNIT,
    Solved,
    mean_square,
    spread,
    times_lower,
    within,
)
from edge_nusa.threads import one_blas_thread

LARGEST = 32.0
"""Features beyond this are cut off; taps are scaled to a root mean square of 1, so this is far out."""
SMALLEST_VARIANCE = 0.01
"""lambda is at least this (a feature's mean square is about 1), so that a label of near-identical pictures is no
exact point."""


def features(taps: np.ndarray) -> np.ndarray:
    """Fixed-point features (B, F) int64, F = taps + 1, of taps (B, F - 1) float32: root mean square 1 each row, then
    a bias.

    Raises InputError for NaN or infinite taps.
    """
    if not np.isfinite(taps).all():
        raise InputError(
            "the trunk gave NaN or infinite features for a picture; check the bundle with `edge-nusa doctor`"
        )
    wide = taps.astype(np.float64)
    wide /= np.maximum(np.sqrt(np.mean(wide**2, axis=1, keepdims=True)), 1e-12)
    with_bias = np.concatenate([wide, np.ones((len(wide), 1))], axis=1)
    return np.rint(np.clip(with_bias, -LARGEST, LARGEST) * UNIT).astype(np.int64)


class Head:
    """Running sums: gram (F, F) int64, sums (F, L) int64 (one column a label), counts (L,) int64, and spare: degrees of
    freedom that forgotten labels left in the scatter, less those that pictures lack whose group's mean stands for each
    of them (`edge_nusa.knowledge.private`)."""

    def __init__(self, gram: np.ndarray, sums: np.ndarray, counts: np.ndarray, spare: int = 0) -> None:
        self.gram, self.sums, self.counts, self.spare = gram, sums, counts, spare

    @classmethod
    def empty(cls, feature_count: int) -> Head:
        """A head that has seen nothing."""
        return cls(
            np.zeros((feature_count, feature_count), np.int64),
            np.zeros((feature_count, 0), np.int64),
            np.zeros(0, np.int64),
        )

    @one_blas_thread
    def added(self, feature_rows: np.ndarray, columns: np.ndarray, label_count: int) -> Head:
        """A new head that has also seen feature_rows (B, F) int64 of the labels `columns` (B,), out of
        `label_count`."""
        sums = np.zeros((len(self.gram), label_count), np.int64)
        counts = np.zeros(label_count, np.int64)
        sums[:, : self.sums.shape[1]], counts[: len(self.counts)] = self.sums, self.counts
        # int64 products have no BLAS; float64 holds every one exactly, since they stay below 2^53
        wide = feature_rows.astype(np.float64)
        gram = self.gram + (wide.T @ wide).astype(np.int64)
        for column in np.unique(columns):
            sums[:, column] += feature_rows[columns == column].sum(axis=0)
            counts[column] += int((columns == column).sum())
        return Head(gram, sums, counts, self.spare)

    def without(self, column: int) -> Head:
        """A new head that has forgotten a label: its sum, count and mean are gone, and with them its share n m m^T
        of G, rounded to whole numbers. How its pictures scattered around their mean stays, as scatter of no label."""
        sums, count = self.sums[:, column], int(self.counts[column])
        return Head(
            self.gram - mean_part(sums, count),
            np.delete(self.sums, column, axis=1),
            np.delete(self.counts, column),
            self.spare + max(count - 1, 0),
        )

    def first(self, count: int) -> Head:
        """The head of the first `count` features alone."""
        return Head(self.gram[:count, :count], self.sums[:count], self.counts, self.spare)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the scatter within labels; 0 where no label has two pictures or two groups of them."""
        return max(int(np.maximum(self.counts - 1, 0).sum()) + self.spare, 0)

    @one_blas_thread
    def moments(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Label means (L, F) and the covariance within labels (F, F), both float64, with its degrees of freedom f,
        at least 1."""
        means = (self.sums / np.maximum(self.counts, 1)).T / UNIT
        scatter = self.gram / UNIT**2 - (means.T * self.counts) @ means
        freedom = max(self.freedom, 1)
        return means, scatter / freedom, freedom

    @one_blas_thread
    def solve(self) -> Solved:
        """Fit in float64. Raises InputError when nothing was learned."""
        if self.sums.shape[1] == 0:
            raise InputError("the head knows no label yet; teach one with `edge-nusa learn`")
        means, covariance, freedom = self.moments()
        shrinkage, variance = oas(covariance, freedom)
        variance = max(variance, SMALLEST_VARIANCE if self.freedom else ONE_PICTURE_VARIANCE)
        trace, size = float(np.trace(covariance)), len(covariance)
        centres, guess = means.astype(np.float32), size * ONE_PICTURE_VARIANCE / 2
        covariance *= 1 - shrinkage
        covariance[np.diag_indices_from(covariance)] += variance
        whitening = inverse_of_lower(np.linalg.cholesky(covariance))
        return Solved(
            whitening=whitening,
            means=times_lower(means, whitening),
            counts=self.counts,
            shrinkage=shrinkage,
            variance=variance,
            downdate=(1 - shrinkage) / freedom,
            spread=spread(within(whitening, trace, shrinkage, variance), 1 - shrinkage, self.freedom, guess / variance),
            centres=centres,
            scatter=np.maximum(self.counts * (size - np.square(centres, dtype=np.float64).sum(axis=1)), 0.0),
            guess=guess,
            pooled=float(mean_square(np.array(self.freedom * trace), np.array(self.freedom + 1), guess)),
        )


@one_blas_thread
def inverse_of_lower(triangle: np.ndarray) -> np.ndarray:
    """The inverse of a lower triangular (F, F) float64, by halves; numpy has none that leaves the zeros alone."""
    half = len(triangle) // 2
    if half < 64:
        return np.tril(np.linalg.inv(triangle))
    inverse = np.zeros_like(triangle)
    upper, lower = inverse_of_lower(triangle[:half, :half]), inverse_of_lower(triangle[half:, half:])
    inverse[:half, :half], inverse[half:, half:] = upper, lower
    inverse[half:, :half] = -lower @ (triangle[half:, :half] @ upper)
    return inverse


def mean_part(sums: np.ndarray, count: int) -> np.ndarray:
    """(F, F) int64: n m m^T of pictures with these sums (F,) int64, rounded to whole numbers; odd in `count`, so that a
    negative count takes back what the positive one gave."""
    size = max(abs(count), 1)
    return (1 if count >= 0 else -1) * ((np.outer(sums, sums) + size // 2) // size)


def oas(covariance: np.ndarray, freedom: int) -> tuple[float, float]:
    """Shrinkage a in [0, 1] and the variance a tr(S) / F that is added to the diagonal of (1 - a) S.

    covariance (F, F) of `freedom` degrees of freedom; arXiv 0907.4698, eq. 23.
    """
    size = len(covariance)
    trace, square = float(np.trace(covariance)), float(np.square(covariance).sum())
    above = (1 - 2 / size) * square + trace**2
    below = (freedom + 1 - 2 / size) * (square - trace**2 / size)
    shrinkage = 1.0 if below <= above else above / below
    return shrinkage, shrinkage * trace / size
