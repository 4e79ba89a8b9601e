"""What decides an answer, on hand-made knowledge: each half of the gate, its limit, what is unknown, and who mixes
what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_by_hand import SCALE, knowledge, plain_solved, softmax, unit, whole

from edge_nusa.device.asking import known as knowing
from edge_nusa.device.asking.answer import Answerer, Answers, PictureFeatures, combined
from edge_nusa.device.asking.answer import softmax as softmax_of_rows
from edge_nusa.knowledge.recipes import PAPER

MEANS = np.array([[1.0, 0, 0], [0, 2.0, 0]])
FROZEN = unit((1, 0, 0), (0, 1, 0))
ADAPTED = unit((1, 0.5, 0), (0, 1, 0.5))
OTHER = unit((0, 0, 1), (0, 1, 1))
"""Two offered labels that were never taught."""
LIKE_A, LIKE_OTHER = (0.9, 0.1, 0.3), (0.2, 0.1, 0.9)
SCORES = (4.0, 9.0)
"""The head's, for both labels: it prefers the second."""


def answerer(own: tuple[float, float] = (1.0, 1.0), columns: list[int] | None = None) -> Answerer:
    """Labels "a" and "b" whose own pictures lie so widely, known by a head of 3 features, beside the two others."""
    known = knowledge(["a", "b"], FROZEN, ADAPTED, plain_solved(MEANS, [5, 5], own=own))
    return Answerer(known, SCALE, OTHER, OTHER, None if columns is None else np.array(columns, np.int64))


def shows(novelty: float) -> float:
    """How probably a picture of this novelty shows a taught label, written out."""
    odds = (1.5 / novelty) ** 9.0 if novelty else np.inf
    return 1.0 if odds == np.inf else odds / (1 + odds)


def asked(
    direction: tuple[float, float, float], novelty: float, one: Answerer | None = None
) -> tuple[Answers, np.ndarray, np.ndarray]:
    """The answer to one picture that the head finds so novel; its zero-shot probabilities; those of head and
    text among a and b."""
    embedding = unit(direction)
    views = PictureFeatures(embedding, embedding, np.zeros((1, 3), np.int64))
    found = (one or answerer())(views, (np.array([SCORES]), np.array([novelty])))
    zero_shot = softmax(*(SCALE * np.concatenate([FROZEN, OTHER]) @ embedding[0]))
    # the first temperature and text weight: 0.12 and 0.5; five pictures a label: 5 / (5 + 8)
    mixed = softmax(*(0.12 * 5 / 13 * np.array(SCORES) + 0.5 * SCALE * ADAPTED @ embedding[0]))
    return found, zero_shot, mixed


EDGE = 1.5


@pytest.mark.parametrize(
    ("direction", "novelty", "opens", "unknown"),
    [
        (LIKE_A, 0.7, True, False),
        (LIKE_A, EDGE, True, False),
        (LIKE_A, EDGE + 1e-9, True, True),
        (LIKE_A, 50.0, True, True),
        (LIKE_OTHER, 0.7, True, False),
        (LIKE_OTHER, EDGE, True, False),
        (LIKE_OTHER, EDGE + 1e-9, False, False),
        (LIKE_OTHER, 50.0, False, False),
    ],
)
def test_the_gate_opens_for_what_zero_shot_calls_learned_or_what_is_known_and_only_strange_learned_answers_are_unknown(
    direction: tuple[float, float, float], novelty: float, opens: bool, unknown: bool
) -> None:
    found, zero_shot, mixed = asked(direction, novelty)
    assert found.unknown.tolist() == [unknown]
    assert found.novelty.tolist() == [novelty]
    assert found.known.tolist() == pytest.approx([shows(novelty)])
    assert (zero_shot.argmax() < 2) == (direction == LIKE_A), "the table's pictures are what it says"
    if not opens:
        np.testing.assert_allclose(found.probabilities[0], zero_shot, rtol=1e-6)
        return
    sums = [found.probabilities[0].sum(), found.probabilities[0, :2].sum()]
    if unknown:
        assert sums[0] == pytest.approx(found.known[0]), "the rest is something else"
    else:
        best_other = zero_shot[2:].max() / zero_shot[2:].sum()
        needed = best_other / (best_other + mixed.max())
        assert sums == pytest.approx([1.0, max(zero_shot[:2].sum(), found.known[0], needed)], abs=1e-5)
    np.testing.assert_allclose(found.probabilities[0, :2] / found.probabilities[0, :2].sum(), mixed, rtol=1e-5)
    assert found.probabilities[0].argmax() == mixed.argmax()
    np.testing.assert_allclose(
        found.probabilities[0, 2:] / found.probabilities[0, 2:].sum(), zero_shot[2:] / zero_shot[2:].sum(), rtol=1e-5
    )


@pytest.mark.parametrize("novelty", [0.0, 1.2, 1.5, 1.6])
def test_a_learned_answer_holds_what_zero_shot_gave_to_learned_labels_or_what_is_known(novelty: float) -> None:
    found, zero_shot, _ = asked(LIKE_A, novelty)
    held, known = zero_shot[:2].sum(), found.known[0]
    expected = max(held, known) if novelty <= 1.5 else held * known
    assert found.probabilities[0, :2].sum() == pytest.approx(expected, rel=1e-6) and held > 0.9


def test_as_many_pictures_as_labels_are_answered_as_each_alone() -> None:
    embedding = unit(LIKE_A, LIKE_OTHER)
    views = PictureFeatures(embedding, embedding, np.zeros((2, 3), np.int64))
    both = answerer()(views, (np.array([SCORES, SCORES]), np.array([0.7, 1.2]))).probabilities
    for row, (direction, novelty) in enumerate(((LIKE_A, 0.7), (LIKE_OTHER, 1.2))):
        np.testing.assert_allclose(both[row], asked(direction, novelty)[0].probabilities[0], rtol=1e-6)
    assert both.sum(axis=1).tolist() == pytest.approx([1.0, 1.0])


def test_one_label_alone_can_answer_that_it_is_something_else() -> None:
    one = Answerer(answerer().knowledge, SCALE, OTHER[:0], OTHER[:0], np.array([1]))
    views = PictureFeatures(unit(LIKE_A), unit(LIKE_A), np.zeros((1, 3), np.int64))
    for novelty, known in ((0.5, True), (2.0, False)):
        found = one(views, (np.array([[9.0]]), np.array([novelty])))
        assert found.probabilities[0].tolist() == pytest.approx([shows(novelty)])
        assert (found.probabilities[0, 0] > 0.5) == known != found.unknown[0]


@pytest.mark.parametrize(
    ("novelty", "probability"),
    [(0.0, 1.0), (1.5, 0.5), (3.0, 1 / (1 + 2.0**9)), (0.75, 1 / (1 + 2.0**-9)), (np.inf, 0.0)],
)
def test_the_odds_of_a_taught_label_fall_with_the_ninth_power_of_novelty(novelty: float, probability: float) -> None:
    assert knowing.probability(np.array([novelty])).tolist() == pytest.approx([probability], abs=1e-12)


def test_without_leaving_out_the_head_scores_the_picture_and_says_how_novel_it_is_to_the_label_it_names() -> None:
    embedding = unit(LIKE_OTHER)
    views = PictureFeatures(embedding, embedding, whole(np.array([[1.0, 1.5, 0.5]])))
    found = answerer()(views)
    assert found.novelty[0] == pytest.approx((1.0 + 0.25 + 0.25) / 1.2)  # from (0, 2, 0), not from (1, 0, 0)
    scores = np.array([1.0 - 0.5, 3.0 - 2.0])
    mixed = softmax(*(0.12 * 5 / 13 * scores + 0.5 * SCALE * ADAPTED @ embedding[0]))
    np.testing.assert_allclose(found.probabilities[0, :2] / found.probabilities[0, :2].sum(), mixed, rtol=1e-5)
    assert found.probabilities[0].argmax() < 2


def test_scores_of_labels_that_lie_narrowly_count_more_by_their_geometric_mean() -> None:
    embedding = unit(LIKE_A)
    views = PictureFeatures(embedding, embedding, np.zeros((1, 3), np.int64))
    for widths, mean in (((0.25, 1.0), 0.25**0.25), ((4.0, 4.0), 2.0), ((0.01, 99.0), 1.0)):
        expected = softmax(*(0.12 * 5 / 13 / mean * np.array(SCORES) + 0.5 * SCALE * ADAPTED @ embedding[0]))
        found = answerer(widths).among_learned(views, np.array([SCORES]))
        np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    one = answerer((0.25, 1.0), [1]).among_learned(views, np.array([SCORES[1:]]))
    assert one.tolist() == [[1.0]]


def test_only_the_offered_labels_answer_in_their_order() -> None:
    embedding = unit(LIKE_A)
    views = PictureFeatures(embedding, embedding, whole(np.array([[1.0, 0, 0]])))
    both, turned, one = (answerer(columns=columns)(views).probabilities[0] for columns in (None, [1, 0], [1]))
    np.testing.assert_allclose(turned, both[[1, 0, 2, 3]], rtol=1e-6)
    assert len(one) == 3


def test_the_mixture_that_the_sums_like_best_is_the_one_that_answers() -> None:
    one = answerer()
    sums = one.knowledge.fusion + 9999
    sums[7, 4] = 0  # a = 1.0, c = 0.75
    sums[2, 3] = 5
    one.knowledge = replace(one.knowledge, fusion=sums)
    views = PictureFeatures(unit(LIKE_A), unit((0.5, 0.5, 0)), np.zeros((1, 3), np.int64))
    expected = softmax(*(1.0 * 5 / 13 * np.array(SCORES) + 0.75 * SCALE * ADAPTED @ unit((0.5, 0.5, 0))[0]))
    np.testing.assert_allclose(one.among_learned(views, np.array([SCORES]))[0], expected, rtol=1e-5)


@pytest.mark.parametrize("why", ["a recipe without head", "no label"])
def test_without_a_head_or_a_label_the_adapted_anchors_answer_alone_and_nothing_is_unknown(why: str) -> None:
    known = knowledge(["a", "b"], FROZEN, ADAPTED, plain_solved(MEANS, [5, 5]))
    columns = None if why == "a recipe without head" else np.zeros(0, np.int64)
    other_adapted = unit((0, 0.3, 1), (0, 1, 1))
    one = Answerer(replace(known, recipe=PAPER) if columns is None else known, SCALE, OTHER, other_adapted, columns)
    adapted = unit((0.3, 0.2, 0.9), (0.1, 0.8, 0.2))
    found = one(PictureFeatures(unit(LIKE_A, LIKE_A), adapted, np.zeros((2, 3), np.int64)))
    rows = np.concatenate([ADAPTED if columns is None else ADAPTED[:0], other_adapted])
    for picture, row in zip(adapted, found.probabilities, strict=True):
        np.testing.assert_allclose(row, softmax(*(SCALE * rows @ picture)), rtol=1e-5)
    assert (found.unknown.tolist(), found.novelty.tolist()) == ([False, False], [0.0, 0.0])
    assert found.unknown.dtype == bool and np.isnan(found.known).all()


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
        combined(np.array([chosen]), np.array([zero_shot]), len(chosen), np.zeros(1))[0],
        expected,
        rtol=1e-8,
        atol=1e-20,
    )


def test_learned_labels_hold_at_least_what_is_known() -> None:
    row = combined(np.array([[0.75, 0.25]]), np.array([[0.1, 0.1, 0.6, 0.2]]), 2, np.array([0.9]))[0]
    np.testing.assert_allclose(row, [0.675, 0.225, 0.075, 0.025])


def test_each_picture_is_mixed_by_itself() -> None:
    chosen, zero_shot = np.array([[0.75, 0.25], [0.1, 0.9]]), np.array([[0.5, 0.3, 0.1, 0.1], [0.05, 0.05, 0.2, 0.7]])
    both = combined(chosen, zero_shot, 2, np.array([0.0, 0.9]))
    for row in (0, 1):
        np.testing.assert_allclose(
            both[row],
            combined(chosen[row : row + 1], zero_shot[row : row + 1], 2, np.array([0.9 * row]))[0],
            rtol=1e-12,
        )


@pytest.mark.parametrize("logits", [(1000.0, 990.0), (0.0, -1000.0), (-1000.0, -1001.0), (2.0, 1.0)])
def test_probabilities_of_large_logits_are_numbers(logits: tuple[float, float]) -> None:
    expected = 1 / (1 + np.exp(logits[1] - logits[0]))
    np.testing.assert_allclose(
        softmax_of_rows(np.array([logits, (0.0, 0.0)])), [[expected, 1 - expected], [0.5, 0.5]], atol=1e-12
    )
