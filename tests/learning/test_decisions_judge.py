"""What the judge measures and what it refuses, at its bounds and one step beyond, on tables by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_by_hand import clusters, unit

from edge_nusa.device.learning import judge
from edge_nusa.device.learning.left_out import LeftOut
from edge_nusa.errors import RefusedError
from edge_nusa.knowledge.head import Head


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


def left_out(goals: list[int], answered: list[int]) -> LeftOut:
    return LeftOut(np.array(goals), np.array(answered), np.zeros(len(goals)), np.arange(len(goals)))


@pytest.mark.parametrize(
    ("errors", "refused"),
    [
        ([-0.2], False),
        ([-0.21], True),
        ([-5.0, -0.2, 9.0], False),
        ([-5.0, -0.21, 9.0], True),
        ([-0.5, 0.0], True),
        ([-0.4, 0.0], False),
        ([], False),
        ([3.0], False),
    ],
)
def test_labels_are_mixed_up_where_the_median_one_is_apart_by_less_than_minus_two_tenths(
    errors: list[float], refused: bool
) -> None:
    apart = {column: judge.Apart((column + 1) % 3, one) for column, one in enumerate(errors)}
    answered = left_out([0, 0, 1, 1], [0, 1, 0, 0])
    if not refused:
        judge.check_apart(apart, "abc", answered)
        return
    with pytest.raises(RefusedError, match=r"^refused: .* or use --force$"):
        judge.check_apart(apart, "abc", answered)


def test_labels_that_are_mixed_up_are_refused_in_counts_with_the_worst_one_and_what_to_do() -> None:
    apart = {0: judge.Apart(1, -209.3), 1: judge.Apart(0, -1.0)}
    with pytest.raises(
        RefusedError,
        match=r"^refused: the pictures look as if labels were mixed up: 1 of 5 are recognised when left out, and "
        r"'cat' looks most like 'dog' \(1 of 3 pictures of 'cat' are recognised when left out\); the state is "
        r"unchanged: check which picture lies under which label; if all lie right, give more pictures \(10 to 20 a "
        r"label\), another name, or a bigger model \(`edge-nusa export`\); or use --force$",
    ):
        judge.check_apart(apart, ["cat", "dog"], left_out([0, 0, 0, 1, 1], [0, 1, 1, 0, 0]))


def test_one_label_that_is_like_another_is_refused_with_that_name() -> None:
    with pytest.raises(
        RefusedError,
        match=r"^refused: 'cat' cannot be told from 'dog': 0 of 2 pictures of 'cat' are recognised when left out; the "
        r"state is unchanged: if both are one thing, teach these pictures as 'dog'; if not, give more pictures .*, "
        r"another name, or a bigger model .*; or use --force$",
    ):
        judge.check_apart({1: judge.Apart(0, -209.3)}, ["dog", "cat"], left_out([1, 1], [0, 0]))


@pytest.mark.parametrize(("right", "asked", "hardly"), [(0, 1, True), (3, 7, True), (3, 6, False), (0, 0, False)])
def test_a_label_is_hardly_recognised_where_fewer_than_half_of_its_pictures_are(
    right: int, asked: int, hardly: bool
) -> None:
    assert judge.is_hardly_recognised(right, asked) is hardly


@pytest.mark.parametrize(("agreement", "refused"), [(100.0, False), (80.0, False), (79.99, True), (0.0, True)])
def test_a_fifth_of_the_vocabulary_may_change_its_meaning_and_no_more(agreement: float, refused: bool) -> None:
    kept = judge.Retention(agreement, 1.0, None)
    if not refused:
        judge.check_kept(kept)
        return
    with pytest.raises(
        RefusedError,
        match=rf"^refused: {100 - agreement:.1f} of 100 common words would no longer mean what they meant, at most 20 "
        r"may; the state is unchanged: .* --force$",
    ):
        judge.check_kept(kept)


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
        (10, 9, 10, False),  # one of ten
        (10, 8, 10, False),  # two of ten: chance bears 1.64 * sqrt(1.6) = 2.07
        (34, 30, 34, True),
        (0, 10, 10, False),
        (0, 0, 0, False),
        (200, 180, 200, False),  # just the bound
    ],
)
def test_all_judged_pictures_count_together(before: int, after: int, asked: int, refused: bool) -> None:
    if not refused:
        judge.check_loss(before, after, asked)
        return
    with pytest.raises(
        RefusedError,
        match=r"^refused: of 34 judged pictures 30 would be answered right, 34 were before; at most 3 fewer "
        r"are borne; the state is unchanged: .* --force$",
    ):
        judge.check_loss(before, after, asked)


def test_a_loss_of_more_than_the_bound_is_refused() -> None:
    with pytest.raises(
        RefusedError, match="of 200 judged pictures 179 would be answered right, 200 were before; at most 20 fewer"
    ):
        judge.check_loss(200, 179, 200)


def test_a_label_of_one_picture_is_one_that_others_are_told_apart_from() -> None:
    rows, goals = clusters(7, [6, 1])
    solved = Head.empty(7).added(rows, goals, 2).solve()
    assert [one.closest for one in judge.told_apart(solved, solved.whitened(rows), goals).values()] == [1]
