"""What one learn is about: labels with their picture files, from one folder or from a folder per label; and its
split."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.files.opening import Below
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.pictures.names import BIN, ENDINGS, is_bin
from edge_nusa.pictures.picture import Source, name_of
from edge_nusa.pictures.pictures import Quarantined, find_pictures, printable

FEWEST_TO_HOLD_OUT = 10
"""A label with fewer readable pictures is judged by leave-one-out instead of held-out pictures."""
HELD_OUT_SHARE = 5
"""One picture in five is held out."""
_KINDS = "train|training|val|valid|validation|test|testing|dev|eval|evaluation"
SPLIT = re.compile(rf"({_KINDS})([ _-]?(set|data|images|split))?([ _-]?\d+)?", re.IGNORECASE)
"""What the parts of a data set are called: train, Test, val2017, training_set."""
LINK = "a link to a folder, which is not followed; copy the folder in its place: cp -rL"


@dataclass(frozen=True)
class Task:
    """labels (names), all pictures, classes (B,) int64: which label each is of; what listing set aside."""

    labels: list[str]
    pictures: Sequence[Source]
    classes: np.ndarray
    quarantined: list[Quarantined]

    @property
    def paths(self) -> list[Path]:
        """Of each picture, what it is called: the path of a file."""
        return [name_of(picture) for picture in self.pictures]


class _Part(NamedTuple):
    """A sub-folder of a data set: its pictures at any depth, what was left out, and the folders below that hold its
    pictures."""

    folder: Path
    paths: list[Path]
    quarantined: list[Quarantined]
    below: list[str]
    has_own: bool


def one_label(places: Path | Sequence[Path], label: str) -> Task:
    """Pictures and folders of them, and what they show. Raises InputError for a bad label, or where there is none."""
    name = label_names.normalise(label)
    places = [places] if isinstance(places, Path) else places
    paths: list[Path] = []
    quarantined: list[Quarantined] = []
    for place in places:
        found, bad = find_pictures(place)
        paths += found
        quarantined += bad
    if not paths:
        where = printable(places[0]) + (f" and {len(places) - 1} more" if len(places) > 1 else "")
        raise InputError(
            f"{where}: no pictures for the label {label_names.quoted(name)} ({ENDINGS}); {_left_out(quarantined)}"
        )
    return Task([name], paths, np.zeros(len(paths), np.int64), quarantined)


def folder_per_label(folder: Path) -> Task:
    """`--dataset DIR`: each sub-folder is a label, named by `edge_nusa.knowledge.labels.of_folder`, its pictures
    searched to its depths.

    Raises InputError where the sub-folders are the parts of a data set (train, val, test) or folders of the labels'
    folders.
    """
    if not folder.is_dir():
        raise InputError(f"{printable(folder)}: expected a folder with a sub-folder of pictures for each label")
    parts, quarantined = _parts(folder)
    fault = _splits_fault(parts) or _depth_fault(parts)
    if fault is not None:
        raise InputError(f"{printable(folder)}: {fault}")
    names: list[str] = []
    for part in parts:
        name = label_names.of_folder(part.folder.name)
        twin = next((n for n in names if label_names.key(n) == label_names.key(name)), None)
        if twin is not None:
            raise InputError(
                f"{printable(part.folder)}: its label is the same as that of the folder for "
                f"{label_names.quoted(twin)}; rename or merge one of them"
            )
        names.append(name)
        quarantined += part.quarantined
    if not names:
        rule = "it has no sub-folders with pictures; expected one for each label, or use --images DIR --label NAME"
        raise InputError(f"{printable(folder)}: {rule}" + (f"; {_left_out(quarantined)}" if quarantined else ""))
    counts = [len(part.paths) for part in parts]
    return Task(
        names, [path for part in parts for path in part.paths], np.repeat(np.arange(len(parts)), counts), quarantined
    )


def _parts(folder: Path) -> tuple[list[_Part], list[Quarantined]]:
    """The sub-folders with pictures in the order of their names, and every other entry with why it is left out."""
    parts, quarantined = [], []
    for entry in sorted(folder.iterdir()):
        if is_bin(entry.name):
            quarantined.append(Quarantined(printable(entry), BIN))
        elif entry.name.startswith("."):
            continue
        elif entry.is_symlink() and entry.is_dir():
            quarantined.append(Quarantined(printable(entry), LINK))
        elif entry.is_symlink() or not entry.is_dir():
            quarantined.append(
                Quarantined(
                    printable(entry), "expected a sub-folder named after its label; links and loose files are left out"
                )
            )
        else:
            paths, bad = find_pictures(Below.of(entry, folder))
            inner = [path.relative_to(entry).parts for path in paths]
            if paths:
                parts.append(
                    _Part(
                        entry,
                        paths,
                        bad,
                        sorted({one[0] for one in inner if len(one) > 1}),
                        any(len(one) == 1 for one in inner),
                    )
                )
            else:
                quarantined.append(
                    Quarantined(
                        printable(entry), f"the folder has no pictures, its label is left out; {_left_out(bad)}"
                    )
                )
    return parts, quarantined


def _splits_fault(parts: Sequence[_Part]) -> str | None:
    """Why sub-folders that are the parts of a data set are no labels, or None: most of them are called so, and hold
    folders."""
    named = [part for part in parts if SPLIT.fullmatch(part.folder.name)]
    if 2 * len(named) <= len(parts):
        return None
    words = ", ".join(printable(part.folder.name) for part in named)
    inner = sorted(
        (part for part in named if part.below), key=lambda part: not part.folder.name.lower().startswith("train")
    )
    if inner:
        return (
            f"expected a sub-folder for each label, found the parts of a data set ({words}); teach one of them: "
            f"--dataset {_quoted(inner[0].folder)}"
        )
    if len(named) < len(parts) or len(parts) == 1:
        return None
    return (
        f"expected a sub-folder for each label, found the parts of a data set ({words}) without any; sort the "
        "pictures, or use --images DIR --label NAME"
    )


def _depth_fault(parts: Sequence[_Part]) -> str | None:
    """Why the labels seem to be a level deeper, or None: no sub-folder has a picture of its own, and all hold other
    folders.

    Folders that several labels have, or with numbers and days for names, are no labels.
    """
    fewest = 1 if len(parts) == 1 else 2
    inner = [name for part in parts for name in part.below]
    if not parts or any(part.has_own or len(part.below) < fewest for part in parts):
        return None
    if len(set(inner)) < len(inner) or not any(character.isalpha() for name in inner for character in name):
        return None
    first = _quoted(parts[0].folder)
    found = f"found folders in them, such as {printable(parts[0].folder.name)}/{printable(parts[0].below[0])}"
    return (
        f"expected pictures in the labels' sub-folders, {found}; if those are the labels: --dataset {first}; if not: "
        f"--images {first} --label NAME"
    )


def _quoted(path: Path) -> str:
    """The path as a shell takes it."""
    return printable(shlex.quote(str(path)))


def _left_out(quarantined: Sequence[Quarantined]) -> str:
    """How many entries were left out, and why, the commonest reasons first."""
    if not quarantined:
        return "nothing else was found"
    reasons = Counter(entry.reason for entry in quarantined).most_common(3)
    return f"{len(quarantined)} entries were left out: " + "; ".join(f"{count} x {reason}" for reason, count in reasons)


def held_out(classes: np.ndarray, seed: int) -> np.ndarray:
    """(B,) bool: one picture in five of every label that has at least ten, chosen by the seed."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(classes), bool)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        if len(members) >= FEWEST_TO_HOLD_OUT:
            chosen[generator.permutation(members)[: len(members) // HELD_OUT_SHARE]] = True
    return chosen


def joined(before: Knowledge, task: Task) -> tuple[list[str], np.ndarray]:
    """All label names after the task, and the column of each of the task's labels; a label known already is taught
    on."""
    names, keys = before.names, dict(before.columns)
    columns = []
    for label in task.labels:
        index = keys.setdefault(label_names.key(label), len(names))
        if index == len(names):
            names.append(label)
        columns.append(index)
    return names, np.array(columns, np.int64)
