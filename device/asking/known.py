"""How probable it is that a picture shows any taught label: "none of these", as one number.

By its novelty (`edge_nusa.knowledge.fit.Solved.novelty`): how far it lies from the label that the head names, as a
multiple of what is expected of a new picture of that label. All of it comes from the head's sums, which any order
gives; nothing is kept of a lesson beside them, and nothing is learned from pictures of other things. The constants were
chosen on eleven sets (docs/evidence.md).
"""

from __future__ import annotations

import numpy as np

EDGE = 1.5
"""The novelty at which a picture is as likely something else as a taught label."""
SLOPE = 9.0
"""How fast that changes: the odds are (EDGE / novelty) ^ SLOPE."""


def probability(found: np.ndarray) -> np.ndarray:
    """(B,) float64 in [0, 1]: that a picture of this novelty (B,) shows a taught label."""
    odds = (EDGE / np.maximum(found, 1e-6)) ** SLOPE
    return np.asarray(odds / (1 + odds))
