"""What the judge measures and what it refuses, at its bounds and one step beyond, on tables by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_by_hand import clusters, unit

from edge_nusa.device.asking.answer import Answers
from edge_nusa.device.learning import judge
from edge_nusa.errors import RefusedError
from edge_nusa.knowledge.head import Head

SOUND = judge.Retention(100.0, 1.0, None)


def test_the_constants_that_no_other_test_of_the_judge_reaches_are_these() -> None:
    assert (judge.DISTRACTORS, judge.LITTLE_APART) == (20, 1.0)


def test_agreement_counts_nouns_still_nearest_to_themselves_and_cosines_are_means_and_the_least() -> None:
    frozen = unit((1, 0), (0, 1), (1, 1))
    adapted = unit((1, 0), (1, 0), (1, 1))  # the second noun now means what the first did
    before, after = unit((1, 0), (0, 1)), unit((3, 4), (0, 1))
    kept = judge.retention(frozen, adapted, before, after)
    assert kept == judge.Retention(66.67, round(2 / 3, 4), 0.6)
    assert judge.retention(frozen, frozen, before[:0], after[:0]) == judge.Retention(100.0, 1.0, None)
    one_each = judge.retention(frozen, frozen, before[:1], after[:1])
    assert one_each.old_labels_cosine == 0.6
    small = judge.retention(unit((1, 0)), unit((1, 0.01)), before[1:], unit((0.01234, 1)))
    assert (small.vocabulary_cosine, small.old_labels_cosine) == (1.0, 0.9999)
    tilted = judge.retention(unit((1, 0)), unit((0.123456, 1)), unit((1, 0)), unit((0.123456, 1)))
    assert (tilted.vocabulary_cosine, tilted.old_labels_cosine) == (0.1225, 0.1225)
    seven = np.eye(7, dtype=np.float32)
    assert judge.retention(seven, seven[[0, 1, 2, 3, 4, 6, 5]], seven[:0], seven[:0]).vocabulary_agreement == 71.43


def test_a_noun_that_means_another_counts_once_and_not_both() -> None:
    frozen = unit((1, 0), (0, 1), (1, 0.9))
    adapted = unit((1, 0.1), (0.2, 1), (1, 0.2))
    assert judge.retention(frozen, adapted, frozen[:0], frozen[:0]).vocabulary_agreement == 66.67


def test_percents_of_other_labels_are_no_percents() -> None:
    with pytest.raises(ValueError, match="zip"):
        judge.check(SOUND, [100.0, 50.0], [100.0], [10])


def test_accuracy_is_percent_right_of_each_label_and_none_where_none_was_asked() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.4, 0.5, 0.1]])
    answers = Answers(probabilities, np.zeros(5, bool), np.zeros(5))
    assert judge.accuracies(answers, np.array([0, 0, 0, 1, 1]), 3) == [33.33, 50.0, None]
    assert judge.percent(np.array([True] * 2 + [False])) == 66.67
    assert judge.percent(np.zeros(0, bool)) is None


def apart_by_definition(head: Head, rows: np.ndarray, goals: np.ndarray, label: int) -> tuple[int, float]:
    """The closest label and the standard errors, picture by picture."""
    solved = head.solve()
    scores, distances = solved.leave_one_out(solved.whitened(rows), goals)
    own = np.flatnonzero(goals == label)
    found: dict[int, float] = {}
    for other in range(len(head.counts)):
        if other == label or head.counts[other] == 0:
            continue
        mine, theirs = int(head.counts[label]), int(head.counts[other])
        spread = sum(distances[own]) / len(own) * (mine - 1) / mine
        chance = (spread / (mine - 1) - spread / theirs) / 2
        margins = [scores[i, label] - scores[i, other] + chance for i in own]
        mean = sum(margins) / len(own)
        deviation = (sum((m - mean) ** 2 for m in margins) / (len(own) - 1)) ** 0.5
        found[other] = mean / (deviation / len(own) ** 0.5)
    closest = min(found, key=lambda other: found[other])
    return closest, found[closest]


def test_a_label_is_apart_by_the_standard_errors_of_its_margin_to_the_closest_label_that_has_pictures() -> None:
    rows, goals = clusters(4, [5, 9, 4, 0, 1], 1.0)
    first, second = (
        rows[goals == 1][:4],
        rows[(goals != 1) & (goals != 4)],
    )  # label 1 was taught before too: only some of its pictures are asked
    head = Head.empty(7).added(rows, goals, 5)
    asked = np.concatenate([second, first]), np.concatenate([goals[(goals != 1) & (goals != 4)], np.ones(4, np.int64)])
    solved = head.solve()
    found = judge.told_apart(solved, solved.whitened(asked[0]), asked[1])
    assert sorted(found) == [0, 1, 2]
    for label, one in found.items():
        closest, errors = apart_by_definition(head, *asked, label)
        assert one.closest == closest
        assert one.errors == pytest.approx(errors, abs=0.006)
        assert one.errors == round(one.errors, 2)


def test_labels_of_equal_pictures_are_apart_by_a_great_but_finite_number() -> None:
    rows = np.repeat(clusters(5, [1, 1])[0], 4, axis=0)
    solved = Head.empty(7).added(rows, np.repeat([0, 1], 4), 2).solve()
    found = judge.told_apart(solved, solved.whitened(rows), np.repeat([0, 1], 4))
    assert all(1e6 < one.errors < 1e13 for one in found.values())


@pytest.mark.parametrize(("count", "says"), [(3, False), (4, True)])
def test_a_label_of_three_pictures_says_nothing_of_being_apart_and_one_of_four_does(count: int, says: bool) -> None:
    rows, goals = clusters(6, [count, 6])
    solved = Head.empty(7).added(rows, goals, 2).solve()
    assert (0 in judge.told_apart(solved, solved.whitened(rows), goals)) == says
    alone = Head.empty(7).added(rows[goals == 1], np.zeros(6, int), 1).solve()
    assert judge.told_apart(alone, alone.whitened(rows[goals == 1]), np.zeros(6, int)) == {}


@pytest.mark.parametrize(
    ("errors", "refused"),
    [
        ([-0.6], False),
        ([-0.61], True),
        ([-5.0, -0.6, 9.0], False),
        ([-5.0, -0.61, 9.0], True),
        ([-1.3, 0.0], True),
        ([-1.2, 0.0], False),
        ([], False),
        ([3.0], False),
    ],
)
def test_labels_are_mixed_up_where_the_median_one_is_apart_by_less_than_minus_six_tenths(
    errors: list[float], refused: bool
) -> None:
    apart = {column: judge.Apart((column + 1) % len(errors), one) for column, one in enumerate(errors)}
    if not refused:
        judge.check_apart(apart, "abc")
        return
    worst = int(np.argmin(errors))
    with pytest.raises(
        RefusedError,
        match=rf"'{'abc'[worst]}' is told apart from '{'abc'[(worst + 1) % len(errors)]}' by "
        rf"{min(errors):.1f} standard errors, the median .* -0.6\)",
    ):
        judge.check_apart(apart, "abc")


@pytest.mark.parametrize(("agreement", "refused"), [(100.0, False), (80.0, False), (79.99, True), (0.0, True)])
def test_a_fifth_of_the_vocabulary_may_change_its_meaning_and_no_more(agreement: float, refused: bool) -> None:
    kept = judge.Retention(agreement, 1.0, None)
    if not refused:
        judge.check(kept, [], [], [])
        return
    with pytest.raises(
        RefusedError,
        match=rf"refused: {100 - agreement:.1f} % of the vocabulary changed its meaning, the bound is "
        rf"20 %; the state is unchanged: .* --force",
    ):
        judge.check(kept, [], [], [])


@pytest.mark.parametrize(
    ("before", "after", "total", "bound"),
    [
        (0, 0, 0, 1.01),  # nothing asked: one picture
        (5, 5, 5, 1.01),
        (10, 10, 10, 1.01),
        (11, 11, 11, 1.1),  # a tenth
        (100, 100, 100, 10.0),
        (200, 200, 200, 20.0),
        (5, 5, 10, 1.64 * np.sqrt(5.0)),  # chance: n p (1 - p) before and after
        (5, 10, 10, 1.64 * np.sqrt(2.5)),
        (8, 6, 10, 1.64 * np.sqrt(1.6 + 2.4)),
        (50, 50, 100, 1.64 * np.sqrt(50)),
        (1, 1, 1, 1.01),
    ],
)
def test_the_loss_that_is_borne_is_one_picture_a_tenth_or_what_chance_explains(
    before: float, after: float, total: int, bound: float
) -> None:
    assert judge.largest_loss(before, after, total) == pytest.approx(bound, rel=1e-9)


@pytest.mark.parametrize(
    ("before", "after", "asked", "refused"),
    [
        ([100.0], [90.0], [10], False),  # one of ten
        ([100.0], [80.0], [10], False),  # two of ten: chance bears 1.64 * sqrt(1.6) = 2.07
        ([100.0, 100.0], [100.0, 0.0], [30, 4], True),
        ([100.0, None], [100.0, 0.0], [30, 4], False),
        ([100.0, 100.0], [100.0, None], [30, 4], False),
        ([0.0], [100.0], [10], False),
        (
            [50.0, 100.0],
            [100.0, 50.0],
            [20, 20],
            False,
        ),  # one label's loss is another's gain: all pictures count together
    ],
)
def test_all_judged_pictures_count_together(
    before: list[float | None], after: list[float | None], asked: list[int], refused: bool
) -> None:
    if not refused:
        judge.check(SOUND, before, after, asked)
        return
    with pytest.raises(
        RefusedError,
        match=r"^refused: of 34 judged pictures 30 would be answered right, 34 were before; 3 fewer "
        r"are borne; the state is unchanged: .* --force$",
    ):
        judge.check(SOUND, before, after, asked)


def test_a_loss_of_just_the_bound_is_borne() -> None:
    judge.check(SOUND, [100.0], [90.0], [200])
    with pytest.raises(
        RefusedError, match="of 200 judged pictures 178 would be answered right, 200 were before; 20 fewer are borne"
    ):
        judge.check(SOUND, [100.0], [89.0], [200])


def test_a_label_of_one_picture_is_one_that_others_are_told_apart_from() -> None:
    rows, goals = clusters(7, [6, 1])
    solved = Head.empty(7).added(rows, goals, 2).solve()
    assert [one.closest for one in judge.told_apart(solved, solved.whitened(rows), goals).values()] == [1]
