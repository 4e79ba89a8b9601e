"""What pictures of taught labels looked like, drawn anew from the head's sums: old labels take part in training, and
no picture of them is kept.

The head's features begin with the token t that the image tower's last linear map P takes (`shapes.Recollection`: a
ViT's class token after the last norm; P may be the identity), up to a factor, so a drawn token gives an embedding
x = (t + S e) P / |(t + S e) P| with e ~ N(0, I) and S S^T the scatter within labels shrunk by OAS. Of old
labels t is the mean; of the task's own pictures it is the picture's token, so that few pictures are not learned by
heart. Class Gaussians for what is no longer there: Zhang et al. 2023 (SLCA, arXiv 2303.05118), who align a classifier
with them. Letters: B pictures, E width, D embedding, F features, O old labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge.fit import UNIT
from edge_nusa.knowledge.head import Head
from edge_nusa.model.bundle import Bundle
from edge_nusa.threads import one_blas_thread

SMALLEST_VARIANCE = 1e-6
"""Added to the scatter, so that one picture alone has one too."""


@dataclass(frozen=True)
class GaussianReplay:
    """tokens (B, E) of a task's pictures and means (O, E) of old labels, scatter (E, E) lower triangular, projection
    (E, D); all float32."""

    tokens: np.ndarray
    means: np.ndarray
    scatter: np.ndarray
    projection: np.ndarray

    def of_pictures(self, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(K, D) float32 unit norm: the task's pictures `rows` (K,), each moved by a draw of the scatter."""
        return self._drawn(self.tokens[rows], generator)

    def of_labels(self, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(K, D) float32 unit norm: one drawn picture of each of the old labels (K,), counted from 0."""
        return self._drawn(self.means[labels], generator)

    @one_blas_thread
    def _drawn(self, tokens: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        moved = tokens + generator.standard_normal(tokens.shape, np.float32) @ self.scatter.T
        return projected(moved, self.projection)


@one_blas_thread
def projected(tokens: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """(B, D) unit-norm embeddings of class tokens (B, E) after the last norm, whatever their length."""
    rows = tokens @ projection
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def recalled_projection(bundle: Bundle) -> np.ndarray:
    """(E, D) float32: from the first E features of the head to the embedding, up to its length."""
    recollection = bundle.manifest.image.recollection
    if not recollection.projection:
        return np.eye(recollection.taps, dtype=np.float32)
    return np.asarray(bundle.weights.rows(recollection.projection), np.float32)


@one_blas_thread
def gaussian_replay(
    bundle: Bundle, before: Head, old: np.ndarray, feature_rows: np.ndarray, classes: np.ndarray, trained: np.ndarray
) -> GaussianReplay:
    """Of a task: feature_rows (B, F) int64 and classes (B,) int64 of its pictures, of which `trained` (B,) bool may
    be looked at;
    before: the head without them; old (O,) int64: the columns of the labels to remember, of at least one picture
    each."""
    projection = recalled_projection(bundle)
    width = len(projection)
    known = before.first(width)
    first = known.sums.shape[1]
    both = known.added(feature_rows[trained, :width], first + classes[trained], first + int(classes.max()) + 1)
    means, covariance, freedom = both.moments()
    shrinkage, variance = heads.oas(covariance, freedom)
    covariance *= 1 - shrinkage
    covariance[np.diag_indices(width)] += variance + SMALLEST_VARIANCE
    scatter = np.linalg.cholesky(covariance).astype(np.float32)
    tokens = (feature_rows[:, :width] / UNIT).astype(np.float32)
    return GaussianReplay(tokens, means[old].astype(np.float32), scatter, projection)
