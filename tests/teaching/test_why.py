"""Why a picture is answered so: the nearest labels, and the parts that speak for the answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from page_server import encoded, page, picture, seen

from edge_nusa.device.asking.predict import Prediction, Ranked
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.teaching import why
from edge_nusa.device.teaching.why import covered, explained

GREY, WHITE = 100, 255


def prediction(**labels: float) -> Prediction:
    ranked = tuple(Ranked(label, labels[label]) for label in sorted(labels, key=lambda label: -labels[label]))
    return Prediction(image="x", best=ranked[0].label, labels=ranked, known=0.9, unknown=False)


def white(images: Sequence[np.ndarray]) -> list[Prediction]:
    """A model that sees how much white there is."""
    shares = [float((image == WHITE).mean()) for image in images]
    return [prediction(white=0.01 + 0.9 * share, grey=0.5) for share in shares]


def answers(*of_a: float) -> Callable[[Sequence[np.ndarray]], list[Prediction]]:
    """A model that gives the label a these probabilities, one after another."""
    coming = iter(of_a)
    return lambda images: [prediction(a=next(coming)) for _ in images]


def with_white(row: int, column: int, size: tuple[int, int] = (120, 180)) -> np.ndarray:
    """A grey picture with one of six by six parts in white."""
    image = np.full((*size, 3), GREY, np.uint8)
    high, wide = size[0] // 6, size[1] // 6
    image[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = WHITE
    return image


@pytest.mark.parametrize(("row", "column"), [(0, 0), (5, 5), (2, 3), (0, 4)])
def test_the_part_that_speaks_for_the_label_is_the_brightest(row: int, column: int) -> None:
    image = with_white(row, column)
    found = explained(white, image, prediction(white=0.6, grey=0.3))
    grid = np.array(found.grid)
    assert grid.shape == (6, 6) and grid.max() == 1 and grid.min() >= 0
    assert grid[row, column] == 1
    far = [(0, 0), (0, 5), (5, 0), (5, 5)]
    assert all(grid[place] == 0 for place in far if max(abs(place[0] - row), abs(place[1] - column)) > 1)


def test_a_picture_of_any_size_is_asked_twenty_six_times_at_a_bounded_size() -> None:
    asked: list[np.ndarray] = []

    def ask(images: Sequence[np.ndarray]) -> list[Prediction]:
        asked.extend(images)
        return white(images)

    explained(ask, np.zeros((2000, 3000, 3), np.uint8), prediction(white=1.0))
    assert len(asked) == 26
    assert {image.shape for image in asked} == {(448, 672, 3)}


def test_each_window_is_covered_once_in_the_mean_colour_and_the_picture_stays() -> None:
    image = with_white(0, 0)
    before, mean = image.copy(), image.reshape(-1, 3).mean(axis=0).round()
    windows = list(covered(image))
    assert len(windows) == 25 and (image == before).all()
    changed = [(one != image).any(axis=2) for one in windows]
    assert (windows[0][0, 0] == mean).all() and not changed[-1][0, 0]
    assert np.sum(changed, axis=0).max() == 4


def test_where_no_part_alone_matters_the_grid_is_all_zero() -> None:
    odds = math.log(0.5 / 0.5)

    def ask(least: float) -> why.Why:
        """Covering the first window takes so much from the log-odds."""
        taken = 1 / (1 + math.exp(-(odds - least)))
        return explained(
            answers(0.5, taken, *[0.5] * 24),
            np.zeros((60, 60, 3), np.uint8),
            prediction(a=0.5),
        )

    assert not np.any(ask(why.LEAST_ODDS - 0.01).grid)
    assert np.array(ask(why.LEAST_ODDS + 0.01).grid)[0, 0] == 1


def test_a_part_that_speaks_against_the_label_counts_as_nothing() -> None:
    found = explained(
        answers(0.5, 0.1, *[0.9] * 24),
        np.zeros((60, 60, 3), np.uint8),
        prediction(a=0.5),
    )
    assert np.array(found.grid).min() == 0


def test_the_nearest_labels_are_three_with_their_shares_of_all() -> None:
    found = explained(white, with_white(1, 1), prediction(white=0.4, grey=0.2, c=0.1, d=0.1)).to_json()
    assert found["label"] == "white"
    assert found["nearest"][:2] == [{"label": "white", "share": 0.5}, {"label": "grey", "share": 0.25}]
    assert len(found["nearest"]) == 3 and found["nearest"][2]["share"] == 0.125


def test_of_two_halves_the_one_that_shows_the_label_speaks_for_it(taught: Path, pictures: DemoPictures) -> None:
    """On real pictures, by the model: gravel at the left, brick wall at the right."""
    gravel, brick = (seen(pictures.asked[kind])[0] for kind in ("gravel", "brick wall"))
    side = min(gravel.shape[0], brick.shape[0], gravel.shape[1], brick.shape[1])
    image = np.concatenate([gravel[:side, : side // 2], brick[:side, side // 2 : side]], axis=1)
    with page(taught) as (client, _):
        answer = client.post("/api/predict?why=1", content=encoded(image, "PNG")).json()
    grid, label = np.array(answer["why"]["grid"]), answer["why"]["label"]
    assert label in ("gravel", "brick wall") and grid.max() == 1
    left, right = grid[:, :3].mean(), grid[:, 3:].mean()
    assert (left > 2 * right) if label == "gravel" else (right > 2 * left), grid


def test_why_is_said_only_where_it_is_asked(taught: Path) -> None:
    with page(taught) as (client, _):
        assert "why" not in client.post("/api/predict", content=picture()).json()
        assert "why" in client.post("/api/predict?why=1&top=1", content=picture()).json()
