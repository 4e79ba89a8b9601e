"""How probable it is that a picture shows any taught label: "none of these", as one number.

A picture's novelty is its squared Mahalanobis distance to the nearest label's mean (Lee et al. 2018, arXiv 1807.03888)
as a multiple of what is expected of a new picture of that label: (1 + 1 / n) times the spread of all labels
(`edge_nusa.knowledge.head.Solved.expected`), times the square root of how widely the label's own pictures lay when it
was taught. All of it comes from sums that any order gives; nothing is learned from pictures of other things. The
constants were chosen on eleven sets (docs/evidence.md). Letters: B pictures, L labels.
"""

from __future__ import annotations

import numpy as np

EDGE = 1.45
"""The novelty at which a picture is as likely something else as a taught label."""
SLOPE = 9.0
"""How fast that changes: the odds are (EDGE / novelty) ^ SLOPE."""
NARROWEST = 0.25
WIDEST = 4.0
"""A label's own spread counts as at least and at most so many times that of all labels."""


def widths(own: np.ndarray) -> np.ndarray:
    """(L,) float64: how widely each label lies beside all labels, by its `Label.novelty` (L,), 0 where too few pictures
    told: its square root, half of the way from all labels alike to each by itself."""
    return np.asarray(np.sqrt(np.where(own > 0, np.clip(own, NARROWEST, WIDEST), 1.0)))


def novelty(distances: np.ndarray, nearest: np.ndarray, expected: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(B,) float64, 1 for a picture as far from its label as expected.

    distances (B,): squared, to the nearest label; nearest (B,) int64: which that is; expected (L,): of each label; own
    (L,): their `widths`.
    """
    return np.asarray(distances / (expected * own)[nearest])


def probability(found: np.ndarray) -> np.ndarray:
    """(B,) float64 in [0, 1]: that a picture of this novelty (B,) shows a taught label."""
    odds = (EDGE / np.maximum(found, 1e-6)) ** SLOPE
    return np.asarray(odds / (1 + odds))
