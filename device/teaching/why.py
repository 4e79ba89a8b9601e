"""Why a picture is answered so: the labels that it looks most like, and the parts of it that speak for the answer.

Each part is covered in turn with the picture's own mean colour, the covered pictures are asked, and what a covering
takes from the label's log-odds is what that part gives it (occlusion: Zeiler and Fergus 2014, section 4.2). Windows of
two by two parts slide by one, so a part's figure is the mean of the windows that cover it. That is 25 pictures through
the trunk, whatever the picture's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from edge_nusa.device.teaching.reading import smaller

if TYPE_CHECKING:
    from edge_nusa.device.asking.predict import Prediction

PARTS, WINDOW = 6, 2
"""Parts of a side, and of a window's side."""
SIDE = 448
"""Pixels of the shorter side at which parts are covered: the trunk reads fewer."""
LEAST_ODDS = 0.25
"""What some part must take from the log-odds, or no part alone matters; covering grass in grass takes less."""
MOST_NEAREST = 3
LEAST_PROBABILITY = 1e-6
"""Answers are rounded to this."""


@dataclass(frozen=True)
class Why:
    """label: the one that is explained; nearest: labels and their shares, which sum to 1 over all labels; grid: rows
    of 0 to 1 over the whole picture, what each part gives the label."""

    label: str
    nearest: Sequence[tuple[str, float]]
    grid: Sequence[Sequence[float]]

    def to_json(self) -> dict[str, Any]:
        """As docs/http.md says."""
        nearest = [{"label": label, "share": round(share, 3)} for label, share in self.nearest]
        return {"label": self.label, "nearest": nearest, "grid": [[round(v, 3) for v in row] for row in self.grid]}


def explained(
    ask: Callable[[Sequence[np.ndarray]], Sequence[Prediction]], image: np.ndarray, answer: Prediction
) -> Why:
    """Why `image` (H, W, 3) uint8 RGB is answered so. ask: the same question of other pictures, with all labels."""
    label = answer.labels[0].label
    total = sum(one.probability for one in answer.labels) or 1.0
    nearest = [(one.label, one.probability / total) for one in answer.labels[:MOST_NEAREST]]
    small = np.asarray(smaller(Image.fromarray(image), SIDE))
    # one at a time: a chunk of them would be as fast, and would need the memory of one
    whole, *odds = (_log_odds(ask([one])[0], label) for one in (small, *covered(small)))
    return Why(label, nearest, _grid([max(0.0, whole - one) for one in odds]))


def covered(image: np.ndarray) -> Iterator[np.ndarray]:
    """Copies of a picture (H, W, 3), each with one window in its mean colour, row by row."""
    rows, columns = (np.linspace(0, side, PARTS + 1).round().astype(int) for side in image.shape[:2])
    colour = image.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    for top in range(PARTS - WINDOW + 1):
        for left in range(PARTS - WINDOW + 1):
            copy = image.copy()
            copy[rows[top] : rows[top + WINDOW], columns[left] : columns[left + WINDOW]] = colour
            yield copy


def _grid(taken: Sequence[float]) -> list[list[float]]:
    """From what each window takes to what each part gives, the largest as 1."""
    places = PARTS - WINDOW + 1
    sums, counts = np.zeros((PARTS, PARTS)), np.zeros((PARTS, PARTS))
    for index, value in enumerate(taken):
        top, left = divmod(index, places)
        sums[top : top + WINDOW, left : left + WINDOW] += value
        counts[top : top + WINDOW, left : left + WINDOW] += 1
    if max(taken) < LEAST_ODDS:
        return np.zeros((PARTS, PARTS)).tolist()
    means = sums / counts
    return [[float(value) for value in row] for row in means / means.max()]


def _log_odds(answer: Prediction, label: str) -> float:
    found = next((one.probability for one in answer.labels if one.label == label), 0.0)
    bounded = min(max(found, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    return math.log(bounded / (1 - bounded))
