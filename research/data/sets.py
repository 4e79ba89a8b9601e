"""One data set: its classes by name, its pictures, which of them are for the test, and how some of either are drawn.

Whatever is drawn is ranked by SHA-256 of plain text, so that it is the same on every machine, Python and NumPy, for
ever.
Letters: B pictures, H by W pixels.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.files.foreign import shown
from edge_nusa.pictures.picture_file import picture_sha256
from edge_nusa.pictures.pictures import MAX_PIXELS, decode, printable

TEST_SHARE = 0.4
"""Of each class's pictures, where the set has no split of its own."""
SPLIT_SEED = 0
PLACE = "{}"

Thing = TypeVar("Thing")
Picture = Path | np.ndarray
"""A picture's file; or its pixels, (H, W) or (H, W, 3) uint8 of 0 to 255, a view into the memory-mapped file that
packs them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DataSet:
    """labels: the classes' names for prompts; templates: prompts with one {} each; pictures: B of them;

    classes (B,) int64: the label that each picture is of; is_test (B,) bool. Every class has pictures of both kinds.
    """

    name: str
    labels: tuple[str, ...]
    templates: tuple[str, ...]
    pictures: Sequence[Picture]
    classes: np.ndarray
    is_test: np.ndarray


class Example(NamedTuple):
    """One picture as a set's files tell of it. key: its class, as the set calls it."""

    key: str
    picture: Picture
    is_test: bool


def assembled(
    name: str, where: Path, names: Mapping[str, str], templates: Sequence[str], examples: Sequence[Example]
) -> DataSet:
    """A set of the examples; its classes are those of `names` (key to label, in this order) that have pictures.

    Raises InputError, naming `where`, for a key that `names` lacks, two keys with one label, a template without exactly
    one {}, and a class without a picture for training or without one for the test.
    """
    _check_templates(where, templates)
    present = Counter((example.key, example.is_test) for example in examples)
    _check_keys(where, names, present)
    keys = [key for key in names if (key, True) in present or (key, False) in present]
    _check_classes(where, keys, present)
    labels = tuple(names[key] for key in keys)
    twin = next((label for label, count in Counter(labels).items() if count > 1), None)
    if twin is not None:
        raise InputError(
            f"{printable(where)}: expected a name of its own for each class, found {shown(twin)} twice; rename one"
        )
    column = {key: index for index, key in enumerate(keys)}
    classes = np.array([column[example.key] for example in examples], np.int64)
    is_test = np.array([example.is_test for example in examples], bool)
    return DataSet(
        name=name,
        labels=labels,
        templates=tuple(templates),
        pictures=[example.picture for example in examples],
        classes=classes,
        is_test=is_test,
    )


def _check_templates(where: Path, templates: Sequence[str]) -> None:
    for template in templates:
        if template.count(PLACE) != 1:
            raise InputError(
                f"{printable(where)}: expected templates with one {PLACE} for the class name, found {shown(template)}; "
                "correct it"
            )


def _check_keys(where: Path, names: Mapping[str, str], present: Counter[tuple[str, bool]]) -> None:
    """There are pictures, all of classes that `names` knows. present: how many pictures of (key, is_test)."""
    if not present:
        raise InputError(
            f"{printable(where)}: expected pictures in a sub-folder for each class, found none; add some or move the "
            "folder elsewhere"
        )
    strange = sorted({key for key, _ in present} - set(names))
    if strange:
        raise InputError(
            f"{printable(where)}: expected the classes {few(names)}, found {few(strange)}; check which data set this is"
        )


def _check_classes(where: Path, keys: Sequence[str], present: Counter[tuple[str, bool]]) -> None:
    """Every class has pictures of both kinds. present: how many pictures of (key, is_test)."""
    for key in keys:
        if not (present[key, True] and present[key, False]):
            found = f"{present[key, False]} and {present[key, True]}"
            raise InputError(
                f"{printable(where)}: the class {printable(key)!r}: expected pictures to train and to test on, found "
                f"{found}; add pictures or remove the class"
            )


def open_picture(picture: Picture, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture as RGB of 8 bits. max_pixels bounds the decoding of files. Raises InputError as `pictures.decode`
    does."""
    if isinstance(picture, Path):
        return decode(picture, max_pixels)
    return Image.fromarray(picture).convert("RGB")


def content_digest(picture: Picture) -> str:
    """SHA-256 (hex) of the file's bytes, or of the pixels and their shape. Raises InputError for a file that cannot
    be read."""
    if not isinstance(picture, Path):
        return hashlib.sha256(f"{picture.shape}".encode() + picture.tobytes()).hexdigest()
    return picture_sha256(picture)


def split_by_lot(key: str, pictures: Sequence[Path]) -> list[Example]:
    """The pictures of one class, TEST_SHARE of them for the test: those whose names rank first.

    Neither where the set lies nor the other classes matter. Of two pictures or more each kind gets one at least.
    """
    ranked = _ranked(pictures, lambda picture: f"{SPLIT_SEED}/{key}/{picture.name}")
    held_out = set(ranked[: max(1, round(TEST_SHARE * len(ranked)))])
    return [Example(key, picture, picture in held_out) for picture in pictures]


def take_shots(dataset: DataSet, shots: int, seed: int) -> np.ndarray:
    """(K,) int64: indices of `shots` training pictures of each class, class after class; all of them where shots is
    0 or fewer are there.

    With one seed, five shots of a class are the first five of its sixteen. Raises InputError for shots below 0.
    """
    if shots < 0:
        raise InputError(f"shots: expected 0 (all) or more pictures of each class, found {shots}")
    return np.concatenate([members[: shots or None] for members in _drawn(dataset, ~dataset.is_test, seed)])


def limit_test(dataset: DataSet, per_set: int, seed: int) -> np.ndarray:
    """(K,) int64, rising: indices of at most `per_set` test pictures (0: all), as even over the classes as they allow.

    A smaller limit keeps a part of what a larger one keeps. Raises InputError for a limit below 0.
    """
    if per_set < 0:
        raise InputError(f"test pictures: expected 0 (all) or more of each set, found {per_set}")
    drawn = _ranked(_drawn(dataset, dataset.is_test, seed), lambda members: f"{seed}/{members[0]}")
    rounds = np.concatenate([np.arange(len(members)) for members in drawn])
    # The first of every class, then the second of every class: a stable sort by how many of its class came before.
    members = np.concatenate(drawn)[np.argsort(rounds, kind="stable")]
    return np.sort(members[: per_set or None])


def _drawn(dataset: DataSet, is_wanted: np.ndarray, seed: int) -> list[np.ndarray]:
    """The indices of each class's wanted pictures, (K,) int64, in the order that the seed draws them."""
    members = [np.flatnonzero(is_wanted & (dataset.classes == label)) for label in range(len(dataset.labels))]
    return [np.array(_ranked(each.tolist(), lambda index: f"{seed}/{index}"), np.int64) for each in members]


def _ranked(things: Iterable[Thing], text_of: Callable[[Thing], str]) -> list[Thing]:
    """The things in the order of the SHA-256 of their texts."""
    return sorted(things, key=lambda thing: hashlib.sha256(os.fsencode(text_of(thing))).digest())


def folders(folder: Path) -> list[Path]:
    """The visible sub-folders, sorted. Raises InputError where they cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"{printable(folder)}: expected a readable folder, found {error.strerror}; change its permissions"
        ) from error


def few(words: Iterable[str]) -> str:
    """At most eight of the words, for a message."""
    listed = [printable(word) for word in words]
    return ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "") or "none"
