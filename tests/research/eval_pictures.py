"""Tiny sets of coloured, textured PNG pictures for the tests of the harness, and the material of a sequence of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from edge_nusa.model.bundle import Bundle
from edge_nusa.research.data.datasets import find_sets, take_shots
from edge_nusa.research.data.views import View, Viewer
from edge_nusa.research.protocol.sequence import Material

SIDE = 24
A_CLASS = 8
"""Pictures of each class; three of them are for the test."""
SETS = {"cloth": ["red stripes", "blue dots"], "stone": ["gravel", "marble", "slate"], "sky": ["dawn", "night"]}


def draw(path: Path, colour: Sequence[int], seed: int) -> None:
    """Stripes and noise of about one colour."""
    generator = np.random.default_rng(seed)
    rows = np.full((SIDE, SIDE, 3), colour, np.float64) + generator.normal(0, 20, (SIDE, SIDE, 3))
    rows[:: 2 + colour[0] % 5] *= 0.5
    rows[:, :: 2 + colour[1] % 5] += 30
    Image.fromarray(np.clip(rows, 0, 255).astype(np.uint8)).save(path)


def draw_sets(root: Path, sets: Mapping[str, Sequence[str]]) -> None:
    """<root>/<set>/<class>/<n>.png, A_CLASS of each class, each class of a colour and texture that its name gives."""
    for name, classes in sets.items():
        for label in classes:
            folder = root / name / label.replace(" ", "_")
            folder.mkdir(parents=True)
            drawn = hashlib.sha256(f"{name}/{label}".encode()).digest()
            for number in range(A_CLASS):
                draw(folder / f"{number}.png", list(drawn[:3]), drawn[3] * 100 + number)


def material(
    bundle: Bundle,
    folder: Path,
    sets: Mapping[str, Sequence[str]],
    shots: int = 4,
    never: str = "",
    image_blocks: int = 0,
) -> Material:
    """The sets drawn below `folder` with their views, `shots` pictures a class (0: all) to learn from, and all test
    pictures."""
    draw_sets(folder / "data", sets)
    viewer = Viewer(bundle, folder / "cache", 1, image_blocks)
    views: dict[str, View] = {}
    taught: dict[str, np.ndarray] = {}
    asked: dict[str, np.ndarray] = {}
    for dataset in find_sets(folder / "data", list(sets)):
        views[dataset.name] = viewer.view(dataset, np.arange(len(dataset.pictures)), lambda what, done, total: None)
        taught[dataset.name] = take_shots(dataset, shots, 0)
        asked[dataset.name] = np.flatnonzero(dataset.is_test)
    return Material(views, taught, asked, (views[never], asked[never]) if never else None)
