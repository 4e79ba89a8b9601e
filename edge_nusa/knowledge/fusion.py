"""How much the head and the text count in an answer, from running sums of how likely each mixture made the taught
pictures.

Among learned labels the logits are a * w(n) * head scores + c * logit_scale * cos(picture, anchors), where w(n) = n /
(n + MATURITY) grows with the pictures n that the labels are known by: means of few pictures err, and so every candidate
(a, c) means the same at one picture and at a hundred (docs/evidence.md). Scores come divided by how widely the labels
lie (`edge_nusa.knowledge.fit.Solved.widths`), so that digits among photographs are told as surely as they can be.
Each taught picture, left out of the head, adds its negative log-likelihood under every candidate, as a whole number of
2^-10 nats, to a grid of constant size, with the frozen anchors as text, which no picture has trained; the candidate of
the least sum answers. Both are log-linear pools, as in training-free adaptation of CLIP by discriminant analysis (Wang
et al. 2024, arXiv 2402.04087), where c / a is fixed by validation pictures instead.
Letters: B images, L learned labels, A temperatures, C text weights.
"""

from __future__ import annotations

import numpy as np

from edge_nusa.errors import DamagedError

TEMPERATURES = (0.015, 0.03, 0.06, 0.12, 0.24, 0.48, 0.75, 1.0)
"""Candidates of a."""
TEXT_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5)
"""Candidates of c."""
FIRST = TEMPERATURES.index(0.12), TEXT_WEIGHTS.index(0.5)
"""What answers where nothing speaks for another; within half a point of the best at 1 to 16 pictures (docs/evidence.md,
eleven sets)."""
SHAPE = len(TEMPERATURES), len(TEXT_WEIGHTS)
MATURITY = 8.0
"""Pictures of a label at which its head's scores count half of what they would with very many."""
FEWEST_TO_SPEAK = 4
"""A label known by fewer pictures says nothing about the mixture: with one left out, too few are left."""
UNIT = 2**10
"""Whole numbers a nat: sums are the same bits in any order, and can be taken back."""
LEAST_LIKELY = 1e-12
"""A picture counts as at least so likely, so that one cannot outvote all others."""
LARGEST = round(-UNIT * float(np.log(LEAST_LIKELY)))
"""What one picture adds at most."""


def nothing_seen() -> np.ndarray:
    """(A, C) int64 sums before the first picture: a nat for each place away from FIRST, so that some twenty pictures
    are needed to move it."""
    rows, columns = np.indices(SHAPE)
    return np.asarray((abs(rows - FIRST[0]) + abs(columns - FIRST[1])) * UNIT, np.int64)


def maturity(counts: np.ndarray) -> float:
    """w = n / (n + MATURITY) of the harmonic mean n of labels' pictures (L,); 0 pictures count as one."""
    if not len(counts):
        return 1.0
    harmonic = len(counts) / float((1 / np.maximum(counts, 1)).sum())
    return harmonic / (harmonic + MATURITY)


def losses(head_scores: np.ndarray, text_logits: np.ndarray, goals: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(A, C) int64: the loss of all pictures under each candidate (`losses_of_each`)."""
    return np.asarray(losses_of_each(head_scores, text_logits, goals, counts).sum(axis=0))


def losses_of_each(
    head_scores: np.ndarray, text_logits: np.ndarray, goals: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """(B, A, C) int64: the loss of each picture under each candidate, in nats / UNIT, rounded.

    head_scores (B, L) by leave-one-out; text_logits (B, L) logit_scale * cos with the frozen anchors; goals (B,) int64;
    counts (L,) int64: pictures of each label in the head. Pictures of labels below FEWEST_TO_SPEAK add nothing.
    """
    found = np.zeros((len(goals), *SHAPE), np.int64)
    speaks = counts[goals] >= FEWEST_TO_SPEAK
    head_scores, text_logits, goals = head_scores[speaks], text_logits[speaks], goals[speaks]
    left = counts[goals, None] - 1.0
    head_scores = head_scores * left / (left + MATURITY)
    for place in np.ndindex(SHAPE):
        logits = mixed(head_scores, text_logits, TEMPERATURES[place[0]], TEXT_WEIGHTS[place[1]])
        logits = logits - logits.max(axis=1, keepdims=True)
        likelihood = logits[np.arange(len(goals)), goals] - np.log(np.exp(logits).sum(axis=1))
        found[(speaks, *place)] = np.rint(-UNIT * np.maximum(likelihood, np.log(LEAST_LIKELY))).astype(np.int64)
    return found


def best(sums: np.ndarray) -> tuple[float, float]:
    """(a, c) of the least sum (A, C); the first of equals."""
    row, column = np.unravel_index(int(np.argmin(sums)), SHAPE)
    return TEMPERATURES[row], TEXT_WEIGHTS[column]


def best_alone(sums: np.ndarray) -> float:
    """a of the least sum where the text does not count, for a head alone."""
    return TEMPERATURES[int(np.argmin(sums[:, 0]))]


def mixed(head_scores: np.ndarray, text_logits: np.ndarray, temperature: float, text_weight: float) -> np.ndarray:
    """(B, L) float64 logits; head_scores (B, L) times their `maturity`."""
    return np.asarray(temperature * head_scores + text_weight * text_logits)


def check(sums: np.ndarray) -> np.ndarray:
    """The sums, none negative. Raises DamagedError otherwise."""
    if sums.shape != SHAPE or (sums < 0).any():
        raise DamagedError(
            f"head.safetensors: fusion: expected {SHAPE} sums of at least 0, found others; run `edge-nusa undo`"
        )
    return sums
