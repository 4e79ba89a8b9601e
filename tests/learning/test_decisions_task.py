"""What one learn is about: which pictures are held out, how folders become labels, and which label a name is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_by_hand import knowledge, unit
from PIL import Image

from edge_nusa.device.learning.task import Task, folder_per_label, held_out, joined, one_label
from edge_nusa.errors import InputError


@pytest.mark.parametrize(
    ("count", "held"), [(0, 0), (1, 0), (5, 0), (9, 0), (10, 2), (14, 2), (15, 3), (16, 3), (100, 20)]
)
def test_one_picture_in_five_of_a_label_of_ten_is_held_out(count: int, held: int) -> None:
    classes = np.array([7] * count + [3] * 9 + [5] * 10)
    found = held_out(classes, 0)
    assert found.dtype == bool
    assert (found[classes == 7].sum(), found[classes == 3].sum(), found[classes == 5].sum()) == (held, 0, 2)


def test_the_seed_chooses_which() -> None:
    classes = np.zeros(30, int)
    assert np.array_equal(held_out(classes, 1), held_out(classes, 1))
    assert len({tuple(held_out(classes, seed).tolist()) for seed in range(6)}) == 6
    assert np.logical_or.reduce([held_out(classes, seed) for seed in range(60)]).all()


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(folder / f"{index}.png")


def test_each_folder_with_pictures_is_a_label_and_the_rest_is_set_aside(tmp_path: Path) -> None:
    for name, count in (("b_b", 2), ("a", 3), ("c", 0), (".hidden", 1)):
        pictures(tmp_path / name, count)
    (tmp_path / "loose.png").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    task = folder_per_label(tmp_path)
    assert (task.labels, task.classes.tolist()) == (["a", "b b"], [0, 0, 0, 1, 1])
    assert [path.parent.name for path in task.paths] == ["a"] * 3 + ["b_b"] * 2
    assert len(task.quarantined) == 3
    pictures(tmp_path / "B b", 1)
    with pytest.raises(
        InputError, match="its label is the same as that of the folder for '(b b|B b)'; rename or merge one of them"
    ):
        folder_per_label(tmp_path)


def test_what_holds_no_label_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match="it has no sub-folders with pictures; expected one for each label, or use --images DIR --label NAME",
    ):
        folder_per_label(tmp_path)
    with pytest.raises(InputError, match="expected a folder with a sub-folder of pictures for each label"):
        folder_per_label(tmp_path / "none")
    with pytest.raises(InputError, match="no pictures for the label 'x'"):
        one_label(tmp_path, "x")
    pictures(tmp_path / "a", 2)
    one = one_label(tmp_path / "a", " my  mug ")
    assert (one.labels, one.classes.tolist()) == (["my mug"], [0, 0]) and one.classes.dtype == np.int64


def test_a_known_label_is_taught_on_and_a_new_one_comes_behind() -> None:
    task = Task(["DOG", "cup", "Cat", "hat"], [], np.zeros(0, np.int64), [])
    names, columns = joined(knowledge(["cat", "dog"], unit((1, 0), (0, 1))), task)
    assert (names, columns.tolist()) == (["cat", "dog", "cup", "hat"], [1, 2, 0, 3])
    assert joined(knowledge([], unit((1, 0))[:0]), task)[1].tolist() == [0, 1, 2, 3]
