"""What one task's pictures do to the head: its sums, and how it is mixed with the text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge


def with_head(
    candidate: Knowledge, before: Head, rows: np.ndarray, text_logits: np.ndarray, goals: np.ndarray, held: np.ndarray
) -> tuple[Knowledge, Knowledge, np.ndarray]:
    """The candidate with the head of the pictures that are not held out, and with the head of all of them; and what
    each picture added to the losses, (B, 8, 7) int64.

    before: the head until now; rows (B, F) int64 features; text_logits (B, L): logit_scale * cos with frozen anchors;
    goals (B,) int64: the column of each among the candidate's labels; held (B,) bool.
    """
    count = len(candidate.labels)
    whole = replace(candidate, head=before.added(rows, goals, count))
    solved = whole.solved
    scores, _ = solved.leave_one_out(solved.whitened(rows), goals)
    losses = fusion.losses_of_each(scores / solved.widths[goals, None], text_logits, goals, solved.counts)
    whole = replace(whole, fusion=candidate.fusion + losses.sum(axis=0))
    if not held.any():
        return whole, whole, losses
    return replace(whole, head=before.added(rows[~held], goals[~held], count)), whole, losses
