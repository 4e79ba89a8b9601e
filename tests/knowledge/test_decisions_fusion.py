"""What decides how much head and text count: the candidates, what answers before anything is seen, ties, and what
one picture may say."""

from __future__ import annotations

import numpy as np
import pytest

from edge_nusa.errors import DamagedError
from edge_nusa.knowledge import fusion


def test_the_candidates_are_these() -> None:
    assert fusion.TEMPERATURES == (0.015, 0.03, 0.06, 0.12, 0.24, 0.48, 0.75, 1.0)
    assert fusion.TEXT_WEIGHTS == (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5)
    assert (fusion.SHAPE, fusion.UNIT, fusion.LARGEST) == ((8, 7), 1024, 28294)


def test_before_the_first_picture_each_place_away_from_the_first_choice_costs_a_nat() -> None:
    found = fusion.nothing_seen()
    assert found.dtype == np.int64
    assert (found[3] / 1024).tolist() == [3, 2, 1, 0, 1, 2, 3]
    assert (found[:, 3] / 1024).tolist() == [3, 2, 1, 0, 1, 2, 3, 4]
    assert found[0, 0] == 6 * 1024 and found[7, 6] == 7 * 1024
    assert fusion.best(found) == (0.12, 0.5)
    assert fusion.best_alone(found) == 0.12


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        ([(0, 0)], (0.015, 0.0)),
        ([(5, 1)], (0.48, 0.1)),
        ([(7, 6)], (1.0, 1.5)),
        ([(2, 5), (6, 3)], (0.06, 1.0)),  # the first of equals
    ],
)
def test_the_least_sum_answers(least: list[tuple[int, int]], expected: tuple[float, float]) -> None:
    sums = np.full(fusion.SHAPE, 100)
    for place in least:
        sums[place] = 3
    assert fusion.best(sums) == expected


@pytest.mark.parametrize(("least", "expected"), [((0, 0), 0.015), ((6, 0), 0.75), ((6, 1), 0.015), ((6, 2), 0.015)])
def test_a_head_alone_looks_at_sums_without_text(least: tuple[int, int], expected: float) -> None:
    sums = np.full(fusion.SHAPE, 100)
    sums[least] = 3
    assert fusion.best_alone(sums) == expected


@pytest.mark.parametrize(
    ("counts", "maturity"),
    [([], 1.0), ([1], 1 / 9), ([8, 8], 0.5), ([4, 12], 6 / 14), ([0, 1], 1 / 9), ([10**9], 1.0)],
)
def test_scores_of_few_pictures_count_less_by_their_harmonic_mean(counts: list[int], maturity: float) -> None:
    assert fusion.maturity(np.array(counts, np.int64)) == pytest.approx(maturity)


@pytest.mark.parametrize(("count", "speaks"), [(1, False), (3, False), (4, True), (30, True)])
def test_a_label_of_under_four_pictures_says_nothing_and_each_is_weighed_as_if_one_were_left_out(
    count: int, speaks: bool
) -> None:
    found = fusion.losses(np.array([[10.0, 0.0]]), np.zeros((1, 2)), np.array([0]), np.array([count, 99]))
    left = (count - 1) / (count - 1 + 8)
    assert found[7, 0] == (round(1024 * np.log1p(np.exp(-10 * left))) if speaks else 0)
    assert found.any() == speaks


def test_logits_are_temperature_times_head_plus_weight_times_text() -> None:
    found = fusion.mixed(np.array([[10.0, 20.0]]), np.array([[3.0, 1.0]]), 0.5, 2.0)
    assert found.tolist() == [[11.0, 12.0]]


@pytest.mark.parametrize(
    ("head", "text", "goal", "place", "nats"),
    [
        ((0.0, 0.0), (0.0, 0.0), 0, (3, 2), np.log(2)),
        ((10.0, 0.0), (0.0, 0.0), 0, (7, 0), np.log1p(np.exp(-10))),
        ((10.0, 0.0), (0.0, 0.0), 1, (7, 0), 10 + np.log1p(np.exp(-10))),
        ((10.0, 0.0), (0.0, 4.0), 1, (3, 4), 0.0 + np.log1p(np.exp(1.2 - 3.0))),
        ((1e9, 0.0), (0.0, 0.0), 1, (0, 0), -np.log(1e-12)),  # one picture says at most so much
        ((0.0, 27.0), (0.0, 0.0), 0, (7, 0), 27.0),
        ((1e9, 0.0), (0.0, 0.0), 0, (0, 0), 0.0),
        ((0.0, -1e9), (0.0, 0.0), 0, (0, 0), 0.0),
        ((0.0, 28.0), (0.0, 0.0), 0, (7, 0), -np.log(1e-12)),
    ],
)
def test_a_picture_adds_its_loss_under_each_candidate(
    head: tuple[float, float], text: tuple[float, float], goal: int, place: tuple[int, int], nats: float
) -> None:
    many = np.full(2, 10**12)
    found = fusion.losses(np.array([head]), np.array([text]), np.array([goal]), many)
    assert found.dtype == np.int64 and found.shape == (8, 7)
    assert found[place] == round(1024 * nats)
    twice = fusion.losses(np.array([head, head]), np.array([text, text]), np.array([goal, goal]), many)
    assert np.array_equal(twice, 2 * found)


@pytest.mark.parametrize(
    ("sums", "sound"),
    [
        (np.zeros((8, 7)), True),
        (np.eye(8, 7) - 1, False),
        (-np.ones((8, 7)), False),
        (np.zeros((7, 8)), False),
        (np.ones((8, 6)), False),
    ],
)
def test_sums_below_zero_or_of_another_shape_are_damage(sums: np.ndarray, sound: bool) -> None:
    if sound:
        assert fusion.check(sums) is sums
        return
    with pytest.raises(
        DamagedError,
        match=r"head.safetensors: fusion: expected \(8, 7\) sums of at least 0, found others; run `edge-nusa undo`",
    ):
        fusion.check(sums)
