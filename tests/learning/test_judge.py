"""The judge: labels that are mixed up are refused, labels that are told apart are not, whatever their number of
pictures."""

from __future__ import annotations

import numpy as np
import pytest

from edge_nusa.device.learning import judge
from edge_nusa.device.learning.left_out import LeftOut
from edge_nusa.errors import RefusedError
from edge_nusa.knowledge.head import Head, features

TAPS = 24
NONE = LeftOut(*(np.zeros(0, np.int64),) * 4)


def task(seed: int, counts: list[int], distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Feature rows of labels whose means lie `distance` apart, beside noise of 1, and their columns."""
    generator = np.random.default_rng(seed)
    goals = np.repeat(np.arange(len(counts)), counts)
    means = distance * generator.standard_normal((len(counts), TAPS))
    return features((means[goals] + generator.standard_normal((len(goals), TAPS))).astype(np.float32)), goals


def apart(rows: np.ndarray, goals: np.ndarray, count: int) -> dict[int, judge.Apart]:
    solved = Head.empty(TAPS + 1).added(rows, goals, count).solve()
    return judge.told_apart(solved, solved.whitened(rows), goals)


@pytest.mark.parametrize("shots", [5, 9, 16])
def test_labels_that_differ_pass_and_the_same_pictures_under_shuffled_labels_hardly_ever_do(shots: int) -> None:
    refused = 0
    for seed in range(60):
        rows, goals = task(seed, [shots] * 5, 2.0)
        judge.check_apart(apart(rows, goals, 5), "abcde", NONE)
        mixed_up = apart(rows, np.tile(np.arange(5), shots), 5)
        try:
            judge.check_apart(mixed_up, "abcde", NONE)
        except RefusedError as error:
            assert str(error).startswith("refused: the pictures look as if labels were mixed up: ")
            refused += 1
    assert refused >= 54


def test_the_refusal_names_the_worst_label_and_its_closest() -> None:
    with pytest.raises(RefusedError, match="'b' looks most like 'a' "):
        judge.check_apart({0: judge.Apart(1, -1.0), 1: judge.Apart(0, -3.0)}, ["a", "b"], NONE)
    judge.check_apart(
        {0: judge.Apart(1, judge.LEAST_APART), 1: judge.Apart(0, -3.0), 2: judge.Apart(0, 5.0)}, ["a", "b", "c"], NONE
    )


def test_two_names_for_the_same_thing_are_apart_by_about_nothing_however_many_pictures_each_has() -> None:
    for counts in ([40, 5], [5, 40], [20, 20]):
        found = [apart(*task(seed, counts, 0.0), 2)[1].errors for seed in range(60)]
        assert abs(float(np.median(found))) < 0.8, counts


def test_the_closest_label_is_named() -> None:
    generator = np.random.default_rng(0)
    goals = np.repeat(np.arange(3), 8)
    means = np.stack([np.eye(TAPS)[0] * 8, np.eye(TAPS)[0] * 8 + np.eye(TAPS)[1], -8 * np.eye(TAPS)[0]])
    found = apart(features((means[goals] + 0.3 * generator.standard_normal((24, TAPS))).astype(np.float32)), goals, 3)
    assert (found[0].closest, found[1].closest) == (1, 0)
    assert found[2].errors > found[0].errors


def test_one_label_alone_or_with_few_pictures_says_nothing() -> None:
    rows, goals = task(0, [8], 1.0)
    assert apart(rows, goals, 1) == {}
    rows, goals = task(0, [8, judge.FEWEST_TO_TELL_APART - 1], 1.0)
    assert list(apart(rows, goals, 2)) == [0]
    judge.check_apart({}, [], NONE)


BORNE = [(6, 3, 15), (9, 6, 25), (90, 80, 100), (3, 2, 3), (360, 330, 400)]
TOO_MUCH = [(10, 4, 10), (15, 5, 15), (90, 75, 100), (360, 310, 400)]


@pytest.mark.parametrize(
    ("before", "after", "total", "is_borne"), [*((*one, True) for one in BORNE), *((*one, False) for one in TOO_MUCH)]
)
def test_a_loss_of_judged_pictures_is_refused_where_chance_and_a_tenth_do_not_explain_it(
    before: int, after: int, total: int, is_borne: bool
) -> None:
    if is_borne:
        judge.check_loss(before, after, total)
        return
    with pytest.raises(
        RefusedError,
        match=rf"^refused: of {total} judged .* {after} would .*, {before} were before; at most "
        r"\d+ fewer are borne; the state is unchanged: .* --force$",
    ):
        judge.check_loss(before, after, total)
