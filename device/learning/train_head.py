"""What one task's pictures do to the head: its sums, how it is mixed with the text, and how novel each label's own
pictures look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge

FEWEST_FOR_NOVELTY = 4
"""A label taught with fewer pictures at once says nothing about how novel its pictures may look."""
NOVELTY_QUANTILE = 0.9
"""Share of a label's own pictures, each left out in turn, that are within its novelty limit."""


def with_head(
    candidate: Knowledge, before: Head, rows: np.ndarray, text_logits: np.ndarray, goals: np.ndarray, held: np.ndarray
) -> tuple[Knowledge, Knowledge]:
    """The candidate with the head of the pictures that are not held out, and with the head of all of them.

    before: the head until now; rows (B, F) int64 features; text_logits (B, L): logit_scale * cos with frozen anchors;
    goals (B,) int64: the column of each among the candidate's labels; held (B,) bool.
    """
    count = len(candidate.labels)
    whole = replace(candidate, head=before.added(rows, goals, count))
    scores, distances = whole.solved.leave_one_out(whole.solved.whitened(rows), goals)
    labels = list(candidate.labels)
    unlike_all = len(whole.head.gram) / whole.solved.variance
    for column in np.unique(goals):
        if (goals == column).sum() >= FEWEST_FOR_NOVELTY:
            limit = float(np.quantile(distances[goals == column], NOVELTY_QUANTILE)) / unlike_all
            labels[column] = replace(labels[column], novelty=max(labels[column].novelty, limit))
    whole = replace(whole, fusion=candidate.fusion + fusion.losses(scores, text_logits, goals), labels=tuple(labels))
    if not held.any():
        return whole, whole
    return replace(whole, head=before.added(rows[~held], goals[~held], count)), whole
