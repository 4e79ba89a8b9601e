"""The ridge baseline: what plain ridge regression gives, from the head's sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_head import SEEDS, F, head_of, one_hot, taught

from edge_nusa.knowledge.fit import UNIT
from edge_nusa.research.learners import ridge


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, images=st.integers(4, 60))
def test_the_weights_are_those_of_plain_ridge_regression(seed: int, images: int) -> None:
    rows, columns = taught(seed, images)
    solved = ridge.solve(head_of(rows, columns))
    plain = rows / UNIT
    expected = np.linalg.solve(plain.T @ plain + solved.strength * np.eye(F), plain.T @ one_hot(columns))
    np.testing.assert_allclose(solved.weights, expected, atol=1e-7)
    np.testing.assert_allclose(solved.scores(rows), plain @ expected, atol=1e-7)
    inner = plain.T @ plain + solved.strength * np.eye(F)
    np.testing.assert_allclose(solved.inverse_root @ solved.inverse_root.T @ inner, np.eye(F), atol=1e-7)
    np.testing.assert_allclose(
        solved.novelty(rows), solved.strength * np.diag(plain @ np.linalg.inv(inner) @ plain.T), atol=1e-6
    )


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, images=st.integers(8, 60))
def test_the_strength_is_the_candidate_of_least_generalised_cross_validation(seed: int, images: int) -> None:
    rows, columns = taught(seed, images)
    solved = ridge.solve(head_of(rows, columns))
    plain, mean = rows / UNIT, float(np.trace(rows.T @ rows)) / UNIT**2 / F

    def score(strength: float) -> float:
        hat = plain @ np.linalg.solve(plain.T @ plain + strength * np.eye(F), plain.T)
        residual = one_hot(columns) - hat @ one_hot(columns)
        return float(images * np.square(residual).sum() / (images - np.trace(hat)) ** 2)

    scores = [score(multiple * mean) for multiple in ridge.STRENGTHS]
    assert solved.score == pytest.approx(min(scores), rel=1e-5)
    assert score(solved.strength) == pytest.approx(min(scores), rel=1e-5)
