"""What one task's pictures do to the head: its sums, how it is mixed with the text, and how far each label's own
pictures lie from its mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_nusa.device.asking import known
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge

FEWEST_FOR_NOVELTY = 4
"""A label taught with fewer pictures at once says nothing about how novel its pictures may look."""


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
    labels, counts = list(candidate.labels), whole.head.counts
    expected = whole.solved.expected(counts - 1)  # each label's mean without the picture that is left out
    for column in np.unique(goals):
        if (goals == column).sum() >= FEWEST_FOR_NOVELTY:
            found = float(distances[goals == column].mean() / expected[column])
            labels[column] = replace(labels[column], novelty=max(labels[column].novelty, found))
    widths = known.widths(np.array([label.novelty for label in labels]))
    losses = fusion.losses(scores / widths[goals, None], text_logits, goals, counts)
    whole = replace(whole, fusion=candidate.fusion + losses, labels=tuple(labels))
    if not held.any():
        return whole, whole
    return replace(whole, head=before.added(rows[~held], goals[~held], count)), whole
