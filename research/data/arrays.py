"""A data set from arrays that are in memory already, and the same as a folder for `edge-nusa eval --data`.

Letters: N pictures, H by W pixels, C classes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.files import durable
from edge_nusa.files.foreign import shown
from edge_nusa.research.data.datasets import DEFAULT_TEMPLATE, NAMES_FILE, TEST, TRAIN, names_of
from edge_nusa.research.data.sets import DataSet, Example, assembled

LONGEST_NAME = 100
Part = tuple[np.ndarray, np.ndarray]
"""Pictures (N, H, W, 3) or (N, H, W) uint8 of 0 to 255, RGB or grey, and the class (N,) of each, from 0."""


def data_set(
    name: str, labels: Sequence[str], train: Part, test: Part, templates: Sequence[str] = (DEFAULT_TEMPLATE,)
) -> DataSet:
    """The set of these arrays, which are not copied. labels: the C classes' names for prompts; templates: with one {}
    each for the name.

    Raises InputError for a name that no folder can have, labels that are not each a text of its own, arrays of other
    shapes or kinds, classes outside of the labels, and a class without pictures in train or in test.
    """
    if not name.strip() or name.startswith(".") or len(name.encode()) > LONGEST_NAME or not name.isprintable():
        raise InputError(f"data set: expected a name of 1 to {LONGEST_NAME} bytes, found {shown(name)}; give another")
    if "/" in name or "\\" in name:
        raise InputError(f"data set: expected a name without slashes, found {shown(name)}; give another")
    if not labels or not all(isinstance(label, str) and label.strip() for label in labels):
        raise InputError(
            f"data set {name}: expected a name for each class, found {shown(list(labels))}; give all names"
        )
    examples = [
        Example(str(label), picture, is_test)
        for part, is_test in ((train, False), (test, True))
        for picture, label in _checked(name, TEST if is_test else TRAIN, part, len(labels))
    ]
    _check_counts(name, labels, examples)
    return assembled(name, Path(name), {str(label): text for label, text in enumerate(labels)}, templates, examples)


def _checked(name: str, kind: str, part: Part, count: int) -> list[tuple[np.ndarray, int]]:
    """Each picture with its class. Raises InputError."""
    pictures, classes = (np.asarray(array) for array in part)
    is_colour = pictures.ndim == 4 and pictures.shape[-1] == 3
    if pictures.dtype != np.uint8 or not (is_colour or pictures.ndim == 3) or 0 in pictures.shape:
        raise InputError(
            f"data set {name}: expected {kind} pictures (N, H, W, 3) or (N, H, W) uint8 of 0 to 255, found "
            f"{pictures.shape} {pictures.dtype}; move the channels last, and scale and round what is not uint8"
        )
    if classes.shape != pictures.shape[:1] or classes.dtype.kind not in "iu":
        raise InputError(
            f"data set {name}: expected {kind} classes ({len(pictures)},) of whole numbers, found {classes.shape} "
            f"{classes.dtype}; give one for each picture"
        )
    if classes.min() < 0 or classes.max() >= count:
        raise InputError(
            f"data set {name}: expected {kind} classes from 0 to {count - 1}, found {classes.min()} to "
            f"{classes.max()}; give as many labels as there are classes"
        )
    return list(zip(pictures, classes.tolist(), strict=True))


def _check_counts(name: str, labels: Sequence[str], examples: Sequence[Example]) -> None:
    """Raises InputError for a class that lacks pictures in either part."""
    for is_test, kind in ((False, TRAIN), (True, TEST)):
        there = {example.key for example in examples if example.is_test == is_test}
        missing = [label for index, label in enumerate(labels) if str(index) not in there]
        if missing:
            raise InputError(
                f"data set {name}: expected {kind} pictures of every class, found none of {shown(missing[0])}; add "
                "some or leave the class out"
            )


def save_set(dataset: DataSet, root: Path) -> Path:
    """Writes a set of arrays as <root>/<name>/train|test/<class>/<number>.png, with its names in <root>/classes.json;
    pixels stay what they are. Returns the set's folder. Raises InputError where there is such a folder already, or the
    set's pictures are files."""
    folder = root / dataset.name
    if folder.exists() or any(isinstance(picture, Path) for picture in dataset.pictures):
        raise InputError(
            f"{folder}: expected a set of arrays and no folder of its name yet, found "
            f"{'one' if folder.exists() else 'a set of files'}; take another root, or use its folder as it is"
        )
    names = names_of(root)
    digits = len(str(max(len(dataset.labels), 2) - 1))
    keys = [f"{index:0{digits}}" for index in range(len(dataset.labels))]
    for number, (picture, label) in enumerate(zip(dataset.pictures, dataset.classes.tolist(), strict=True)):
        place = folder / (TEST if dataset.is_test[number] else TRAIN) / keys[label]
        durable.make_folder(place, durable.ASKED_FOLDER_MODE)
        written = io.BytesIO()
        Image.fromarray(np.asarray(picture)).save(written, "PNG")
        durable.write_file(place / f"{number:06}.png", written.getvalue(), durable.ASKED_FILE_MODE)
    entry = {"templates": list(dataset.templates), "classes": dict(zip(keys, dataset.labels, strict=True))}
    content = json.dumps({**names, dataset.name: entry}, indent=1, sort_keys=True, allow_nan=False)
    durable.replace_file(root / NAMES_FILE, content.encode(), durable.ASKED_FILE_MODE)
    return folder
