"""How much the head and the text count in an answer, from running sums of how likely each mixture made the taught
pictures.

Among learned labels the logits are a * head scores + c * logit_scale * cos(picture, anchors). Each taught picture, left
out of the head, adds its negative log-likelihood under every candidate (a, c), as a whole number of 2^-10 nats, to a
grid of constant size, with the frozen anchors as text, which no picture has trained; the candidate of the least sum
with c of at least LEAST_TEXT_WEIGHT answers, since trained anchors know more than the frozen ones say. Both are
log-linear pools, as in training-free adaptation of CLIP by discriminant analysis (Wang et al. 2024, arXiv 2402.04087),
where c / a is fixed by validation pictures instead. Letters: B images, L learned labels, A temperatures, C text
weights.
"""

from __future__ import annotations

import numpy as np

from edge_nusa.errors import DamagedError

TEMPERATURES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)
"""Candidates of a."""
TEXT_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5)
"""Candidates of c."""
FIRST = TEMPERATURES.index(0.08), TEXT_WEIGHTS.index(0.25)
"""What answers where nothing speaks for another (one label alone, one picture)."""
SHAPE = len(TEMPERATURES), len(TEXT_WEIGHTS)
LEAST_TEXT_WEIGHT = TEXT_WEIGHTS[FIRST[1]]
"""Adapted anchors never count less: training fits them to the labels even where the frozen ones mean nothing
(docs/evidence.md)."""
UNIT = 2**10
"""Whole numbers a nat: sums are the same bits in any order, and can be taken back."""
LEAST_LIKELY = 1e-12
"""A picture counts as at least so likely, so that one cannot outvote all others."""
LARGEST = round(-UNIT * float(np.log(LEAST_LIKELY)))
"""What one picture adds at most."""


def nothing_seen() -> np.ndarray:
    """(A, C) int64 sums before the first picture: about a hundredth of a nat for each place away from FIRST, to
    settle ties."""
    rows, columns = np.indices(SHAPE)
    return np.asarray((abs(rows - FIRST[0]) + abs(columns - FIRST[1])) * (UNIT // 100), np.int64)


def losses(head_scores: np.ndarray, text_logits: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """(A, C) int64: the loss of all pictures under each candidate, in nats / UNIT, each picture's rounded.

    head_scores (B, L) by leave-one-out; text_logits (B, L) logit_scale * cos with the frozen anchors; goals (B,) int64.
    """
    found = np.zeros(SHAPE, np.int64)
    for place in np.ndindex(SHAPE):
        logits = mixed(head_scores, text_logits, TEMPERATURES[place[0]], TEXT_WEIGHTS[place[1]])
        logits = logits - logits.max(axis=1, keepdims=True)
        likelihood = logits[np.arange(len(goals)), goals] - np.log(np.exp(logits).sum(axis=1))
        found[place] = np.rint(-UNIT * np.maximum(likelihood, np.log(LEAST_LIKELY))).astype(np.int64).sum()
    return found


def best(sums: np.ndarray) -> tuple[float, float]:
    """(a, c) of the least sum (A, C) among those with c >= LEAST_TEXT_WEIGHT; the first of equals."""
    rest = sums[:, FIRST[1] :]
    row, column = np.unravel_index(int(np.argmin(rest)), rest.shape)
    return TEMPERATURES[row], TEXT_WEIGHTS[FIRST[1] + column]


def best_alone(sums: np.ndarray) -> float:
    """a of the least sum where the text does not count, for a head alone."""
    return TEMPERATURES[int(np.argmin(sums[:, 0]))]


def mixed(head_scores: np.ndarray, text_logits: np.ndarray, temperature: float, text_weight: float) -> np.ndarray:
    """(B, L) float64 logits."""
    return np.asarray(temperature * head_scores + text_weight * text_logits)


def check(sums: np.ndarray) -> np.ndarray:
    """The sums, none negative. Raises DamagedError otherwise."""
    if sums.shape != SHAPE or (sums < 0).any():
        raise DamagedError(
            f"head.safetensors: fusion: expected {SHAPE} sums of at least 0, found others; run `edge-nusa undo`"
        )
    return sums
