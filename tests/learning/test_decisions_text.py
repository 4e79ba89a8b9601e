"""Whether a trained text is kept: the rule as a table, in any order of the pictures, and what a person is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_by_hand import SCALE, clusters, taught, unit

from edge_nusa.device.asking.answer import Answerer
from edge_nusa.device.learning import text_trial
from edge_nusa.device.learning.lesson import Lesson, Seen, Taught
from edge_nusa.device.learning.text_trial import TextTrial, measured, try_text, why_no_text
from edge_nusa.knowledge.fusion import UNIT
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.recipes import DEVICE

AXES = np.eye(3, dtype=np.float32)


def trial(right: tuple[int, int], loss: tuple[int, int]) -> TextTrial:
    """Of 9 pictures: (without the text, with it)."""
    return TextTrial(asked=9, right_without=right[0], right_with=right[1], loss_without=loss[0], loss_with=loss[1])


@pytest.mark.parametrize(
    ("right", "loss", "adds", "reason"),
    [
        ((5, 5), (100, 99), True, "5 are answered right with it and 5 without, and it makes their labels likelier"),
        ((5, 6), (100, 99), True, "6 are answered right with it and 5 without, and it makes their labels likelier"),
        ((5, 5), (100, 100), False, "5 .* with it and 5 without, but it makes their labels no likelier"),
        ((5, 6), (100, 101), False, "6 .* with it and 5 without, but it makes their labels no likelier"),
        ((5, 4), (100, 50), False, "4 are answered right with it and 5 without$"),
        ((5, 4), (50, 100), False, "4 are answered right with it and 5 without$"),
    ],
)
def test_a_text_is_kept_that_answers_no_fewer_right_and_makes_labels_likelier(
    right: tuple[int, int], loss: tuple[int, int], adds: bool, reason: str
) -> None:
    found = trial(right, loss)
    assert found.adds is adds
    assert found.outcome().outcome == ("kept" if adds else "dropped")
    assert re.search(f"^of 9 pictures asked {reason}", found.outcome().reason)


def test_pictures_are_counted_and_their_misses_added_as_whole_numbers_each_rounded() -> None:
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    goals = np.array([0, 1, 1])
    misses = [round(UNIT * np.log(2)), round(-UNIT * np.log(0.75)), round(-UNIT * np.log(1e-12))]
    assert measured(probabilities, goals) == (2, sum(misses))
    order = np.array([2, 0, 1])
    assert measured(probabilities[order], goals[order]) == (2, sum(misses))
    assert measured(np.zeros((0, 2)), np.zeros(0, np.int64)) == (0, 0)


@pytest.mark.parametrize(
    ("names", "counts", "why"),
    [
        (("a",), (5, 5), "one label alone has nothing that it could be told apart from"),
        (("a", "b"), (5, 5), None),
        (("a", "b"), (1, 5), None),
        (("a", "b"), (4, 4), "it takes 5 pictures of a label: one in 5 is held back to judge it by"),
    ],
)
def test_no_text_is_trained_that_has_nothing_to_tell_apart_or_to_be_judged_by(
    names: tuple[str, ...], counts: Sequence[int], why: str | None
) -> None:
    assert why_no_text(replace(lesson(counts=counts), names=names)) == why


@pytest.mark.parametrize(("count", "held_back"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3)])
def test_one_in_five_pictures_of_a_label_is_held_back_from_the_text_by_the_seed(count: int, held_back: int) -> None:
    one = lesson(counts=(count, 5))
    assert one.held_back[:count].sum() == held_back and one.held_back[count:].sum() == 1
    assert np.array_equal(one.held_back, lesson(counts=(count, 5)).held_back)
    assert len({replace(one, seed=seed).held_back.tobytes() for seed in range(9)}) > 1


def test_each_of_three_labels_has_its_own_pictures_held_back() -> None:
    one = lesson(counts=(5, 5))
    classes = np.repeat([0, 1, 2], 5)
    seen = replace(one.seen, classes=classes, held_out=np.zeros(15, bool))
    assert [replace(one, seen=seen).held_back[classes == label].sum() for label in range(3)] == [1, 1, 1]


def test_what_the_judge_holds_out_is_held_back_and_no_more_of_that_label() -> None:
    one = lesson(held=[2], counts=(12, 5))
    assert np.flatnonzero(one.held_back[:12]).tolist() == [2] and one.held_back[12:].sum() == 1
    assert one.seen.held_out.sum() == 1


def lesson(held: Sequence[int] = (), counts: Sequence[int] = (5, 5)) -> Lesson:
    """Two labels of five pictures, whose embeddings lie between the axes, nearer to their own."""
    rows, goals = clusters(0, counts, distance=0.5)
    seen = Seen(
        embedding=unit((1, 0.8, 0), (0.8, 1, 0))[goals],
        rows=rows,
        tokens=None,
        classes=goals,
        held_out=np.isin(np.arange(len(goals)), held),
    )
    before = replace(taught(("a", "b"), rows, goals), cores={})
    return Lesson(before=before, names=("a", "b"), columns=np.array([0, 1]), seen=seen, recipe=DEVICE, seed=0)


def lessons(one: Lesson, adapted: np.ndarray) -> tuple[Taught, Taught]:
    """Taught with the axes as anchors, and with these in their place."""
    without: Knowledge = replace(one.before, frozen_anchors=AXES[:2], adapted_anchors=AXES[:2])
    with_text = replace(without, adapted_anchors=adapted)
    return Taught(without, without, None), Taught(with_text, with_text, None)


APART, SWAPPED = unit((1, -1, 0), (-1, 1, 0)), AXES[:2][::-1]


@pytest.mark.parametrize(("adapted", "adds"), [(APART, True), (AXES[:2], False), (SWAPPED, False)])
def test_anchors_that_tell_the_labels_better_apart_are_kept_and_equal_or_swapped_ones_are_not(
    adapted: np.ndarray, adds: bool
) -> None:
    one = lesson()
    found = try_text(one, *lessons(one, adapted), SCALE)
    assert (found.asked, found.adds) == (2, adds)


def test_only_pictures_that_the_text_was_not_trained_on_are_asked() -> None:
    one = lesson(held=[1, 2, 7])
    assert try_text(one, *lessons(one, APART), SCALE).asked == 3


def test_the_order_of_the_pictures_changes_nothing() -> None:
    one = lesson(held=[0, 3, 6, 8])
    order = np.random.default_rng(3).permutation(10)
    parts: dict[str, Any] = {
        name: getattr(one.seen, name)[order] for name in ("embedding", "rows", "classes", "held_out")
    }
    other = replace(one, seen=replace(one.seen, **parts))
    assert try_text(one, *lessons(one, APART), SCALE) == try_text(other, *lessons(other, APART), SCALE)


def test_each_picture_is_left_out_of_the_head_that_answers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    class Seeing(Answerer):
        def __call__(self, pictures: Any, left_out: Any = None) -> Any:
            assert len(self.anchors) == len(self.adapted_anchors) == 2, "the labels and nothing beside them"
            given.append(left_out)
            return super().__call__(pictures, left_out)

    monkeypatch.setattr(text_trial, "Answerer", Seeing)
    one = lesson(held=[1, 7])
    without, adapted = lessons(one, APART)
    try_text(one, without, adapted, SCALE)
    expected = without.whole.solved.left_out(one.seen.rows[[1, 7]], one.goals[[1, 7]])
    for scores, novelty in given:
        np.testing.assert_array_equal(scores, expected[0])
        np.testing.assert_array_equal(novelty, expected[1])
    assert len(given) == 2
