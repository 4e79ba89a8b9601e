"""A fitted head: how probable each label is of a picture's features, how far pictures lie, and both as if a picture had
not been taught.

Letters: B images, F features, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edge_nusa.threads import one_blas_thread

BINARY_PLACES = 10
UNIT = 2.0**BINARY_PLACES
ONE_PICTURE_VARIANCE = 0.72
"""lambda where no label has two pictures, so that nothing says how pictures of one label differ: the mean squared
difference of a feature of two pictures of one label (`lite`, eleven sets: docs/evidence.md)."""
GUESSED_FREEDOM = 3
"""How many degrees of freedom that guess counts for in what distance is expected of a new picture."""
NARROWEST = 0.25
WIDEST = 4.0
"""A label's own mean square counts as at least and at most so many times that of all labels."""
SMALLEST_LEFT = 1e-3
"""What of a picture's weight is left, at least, when it is left out of the sums."""
NEVER = -1e9
"""The score of a label of which nothing is left."""
STRIP = 256
"""Rows of a triangle multiplied at a time."""


@dataclass(frozen=True, kw_only=True)
class Solved:
    """A fitted head. whitening (F, F) float64 (or float32, `for_asking`), lower triangular, with P = whitening^T
    whitening; means (L, F) float64, whitened;
    counts (L,) int64; shrinkage a in [0, 1]; variance lambda; downdate: (1 - a) / f, a picture's weight in P's
    inverse; spread: expected squared distance of a picture that is not in the sums from the true mean of its label;
    centres (L, F) float32: means as features; scatter (L,) float64: summed squared distance of each label's pictures
    from its centre; guess: what one picture's is guessed to be; pooled: what it is over all labels."""

    whitening: np.ndarray
    means: np.ndarray
    counts: np.ndarray
    shrinkage: float
    variance: float
    downdate: float
    spread: float
    centres: np.ndarray
    scatter: np.ndarray
    guess: float
    pooled: float

    def only(self, columns: np.ndarray) -> Solved:
        """The same fit with these labels alone to choose from, in this order. columns (K,) int64."""
        return replace(
            self,
            means=self.means[columns],
            counts=self.counts[columns],
            centres=self.centres[columns],
            scatter=self.scatter[columns],
        )

    def for_asking(self) -> Solved:
        """The same with the whitening in float32: half the memory and half the time of a picture. Scores and
        distances differ by about a millionth of themselves, so it is not for what is kept."""
        return replace(self, whitening=self.whitening.astype(np.float32))

    def whitened(self, feature_rows: np.ndarray) -> np.ndarray:
        """(B, F) float64 rows whose plain products are products under P. feature_rows (B, F) int64."""
        return times_lower(feature_rows / UNIT, self.whitening)

    @one_blas_thread
    def scores(self, rows: np.ndarray) -> np.ndarray:
        """(B, L) float64: log-likelihood of each label up to a constant of the picture. rows (B, F) `whitened`."""
        scores = rows @ self.means.T - np.square(self.means).sum(axis=1) / 2
        return np.where(self.counts > 0, scores, NEVER)

    def distances(self, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """(B,) float64 squared Mahalanobis distance to the nearest label mean. rows (B, F) `whitened`; scores (B, L)
        theirs."""
        return np.maximum(np.square(rows).sum(axis=1) - 2 * scores.max(axis=1), 0.0)

    def expected(self, counts: np.ndarray) -> np.ndarray:
        """(L,) float64: expected squared distance of a new picture of a label from the mean of the `counts` (L,)
        pictures that the label is known by: (1 + 1 / n) spread."""
        return np.asarray((1 + 1 / np.maximum(counts, 1)) * self.spread)

    @property
    def widths(self) -> np.ndarray:
        """(L,) float64: how widely each label's pictures lie beside those of all labels; the square root, half of the
        way from all labels alike to each by itself."""
        own = mean_square(self.scatter, self.counts, self.guess)
        return np.asarray(np.sqrt(np.clip(own / self.pooled, NARROWEST, WIDEST)))

    @one_blas_thread
    def novelty(self, feature_rows: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """(B,) float64: how far pictures lie from the label of the greatest score, 1 for one as far as expected.

        The geometric mean of two squared distances, each by what is expected of a new picture: under P, by all labels'
        spread and the label's width (Mahalanobis, Lee et al. 2018, arXiv 1807.03888), and plain, by the label's own
        pictures alone. feature_rows (B, F) int64; rows (B, F) `whitened`; scores (B, L).
        """
        nearest = scores.argmax(axis=1)
        inside = self.distances(rows, scores) / (self.expected(self.counts) * self.widths)[nearest]
        plain = np.square(feature_rows / UNIT - self.centres[nearest]).sum(axis=1)
        own = mean_square(self.scatter, self.counts, self.guess) * (1 + 1 / np.maximum(self.counts, 1))
        return np.asarray(np.sqrt(inside * plain / own[nearest]))

    @one_blas_thread
    def left_out(self, feature_rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (B, L) by `leave_one_out`, and the novelty (B,) of each picture as one of its own label, left out of
        that too; infinite for a label's only picture. feature_rows (B, F) int64 of the labels `columns` (B,)."""
        scores, inside = self.leave_one_out(self.whitened(feature_rows), columns)
        counts = self.counts[columns].astype(np.float64)
        left = np.maximum(counts - 1, 1)
        inside = inside / (self.expected(left) * self.widths[columns])
        length = np.square(feature_rows / UNIT - self.centres[columns]).sum(axis=1)
        rest = np.maximum(self.scatter[columns] - counts / left * length, 0.0)
        plain = (counts / left) ** 2 * length / (mean_square(rest, left, self.guess) * (1 + 1 / left))
        return scores, np.where(counts < 2, np.inf, np.sqrt(inside * plain))

    @one_blas_thread
    def leave_one_out(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (B, L) and the distance (B,) to its own label's mean of pictures that are in the sums, each as if
        it alone were not; a, f and lambda stay. rows (B, F) `whitened`, of the labels `columns` (B,)."""
        own = np.arange(len(rows)), columns
        counts = self.counts[columns].astype(np.float64)
        is_alone = counts < 2
        left = np.maximum(counts - 1, 1)
        residual = np.where(is_alone[:, None], 0.0, rows - self.means[columns])
        length = np.square(residual).sum(axis=1)
        weight = self.downdate * counts / left  # T loses n / (n - 1) r r^T
        gain = weight / np.maximum(1 - weight * length, 1e-9)
        to_means, means = rows @ self.means.T, np.tile(np.square(self.means).sum(axis=1), (len(rows), 1))
        along_means, along_row = residual @ self.means.T, (residual * rows).sum(axis=1)
        # the own label's mean moves by -r / (n - 1)
        means[own] += (length / left - 2 * along_means[own]) / left
        to_means[own] -= along_row / left
        along_means[own] -= length / left
        scores = (
            to_means + gain[:, None] * along_row[:, None] * along_means - (means + gain[:, None] * along_means**2) / 2
        )
        scores[:, self.counts == 0] = NEVER
        scores[own] = np.where(is_alone, NEVER, scores[own])
        moved = counts / left  # the picture's distance from the moved mean is n / (n - 1) r
        return scores, moved**2 * length * (1 + gain * length)


def mean_square(scatter: np.ndarray, counts: np.ndarray, guess: float) -> np.ndarray:
    """Mean squared distance within labels of `counts` pictures whose squares sum to `scatter`, by degrees of freedom;
    the guess counts for GUESSED_FREEDOM."""
    freedom = np.maximum(counts - 1, 0)
    return np.asarray((scatter + GUESSED_FREEDOM * guess) / (freedom + GUESSED_FREEDOM))


def within(whitening: np.ndarray, trace: float, shrinkage: float, variance: float) -> float:
    """tr(P S) of the covariance S within labels, whose trace is given: the mean squared distance of a picture in the
    sums. whitening (F, F) with P = whitening^T whitening = ((1 - a) S + lambda I)^-1, so that tr(P S) = (F - lambda
    tr(P)) / (1 - a)."""
    kept = 1 - shrinkage
    if kept < SMALLEST_LEFT:
        return trace / variance
    return (len(whitening) - variance * float(np.square(whitening).sum())) / kept


def spread(inside: float, kept: float, freedom: int, guess: float) -> float:
    """Expected squared distance of a new picture from the true mean of its label.

    inside: tr(P S), `within`; kept: 1 - a; freedom: degrees of freedom f; guess: what is guessed where there are none.
    Leaving a picture r out of S divides its r^T P r by 1 - (1 - a) r^T P r / f
    (Sherman and Morrison 1950), where the mean stands for each. It is averaged over f degrees of freedom with the guess
    of ONE_PICTURE_VARIANCE / 2 a feature, which counts for GUESSED_FREEDOM.
    """
    left_out = inside / max(1 - kept * inside / max(freedom, 1), SMALLEST_LEFT)
    return (freedom * left_out + GUESSED_FREEDOM * guess) / (freedom + GUESSED_FREEDOM)


@one_blas_thread
def times_lower(rows: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """(B, F) float64: rows (B, F) times the transpose of a lower triangular (F, F), in the triangle's precision and
    in strips that end at the diagonal: its zeros are not read, which for one picture is most of the work."""
    product = np.empty((len(rows), len(triangle)))
    rows = np.ascontiguousarray(rows, triangle.dtype)  # how they lie in memory must not change a bit
    for start in range(0, len(triangle), STRIP):
        end = min(start + STRIP, len(triangle))
        product[:, start:end] = rows[:, :end] @ triangle[start:end, :end].T
    return product
