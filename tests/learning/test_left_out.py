"""Counts of what is right, the interval that they tell, and what is taken for what, on tables by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge_nusa.device.asking.answer import Answers
from edge_nusa.device.learning.left_out import NO_LABEL, Count, LeftOut, wilson


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    [
        (81, 263, 25.5, 36.6),  # Newcombe 1998, table I, method 3
        (15, 148, 6.2, 16.0),
        (0, 20, 0.0, 16.1),
        (1, 29, 0.6, 17.2),
        (6, 7, 48.7, 97.4),
        (7, 7, 64.6, 100.0),
        (0, 1, 0.0, 79.3),
        (1, 1, 20.7, 100.0),
        (3, 3, 43.9, 100.0),
    ],
)
def test_the_interval_is_wilsons(right: int, asked: int, low: float, high: float) -> None:
    assert wilson(right, asked) == (low, high)


def test_nothing_asked_has_neither_percent_nor_interval() -> None:
    assert (Count(0, 0).percent, Count(0, 0).interval) == (None, None)
    assert (Count(2, 3).percent, Count(2, 3).interval) == (66.67, (20.8, 93.9))


def test_counts_confusions_and_losses_are_of_each_label() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6], [0.6, 0.3, 0.1], [0.4, 0.5, 0.1]])
    answers = Answers(probabilities, np.ones(5), np.zeros(5), 2)
    found = LeftOut.of(answers, np.array([0, 0, 0, 1, 1]), np.array([3, 4, 5, 8, 9]), 2)
    assert found.answered.tolist() == [0, 1, NO_LABEL, 0, 1]
    assert (found.count(0), found.count(1), found.count(2)) == (Count(1, 3), Count(1, 2), Count(0, 0))
    assert found.total == Count(2, 5)
    assert found.taken_for(0) == {NO_LABEL: 1, 1: 1} and found.taken_for(1) == {0: 1}
    assert found.losses.tolist() == pytest.approx((-np.log([0.7, 0.1, 0.2, 0.3, 0.5])).tolist())
    assert found.mistaken == [1, 2, 3]


def test_what_a_label_is_mostly_taken_for_comes_first() -> None:
    found = LeftOut(np.zeros(6, np.int64), np.array([2, 1, 2, 0, NO_LABEL, 1]), np.zeros(6), np.arange(6))
    assert list(found.taken_for(0).items()) == [(1, 2), (2, 2), (NO_LABEL, 1)]


def test_an_impossible_answer_has_a_finite_loss() -> None:
    answers = Answers(np.array([[0.0, 1.0]]), np.ones(1), np.zeros(1), 2)
    assert LeftOut.of(answers, np.array([0]), np.array([0]), 2).losses[0] == pytest.approx(27.63, abs=0.01)


def test_a_picture_that_is_probably_none_of_the_labels_is_not_recognised() -> None:
    answers = Answers(np.array([[0.4, 0.09], [0.3, 0.21]]), np.array([0.49, 0.51]), np.zeros(2), 2)
    found = LeftOut.of(answers, np.array([0, 0]), np.array([0, 1]), 2)
    assert found.answered.tolist() == [NO_LABEL, 0]
