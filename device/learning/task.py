"""What one learn is about: labels with their picture files, from one folder or from a folder per label; and its
split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.pictures.pictures import Quarantined, find_pictures, printable

FEWEST_TO_HOLD_OUT = 10
"""A label with fewer readable pictures is judged by leave-one-out instead of held-out pictures."""
HELD_OUT_SHARE = 5
"""One picture in five is held out."""


@dataclass(frozen=True)
class Task:
    """labels (names), paths of all pictures, classes (B,) int64: which label each path is of; what listing set
    aside."""

    labels: list[str]
    paths: list[Path]
    classes: np.ndarray
    quarantined: list[Quarantined]


def one_label(folder: Path, label: str) -> Task:
    """`--images DIR --label X`. Raises InputError for a bad label or an empty folder."""
    name = label_names.normalise(label)
    paths, quarantined = find_pictures(folder)
    if not paths:
        raise InputError(
            f"{printable(folder)}: no pictures for the label {label_names.quoted(name)} (.jpg, .png, .webp, .bmp, "
            f".gif); {len(quarantined)} other entries were found"
        )
    return Task([name], paths, np.zeros(len(paths), np.int64), quarantined)


def folder_per_label(folder: Path) -> Task:
    """`--dataset DIR`: each sub-folder is a label, named by `edge_nusa.knowledge.labels.of_folder`."""
    if not folder.is_dir():
        raise InputError(f"{printable(folder)}: expected a folder with a sub-folder of pictures for each label")
    names: list[str] = []
    paths: list[Path] = []
    classes: list[int] = []
    quarantined: list[Quarantined] = []
    for entry in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
        if entry.is_symlink() or not entry.is_dir():
            quarantined.append(
                Quarantined(
                    printable(entry), "expected a sub-folder named after its label; links and loose files are left out"
                )
            )
            continue
        if not find_pictures(entry)[0]:
            quarantined.append(Quarantined(printable(entry), "the folder has no pictures; its label is left out"))
            continue
        part = one_label(entry, label_names.of_folder(entry.name))
        twin = next((n for n in names if label_names.key(n) == label_names.key(part.labels[0])), None)
        if twin is not None:
            raise InputError(
                f"{printable(entry)}: its label is the same as that of the folder for {label_names.quoted(twin)}; "
                "rename or merge one of them"
            )
        classes += [len(names)] * len(part.paths)
        names += part.labels
        paths += part.paths
        quarantined += part.quarantined
    if not names:
        raise InputError(
            f"{printable(folder)}: it has no sub-folders with pictures; expected one for each label, or use --images "
            "DIR --label NAME"
        )
    return Task(names, paths, np.array(classes, np.int64), quarantined)


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
