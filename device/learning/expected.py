"""How many pictures of each label are expected to be recognised today, without a picture: pictures are drawn from the
head's sums, as if they were new, and asked.

A new picture of a label is m + r: m its mean, r drawn from the scatter within labels T / f. The fit P has seen the
pictures that T is made of, so r is too small along what tells labels apart; left out of the fit it is r / (1 - w h), h
the mean leverage r^T P r of a picture and w its weight, and its own label's mean loses r / n. One leverage for all
pictures is generalised cross-validation (Golub, Heath, Wahba 1979). The text, which was trained on the same pictures,
is asked of the embedding that m + sqrt(1 + 1 / n) r gives, since m is a mean of n pictures. WIDER stretches both, since
labels' pictures scatter more than the pooled scatter says.
Letters: S drawn pictures, F features, L labels, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_nusa.device.asking.answer import Answerer, PictureFeatures
from edge_nusa.device.learning.gaussian_replay import SMALLEST_VARIANCE, projected, recalled_projection
from edge_nusa.knowledge.fit import NEVER, times_lower
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.model.bundle import Bundle
from edge_nusa.threads import one_blas_thread

WIDER = 1.5
"""Chosen on four sets (docs/evidence.md, the judge)."""
MOST_DRAWN, FEWEST_DRAWN, ALL_DRAWN = 100, 20, 10_000
"""Pictures drawn of a label at most and at least, and of all together where that leaves more."""
LEAST_LEFT = 0.05
"""1 - w h is at least this."""


@dataclass(frozen=True)
class _Drawn:
    """means (L, F) and drawn residuals (S, F), both as features; whitened (S, F); leverage h."""

    means: np.ndarray
    residuals: np.ndarray
    whitened: np.ndarray
    leverage: float


@one_blas_thread
def expected(bundle: Bundle, knowledge: Knowledge) -> dict[int, float]:
    """Percent of new pictures that are expected to be answered with each label, of the columns with two pictures and
    more; empty where fewer than two labels are known, or there is no head."""
    counts = knowledge.head.counts
    if not knowledge.recipe.has_head or (counts > 0).sum() < 2:
        return {}
    drawn = _drawn(knowledge, max(FEWEST_DRAWN, min(MOST_DRAWN, ALL_DRAWN // len(counts))))
    none = knowledge.frozen_anchors[:0]
    answerer = Answerer(knowledge, bundle.manifest.logit_scale, none, none)
    projection = recalled_projection(bundle)
    found = {}
    for column in np.flatnonzero(counts > 1).tolist():
        further = WIDER * np.sqrt(1 + 1 / counts[column])
        tokens = (drawn.means[column] + further * drawn.residuals)[:, : len(projection)].astype(np.float32)
        embedding = projected(tokens, projection)
        pictures = PictureFeatures(embedding, embedding, np.zeros((len(embedding), 0), np.int64))
        answers = answerer(pictures, _left_out(knowledge, drawn, column))
        found[column] = round(100 * float((answers.probabilities.argmax(axis=1) == column).mean()), 1)
    return found


@one_blas_thread
def _drawn(knowledge: Knowledge, count: int) -> _Drawn:
    solved, head = knowledge.solved, knowledge.head
    means, covariance, freedom = head.moments()
    scatter = _root(covariance)
    residuals = np.random.default_rng(0).standard_normal((count, len(scatter))) @ scatter.T
    share = float(np.square(times_lower(scatter.T, solved.whitening)).sum())
    pictures = freedom + int((head.counts > 0).sum())
    return _Drawn(means, residuals, times_lower(residuals, solved.whitening), share * freedom / pictures)


@one_blas_thread
def _root(covariance: np.ndarray) -> np.ndarray:
    """A square root (F, F) of the covariance: Cholesky's, or, where forgetting labels rounded it below 0 somewhere,
    the symmetric one of what is above."""
    raised = covariance + SMALLEST_VARIANCE * np.eye(len(covariance))
    try:
        return np.linalg.cholesky(raised)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(raised)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


@one_blas_thread
def _left_out(knowledge: Knowledge, drawn: _Drawn, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (S, L) and novelty (S,) of drawn pictures of a label, as `Solved.left_out` gives them of real ones; they
    lie as widely as those of all labels."""
    solved = knowledge.solved
    count = int(solved.counts[column])
    gain = 1 / max(1 - solved.downdate * count / (count - 1) * drawn.leverage, LEAST_LEFT)
    between, along = solved.means @ solved.means[column], drawn.whitened @ solved.means.T
    scores = between + WIDER * gain * along - np.square(solved.means).sum(axis=1) / 2
    scores[:, column] -= gain * drawn.leverage / count
    scores[:, solved.counts == 0] = NEVER
    distances = np.square(drawn.whitened).sum(axis=1) * gain * (1 + 1 / count)
    return scores, distances / float(solved.expected(np.array([count]))[0])
