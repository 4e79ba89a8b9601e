"""What one task does to the head: which pictures count where and whose
losses are added."""

from __future__ import annotations

import numpy as np
from made_by_hand import clusters, taught

from edge_nusa.device.learning import train_head as lesson
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge

NAMES = ("a", "b")
F = 7


def learned(
    counts: tuple[int, int], held: list[int] | None = None, before: Head | None = None
) -> tuple[Knowledge, Knowledge, np.ndarray, np.ndarray]:
    """Part and whole of a task of two labels with so many pictures, of which the rows `held` are held out; and its
    rows and columns."""
    rows, goals = clusters(1, counts)
    candidate = taught(NAMES, rows[:0], goals[:0])
    is_held = np.isin(np.arange(len(rows)), held or [])
    part, whole, _ = lesson.with_head(
        candidate, before or Head.empty(F), rows, np.zeros((len(rows), 2)), goals, is_held
    )
    return part, whole, rows, goals


def test_held_out_pictures_are_in_the_whole_head_alone() -> None:
    part, whole, rows, goals = learned((10, 10), held=[2, 13])
    assert (part.head.counts.tolist(), whole.head.counts.tolist()) == ([9, 9], [10, 10])
    kept = ~np.isin(np.arange(20), [2, 13])
    assert np.array_equal(part.head.gram, Head.empty(F).added(rows[kept], goals[kept], 2).gram)
    assert np.array_equal(whole.head.gram, Head.empty(F).added(rows, goals, 2).gram)
    assert part.labels == whole.labels and np.array_equal(part.fusion, whole.fusion)


def test_without_held_out_pictures_there_is_one_head() -> None:
    part, whole, _, _ = learned((5, 5))
    assert part is whole


def test_what_the_head_knew_before_stays_in_both() -> None:
    rows, goals = clusters(2, (3, 0))
    part, whole, _, _ = learned((10, 10), held=[0], before=Head.empty(F).added(rows, goals, 1))
    assert (part.head.counts.tolist(), whole.head.counts.tolist()) == ([12, 10], [13, 10])


def test_the_losses_of_all_pictures_each_left_out_are_added_to_the_running_sums() -> None:
    rows, goals = clusters(3, (6, 6))
    text = np.random.default_rng(0).normal(size=(12, 2))
    candidate = taught(NAMES, rows[:0], goals[:0])
    _, whole, each = lesson.with_head(candidate, Head.empty(F), rows, text, goals, np.arange(12) < 2)
    scores, _ = whole.solved.leave_one_out(whole.solved.whitened(rows), goals)
    widths = whole.solved.widths
    expected = fusion.losses(scores / widths[goals, None], text, goals, np.array([6, 6]))
    assert np.array_equal(whole.fusion - candidate.fusion, expected)
    assert each.shape == (12, *fusion.SHAPE) and np.array_equal(each.sum(axis=0), expected)
    assert np.array_equal(candidate.fusion, fusion.nothing_seen())
