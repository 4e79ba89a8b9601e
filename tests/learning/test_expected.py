"""How many new pictures of a label are expected to be recognised, told from the head's sums, beside how many are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_by_hand import SCALE, knowledge, unit
from test_judge import task

from edge_nusa.device.learning import expected as expectations
from edge_nusa.device.learning.expected import expected
from edge_nusa.device.learning.gaussian_replay import projected
from edge_nusa.knowledge.head import Head, features
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.recipes import PAPER

TAPS = 24


class Bundle:
    """What `expected` reads of a bundle: the first four features are the embedding."""

    class manifest:
        logit_scale = SCALE

        class image:
            class recollection:
                taps, projection = 4, ""


BUNDLE: Any = Bundle


def known(rows: np.ndarray, goals: np.ndarray, count: int) -> Knowledge:
    """Labels whose anchors are all alike, so that the head alone tells them apart."""
    names = [f"label {i}" for i in range(count)]
    made = knowledge(names, np.repeat(unit((1, 0, 0, 0)), count, axis=0))
    return replace(made, head=Head.empty(TAPS + 1).added(rows, goals, count))


@pytest.mark.parametrize(("shots", "distance"), [(5, 0.5), (5, 1.0), (16, 0.5), (16, 0.3), (16, 2.0)])
def test_what_is_expected_is_near_to_what_new_pictures_show(
    shots: int, distance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectations, "WIDER", 1.0)  # all labels here scatter alike
    says, shows = [], []
    for seed in range(12):
        rows, goals = task(seed, [40] * 5, distance)
        taught = np.concatenate([np.flatnonzero(goals == label)[:shots] for label in range(5)])
        new = np.setdiff1d(np.arange(len(goals)), taught)
        one = known(rows[taught], goals[taught], 5)
        scores = one.solved.scores(one.solved.whitened(rows[new]))
        shows.append(100 * float((scores.argmax(axis=1) == goals[new]).mean()))
        says.append(float(np.mean(list(expected(BUNDLE, one).values()))))
    assert abs(np.mean(says) - np.mean(shows)) < 9, (np.mean(says), np.mean(shows))


def test_a_label_that_is_like_another_is_expected_less_than_one_that_is_not() -> None:
    rows, goals = task(0, [20] * 3, 3.0)
    near = rows[goals == 0] + np.random.default_rng(0).integers(-400, 400, rows[goals == 0].shape)
    found = expected(BUNDLE, known(np.concatenate([rows, near]), np.concatenate([goals, np.full(20, 3)]), 4))
    assert max(found[0], found[3]) < min(found[1], found[2]) == 100.0


def test_one_label_alone_one_picture_and_a_recipe_without_head_tell_nothing() -> None:
    rows, goals = task(1, [6, 6, 1], 2.0)
    assert sorted(expected(BUNDLE, known(rows, goals, 3))) == [0, 1]
    assert expected(BUNDLE, known(rows[:6], goals[:6], 1)) == {}
    assert expected(BUNDLE, replace(known(rows, goals, 3), recipe=PAPER)) == {}
    assert expected(BUNDLE, replace(known(rows[:0], goals[:0], 0))) == {}


def test_labels_are_told_after_others_were_forgotten_too() -> None:
    generator, goals = np.random.default_rng(0), np.repeat(np.arange(6), 4)
    rows = features(generator.standard_normal((24, 400)).astype(np.float32) + 2 * np.eye(400, dtype=np.float32)[goals])
    names = [f"label {i}" for i in range(6)]
    axes = np.repeat(unit((1, 0, 0, 0)), 6, axis=0)
    one = replace(knowledge(names, axes), head=Head.empty(401).added(rows, goals, 6))
    for name in names[:4]:
        one = one.without(name)
    assert sorted(expected(BUNDLE, one)) == [0, 1]


def test_sums_that_no_pictures_have_are_told_from_what_of_them_pictures_may_have() -> None:
    rows, goals = task(8, [6, 6], 1.0)
    one = known(rows, goals, 2)
    gram = one.head.gram.copy()
    gram[3, 3] = one.head.sums[3].sum() ** 2 // 12 - 12 * 2**20 // 200  # a variance of - 0.005: the fit bears it
    bent = replace(one, head=Head(gram, one.head.sums, one.head.counts))
    assert np.isfinite(bent.solved.means).all()
    assert sorted(expected(BUNDLE, bent)) == [0, 1]
    root = expectations._root(np.diag([4.0, -1.0, 0.25]))
    assert root @ root.T == pytest.approx(np.diag([4.0, 0.0, 0.25]), abs=1e-5)


def test_equal_sums_are_told_equally() -> None:
    rows, goals = task(2, [8, 8], 0.4)
    again = np.arange(16)[::-1]
    assert expected(BUNDLE, known(rows, goals, 2)) == expected(BUNDLE, known(rows[again], goals[again], 2))


def test_text_that_tells_labels_apart_is_asked_too() -> None:
    rows, goals = task(3, [8, 8], 0.5)
    blind = known(rows, goals, 2)
    means = unit(*[tuple((rows[goals == label, :4]).mean(axis=0)) for label in range(2)])
    right, wrong = (replace(blind, adapted_anchors=anchors) for anchors in (means, means[::-1]))
    assert sum(expected(BUNDLE, right).values()) > sum(expected(BUNDLE, wrong).values()) + 10


def test_text_is_asked_of_pictures_as_far_from_the_mean_as_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, goals = task(3, [4, 9], 1.0)
    one = known(rows, goals, 2)
    asked: list[np.ndarray] = []

    def noted(tokens: np.ndarray, projection: np.ndarray) -> np.ndarray:
        asked.append(tokens)
        return projected(tokens, projection)

    monkeypatch.setattr(expectations, "projected", noted)
    expected(BUNDLE, one)
    drawn = expectations._drawn(one, 100)
    for column, further in ((0, 1.5 * np.sqrt(5 / 4)), (1, 1.5 * np.sqrt(10 / 9))):
        tokens = drawn.means[column, :4] + further * drawn.residuals[:, :4]
        assert asked[column] == pytest.approx(tokens, abs=1e-5)


def test_scores_are_those_of_a_picture_left_out_with_one_leverage_for_all() -> None:
    rows, goals = task(4, [5, 7], 1.0)
    one = known(rows, goals, 2)
    drawn = expectations._drawn(one, 3)
    solved, means = one.solved, one.solved.means
    whitened = solved.whitened(rows) - means[goals]
    assert drawn.leverage == pytest.approx(float(np.square(whitened).sum(axis=1).mean()), rel=1e-3)
    assert drawn.residuals.shape == (3, TAPS + 1)
    scores, novelty = expectations._left_out(one, drawn, 0)
    gain = 1 / (1 - solved.downdate * 5 / 4 * drawn.leverage)
    for picture, r in enumerate(drawn.whitened):
        moved = means[0] + 1.5 * gain * r
        assert scores[picture, 1] == pytest.approx(moved @ means[1] - means[1] @ means[1] / 2)
        own = moved @ means[0] - means[0] @ means[0] / 2 - gain * drawn.leverage / 5
        assert scores[picture, 0] == pytest.approx(own)
        assert novelty[picture] == pytest.approx(r @ r * gain / solved.spread)


def test_a_label_without_pictures_is_never_expected() -> None:
    rows, goals = task(5, [5, 5], 0.1)
    one = known(rows, goals, 3)
    assert sum(expected(BUNDLE, one).values()) > 60
    scores, _ = expectations._left_out(one, expectations._drawn(one, 4), 0)
    assert (scores[:, 2] < -1e8).all()


def test_drawn_pictures_grow_fewer_with_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (expectations.MOST_DRAWN, expectations.FEWEST_DRAWN, expectations.ALL_DRAWN) == (100, 20, 10_000)
    assert (expectations.WIDER, expectations.LEAST_LEFT) == (1.5, 0.05)
    asked: list[int] = []
    drawn = expectations._drawn

    def noted(known: Knowledge, count: int) -> Any:
        asked.append(count)
        return drawn(known, count)

    monkeypatch.setattr(expectations, "_drawn", noted)
    monkeypatch.setattr(expectations, "ALL_DRAWN", 60)
    for count in (2, 3, 4):
        rows, goals = task(6, [2] * count, 1.0)
        expected(BUNDLE, known(rows, goals, count))
    monkeypatch.setattr(expectations, "ALL_DRAWN", 1000)
    rows, goals = task(6, [2, 2], 1.0)
    expected(BUNDLE, known(rows, goals, 2))
    assert asked == [30, 20, 20, 100]


def test_a_fit_that_has_seen_nothing_but_the_picture_keeps_a_twentieth() -> None:
    rows, goals = task(7, [20, 20], 3.0)
    one = known(rows, goals, 2)
    assert one.solved.downdate > 0
    drawn = replace(expectations._drawn(one, 2), leverage=1e6)
    scores, novelty = expectations._left_out(one, drawn, 0)
    assert novelty == pytest.approx(np.square(drawn.whitened).sum(axis=1) * 20 / one.solved.spread)
