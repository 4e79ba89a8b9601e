"""What decides an answer, on hand-made knowledge: each half of the gate, its limit, what is unknown, and who mixes
what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_by_hand import SCALE, knowledge, plain_solved, softmax, unit, whole

from edge_nusa.device.asking.answer import Answerer, Answers, PictureFeatures, combined, shares
from edge_nusa.device.asking.answer import softmax as softmax_of_rows
from edge_nusa.knowledge.recipes import PAPER

LIMIT = 2.0
MEANS = np.array([[1.0, 0, 0], [0, 2.0, 0]])
FROZEN = unit((1, 0, 0), (0, 1, 0))
ADAPTED = unit((1, 0.5, 0), (0, 1, 0.5))
OTHER = unit((0, 0, 1), (0, 1, 1))
"""Two offered labels that were never taught."""
LIKE_A, LIKE_OTHER = (0.9, 0.1, 0.3), (0.2, 0.1, 0.9)
SCORES = (4.0, 9.0)
"""The head's, for both labels: it prefers the second."""


def answerer(
    novelty: tuple[float, float] = (0.5, LIMIT), columns: list[int] | None = None, variance: float = 0.1
) -> Answerer:
    """Labels "a" and "b" with limits at these distances, known by a head of 3 features, beside the two others."""
    solved = plain_solved(MEANS, [5, 5], variance)
    known = knowledge(["a", "b"], FROZEN, ADAPTED, [limit * variance / 3 for limit in novelty], solved)
    return Answerer(known, SCALE, OTHER, OTHER, None if columns is None else np.array(columns, np.int64))


def asked(
    direction: tuple[float, float, float], distance: float, one: Answerer | None = None
) -> tuple[Answers, np.ndarray, np.ndarray]:
    """The answer to one picture that the head finds `distance` away; its zero-shot probabilities; those of head and
    text among a and b."""
    embedding = unit(direction)
    views = PictureFeatures(embedding, embedding, np.zeros((1, 3), np.int64))
    found = (one or answerer())(views, (np.array([SCORES]), np.array([distance])))
    zero_shot = softmax(*(SCALE * np.concatenate([FROZEN, OTHER]) @ embedding[0]))
    # the first temperature and text weight: 0.08 and 0.25
    mixed = softmax(*(0.08 * np.array(SCORES) + 0.25 * SCALE * ADAPTED @ embedding[0]))
    return found, zero_shot, mixed


@pytest.mark.parametrize(
    ("direction", "distance", "opens", "unknown"),
    [
        (LIKE_A, 0.0, True, False),
        (LIKE_A, LIMIT, True, False),
        (LIKE_A, LIMIT + 1e-9, True, True),
        (LIKE_A, 50.0, True, True),
        (LIKE_OTHER, 0.0, True, False),
        (LIKE_OTHER, LIMIT, True, False),
        (LIKE_OTHER, LIMIT + 1e-9, False, False),
        (LIKE_OTHER, 50.0, False, False),
    ],
)
def test_the_gate_opens_for_what_zero_shot_calls_learned_or_what_is_near_and_only_far_learned_answers_are_unknown(
    direction: tuple[float, float, float], distance: float, opens: bool, unknown: bool
) -> None:
    found, zero_shot, mixed = asked(direction, distance)
    assert found.unknown.tolist() == [unknown]
    assert found.novelty.tolist() == [distance]
    assert (zero_shot.argmax() < 2) == (direction == LIKE_A), "the table's pictures are what it says"
    if not opens:
        np.testing.assert_allclose(found.probabilities[0], zero_shot, rtol=1e-6)
        return
    np.testing.assert_allclose(found.probabilities[0, :2] / found.probabilities[0, :2].sum(), mixed, rtol=1e-5)
    assert found.probabilities[0].argmax() == mixed.argmax()
    np.testing.assert_allclose(
        found.probabilities[0, 2:] / found.probabilities[0, 2:].sum(), zero_shot[2:] / zero_shot[2:].sum(), rtol=1e-5
    )


def test_a_learned_answer_holds_the_mass_that_zero_shot_gave_to_learned_labels() -> None:
    found, zero_shot, _ = asked(LIKE_A, 0.0)
    assert (
        found.probabilities[0, :2].sum() == pytest.approx(zero_shot[:2].sum(), rel=1e-6) and zero_shot[:2].sum() > 0.9
    )


@pytest.mark.parametrize(
    ("novelty", "columns", "variance", "limits"),
    [
        ((0.5, LIMIT), None, 0.1, [0.5, LIMIT]),
        ((0.5, LIMIT), [1, 0], 0.1, [LIMIT, 0.5]),
        ((0.5, LIMIT), [0], 0.1, [0.5]),
        ((0.5, LIMIT), [], 0.1, []),
        ((500.0, 1.0), None, 0.1, [0.5 * 3 / 0.1, 1.0]),  # never more than half of F / lambda
        ((500.0, 1.0), None, 0.5, [0.5 * 3 / 0.5, 1.0]),
        ((0.0, 0.0), None, 0.1, [0.0, 0.0]),
        ((0.0, LIMIT), None, 0.1, [LIMIT, LIMIT]),  # too few pictures to tell: as the others
        ((0.5, LIMIT), None, 0.2, [0.5, LIMIT]),
    ],
)
def test_the_novelty_limit_is_each_offered_labels_own_and_at_most_half_of_the_distance_of_anything(
    novelty: tuple[float, float], columns: list[int] | None, variance: float, limits: list[float]
) -> None:
    assert answerer(novelty, columns, variance).novelty_limits.tolist() == pytest.approx(limits)


def test_labels_of_too_few_pictures_have_the_mean_limit_of_those_that_tell() -> None:
    assert shares([0.0, 0.125, 0.375, 7.0]).tolist() == [1 / 3, 0.125, 0.375, 0.5]


def test_what_is_near_is_told_by_the_limit_of_the_nearest_label() -> None:
    embedding = unit(LIKE_OTHER)
    views = PictureFeatures(embedding, embedding, np.zeros((1, 3), np.int64))
    for limits, opens in (((0.5, LIMIT), True), ((LIMIT, 0.5), False)):
        found = answerer(limits)(views, (np.array([SCORES]), np.array([1.0])))
        assert (found.probabilities[0].argmax() < 2) == opens, "the head prefers the second label"


def test_without_leaving_out_the_head_scores_the_picture_and_measures_the_distance_to_the_nearest_label() -> None:
    embedding = unit(LIKE_OTHER)
    views = PictureFeatures(embedding, embedding, whole(np.array([[1.0, 1.5, 1.0]])))
    found = answerer()(views)
    assert found.novelty[0] == pytest.approx(1.0 + 0.25 + 1.0)  # from (0, 2, 0), not from (1, 0, 0)
    scores = np.array([1.0 - 0.5, 3.0 - 2.0])
    mixed = softmax(*(0.08 * scores + 0.25 * SCALE * ADAPTED @ embedding[0]))
    near = answerer((0.5, 2.26))(views).probabilities[0]
    np.testing.assert_allclose(near[:2] / near[:2].sum(), mixed, rtol=1e-5)
    assert near.argmax() < 2 <= found.probabilities[0].argmax()


def test_only_the_offered_labels_answer_in_their_order() -> None:
    embedding = unit(LIKE_A)
    views = PictureFeatures(embedding, embedding, whole(np.array([[1.0, 0, 0]])))
    both, turned, one = (answerer(columns=columns)(views).probabilities[0] for columns in (None, [1, 0], [1]))
    np.testing.assert_allclose(turned, both[[1, 0, 2, 3]], rtol=1e-6)
    assert len(one) == 3


def test_the_mixture_that_the_sums_like_best_is_the_one_that_answers() -> None:
    one = answerer()
    sums = one.knowledge.fusion + 100
    sums[7, 4] = 0  # a = 1.0, c = 0.75
    sums[2, 3] = 5
    one.knowledge = replace(one.knowledge, fusion=sums)
    views = PictureFeatures(unit(LIKE_A), unit((0.5, 0.5, 0)), np.zeros((1, 3), np.int64))
    expected = softmax(*(1.0 * np.array(SCORES) + 0.75 * SCALE * ADAPTED @ unit((0.5, 0.5, 0))[0]))
    np.testing.assert_allclose(one.among_learned(views, np.array([SCORES]))[0], expected, rtol=1e-5)


@pytest.mark.parametrize("why", ["a recipe without head", "no label"])
def test_without_a_head_or_a_label_the_adapted_anchors_answer_alone_and_nothing_is_unknown(why: str) -> None:
    known = knowledge(["a", "b"], FROZEN, ADAPTED, (LIMIT, LIMIT))
    columns = None if why == "a recipe without head" else np.zeros(0, np.int64)
    other_adapted = unit((0, 0.3, 1), (0, 1, 1))
    one = Answerer(replace(known, recipe=PAPER) if columns is None else known, SCALE, OTHER, other_adapted, columns)
    adapted = unit((0.3, 0.2, 0.9), (0.1, 0.8, 0.2))
    found = one(PictureFeatures(unit(LIKE_A, LIKE_A), adapted, np.zeros((2, 3), np.int64)))
    rows = np.concatenate([ADAPTED if columns is None else ADAPTED[:0], other_adapted])
    for picture, row in zip(adapted, found.probabilities, strict=True):
        np.testing.assert_allclose(row, softmax(*(SCALE * rows @ picture)), rtol=1e-5)
    assert (found.unknown.tolist(), found.novelty.tolist()) == ([False, False], [0.0, 0.0])
    assert found.unknown.dtype == bool and not one.novelty_limits.any()


@pytest.mark.parametrize(
    ("chosen", "zero_shot", "expected"),
    [
        # zero-shot gave the learned labels enough for their best to win
        ([0.75, 0.25], [0.5, 0.3, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1]),
        # it gave too little: just so much that the best learned label is ahead of the best other, (m = 0.75 / (0.75 +
        # 0.5))
        ([0.5, 0.5], [0.1, 0.1, 0.6, 0.2], [0.3 + 5e-7, 0.3 + 5e-7, 0.3 - 0.75e-6, 0.1 - 0.25e-6]),
        ([1.0], [0.0, 0.2, 0.2], [1 / 3 + 1e-6, 1 / 3 - 5e-7, 1 / 3 - 5e-7]),
        # nothing else is offered
        ([0.75, 0.25], [0.5, 0.5], [0.75, 0.25]),
        # the others hold nothing at all, or hardly anything
        ([0.75, 0.25], [0.5, 0.5, 0.0], [0.75, 0.25, 0.0]),
        ([0.75, 0.25], [0.0, 0.0, 1.5e-12], [0.75 / 1.75 + 0.75e-6, 0.25 / 1.75 + 0.25e-6 * 4 / 4, 0.75 / 1.75 - 1e-6]),
        ([1.0], [1 - 2.0**-40, 1.5e-12], [1 - 2.0**-40, 2.0**-40]),
    ],
)  # fmt: skip
def test_learned_labels_share_their_mass_as_the_head_says_and_never_less_than_lets_the_best_win(
    chosen: list[float], zero_shot: list[float], expected: list[float]
) -> None:
    np.testing.assert_allclose(
        combined(np.array([chosen]), np.array([zero_shot]), len(chosen))[0], expected, rtol=1e-8, atol=1e-20
    )


def test_each_picture_is_mixed_by_itself() -> None:
    chosen, zero_shot = np.array([[0.75, 0.25], [0.1, 0.9]]), np.array([[0.5, 0.3, 0.1, 0.1], [0.05, 0.05, 0.2, 0.7]])
    both = combined(chosen, zero_shot, 2)
    for row in (0, 1):
        np.testing.assert_allclose(
            both[row], combined(chosen[row : row + 1], zero_shot[row : row + 1], 2)[0], rtol=1e-12
        )


@pytest.mark.parametrize("logits", [(1000.0, 990.0), (0.0, -1000.0), (-1000.0, -1001.0), (2.0, 1.0)])
def test_probabilities_of_large_logits_are_numbers(logits: tuple[float, float]) -> None:
    expected = 1 / (1 + np.exp(logits[1] - logits[0]))
    np.testing.assert_allclose(
        softmax_of_rows(np.array([logits, (0.0, 0.0)])), [[expected, 1 - expected], [0.5, 0.5]], atol=1e-12
    )


def test_a_limit_goes_with_how_distances_are_measured_since_it_was_set() -> None:
    wide, narrow = plain_solved(MEANS, [5, 5], 0.1), plain_solved(MEANS, [5, 5], 0.4)
    limits = [
        Answerer(knowledge(["a", "b"], FROZEN, ADAPTED, (0.1, 0.2), one), SCALE, OTHER, OTHER).novelty_limits.tolist()
        for one in (wide, narrow)
    ]
    assert limits == [pytest.approx([0.1 * 3 / each, 0.2 * 3 / each]) for each in (0.1, 0.4)]
