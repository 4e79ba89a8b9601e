"""How head and text are mixed: the likelier one counts, from sums that do not depend on the order of what was
taught."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nusa.errors import DamagedError
from edge_nusa.knowledge import fusion

LABELS = 5
MANY = np.full(LABELS, 10**9)
"""Labels known by so many pictures that the head's scores count in full."""


def scores(seed: int, images: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """(B, L) scores that point at the goal with this sharpness beside noise of 1, and the goals."""
    generator = np.random.default_rng(seed)
    goals = generator.integers(0, LABELS, images)
    return generator.normal(size=(images, LABELS)) + sharpness * np.eye(LABELS)[goals], goals


def test_nothing_seen_answers_by_the_first_choice() -> None:
    row, column = fusion.FIRST
    assert fusion.best(fusion.nothing_seen()) == (fusion.TEMPERATURES[row], fusion.TEXT_WEIGHTS[column])


def test_a_text_that_knows_nothing_gets_no_weight_and_one_that_knows_all_gets_much() -> None:
    head, goals = scores(0, 200, 3.0)
    useless = np.random.default_rng(1).normal(size=head.shape) * 20
    telling = 8.0 * np.eye(LABELS)[goals]
    _, none = fusion.best(fusion.losses(head, useless, goals, MANY))
    _, much = fusion.best(fusion.losses(np.random.default_rng(2).normal(size=head.shape) * 50, telling, goals, MANY))
    assert none == 0
    assert much == max(fusion.TEXT_WEIGHTS)


def test_a_head_alone_takes_the_temperature_that_makes_its_pictures_likeliest() -> None:
    head, goals = scores(0, 200, 3.0)
    for sharpness in (1.0, 50.0):
        sums = fusion.losses(head * sharpness, np.zeros_like(head), goals, MANY)
        assert sums[fusion.TEMPERATURES.index(fusion.best_alone(sums)), 0] == sums[:, 0].min()
    assert fusion.best_alone(fusion.losses(head, np.zeros_like(head), goals, MANY)) > fusion.best_alone(
        fusion.losses(head * 50, np.zeros_like(head), goals, MANY)
    )


def test_the_loss_is_the_negative_log_likelihood_of_the_mixture() -> None:
    head, goals = scores(3, 7, 2.0)
    text, _ = scores(4, 7, 1.0)
    found = fusion.losses(head, text, goals, MANY)
    for place in np.ndindex(fusion.SHAPE):
        logits = fusion.TEMPERATURES[place[0]] * head + fusion.TEXT_WEIGHTS[place[1]] * text
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert found[place] / fusion.UNIT == pytest.approx(
            -np.log(probabilities[np.arange(7), goals]).sum(), abs=7 / fusion.UNIT
        )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(0, 12))
def test_the_sums_of_parts_are_the_sum_of_the_whole(seed: int, cut: int) -> None:
    head, goals = scores(seed, 12, 1.0)
    text, _ = scores(seed + 1, 12, 1.0)
    parts = [fusion.losses(head[rows], text[rows], goals[rows], MANY) for rows in (slice(0, cut), slice(cut, 12))]
    assert np.array_equal(parts[0] + parts[1], fusion.losses(head, text, goals, MANY))


def test_a_label_of_which_nothing_is_left_costs_a_finite_loss() -> None:
    head = np.array([[-1e9, 3.0]])
    found = fusion.losses(head, np.zeros((1, 2)), np.array([0]), MANY[:2])
    assert (found > 0).all() and found.max() <= -np.log(1e-12) * fusion.UNIT + 1


@pytest.mark.parametrize("bad", [np.full(fusion.SHAPE, -1), np.zeros((2, 2), np.int64)])
def test_sums_that_cannot_be_are_damage(bad: np.ndarray) -> None:
    with pytest.raises(DamagedError, match="head.safetensors: fusion: expected .* run `edge-nusa undo`"):
        fusion.check(bad)
    assert np.array_equal(fusion.check(fusion.nothing_seen()), fusion.nothing_seen())
