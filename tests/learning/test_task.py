"""From folders to labels: what is a label, what is part of a data set, a bin or a link, and what is said of each."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import bytes_of, run_cli
from PIL import Image

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.learning import task as tasks
from edge_nusa.device.learning.task import LINK, folder_per_label, one_label
from edge_nusa.errors import InputError
from edge_nusa.pictures import pictures
from edge_nusa.pictures.names import BIN
from edge_nusa.pictures.picture_file import LEAVES, read_file


def tree(root: Path, *pictures: str) -> Path:
    """A folder with a small picture under each of these paths."""
    for name in pictures:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "red").save(root / name, "PNG")
    return root


SPLITS = [
    ("train", "val", "test"),
    ("train",),
    ("Training", "Validation"),
    ("train2017", "val2017", "annotations"),
    ("train_set", "test-set"),
    ("eval", "dev"),
    ("valid", "testing 2"),
]


@pytest.mark.parametrize("names", SPLITS)
def test_the_parts_of_a_data_set_are_no_labels(names: tuple[str, ...], tmp_path: Path) -> None:
    tree(tmp_path, *(f"{name}/{label}/a.png" for name in names for label in ("cat", "dog")))
    first = next((name for name in sorted(names) if name.lower().startswith("train")), sorted(names)[0])
    with pytest.raises(
        InputError, match=r"expected a sub-folder for each label, found the parts of a data set \("
    ) as raised:
        folder_per_label(tmp_path)
    paste = re.search(r"--dataset ('?)(.*)\1$", str(raised.value))
    assert paste is not None
    assert folder_per_label(Path(paste[2])).labels == ["cat", "dog"]
    assert Path(paste[2]) == tmp_path / first


def test_parts_of_a_data_set_without_labels_are_refused_for_that(tmp_path: Path) -> None:
    tree(tmp_path, "train/a.png", "test/b.png")
    with pytest.raises(
        InputError, match=r"\(test, train\) without any; sort the pictures, or use --images DIR --label NAME"
    ):
        folder_per_label(tmp_path)


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [
        (("train/a.png",), ["train"]),
        (("train/a.png", "boat/a.png"), ["boat", "train"]),
        (("train/a.png", "train/old/b.png", "boat/a.png", "car/a.png"), ["boat", "car", "train"]),
        (("train/old/b.png", "test/x/a.png", "car/a.png", "boat/a.png"), ["boat", "car", "test", "train"]),
        (("trainer/a.png", "tests_of_strength/a.png"), ["tests of strength", "trainer"]),
    ],
)
def test_a_label_may_be_called_like_a_part(pictures: tuple[str, ...], labels: list[str], tmp_path: Path) -> None:
    assert folder_per_label(tree(tmp_path, *pictures)).labels == labels


@pytest.mark.parametrize(
    "pictures",
    [
        ("flowers/rose/a.png", "flowers/tulip/a.png"),
        ("download/flowers/rose/a.png",),
        ("animals/cat/a.png", "animals/dog/a.png", "cars/bus/a.png", "cars/van/a.png"),
    ],
)
def test_labels_a_level_deeper_are_refused_with_both_ways_on(pictures: tuple[str, ...], tmp_path: Path) -> None:
    tree(tmp_path, *pictures)
    outer, inner, *_ = sorted(pictures)[0].split("/")
    with pytest.raises(InputError) as raised:
        folder_per_label(tmp_path)
    found = f"{tmp_path}: expected pictures in the labels' sub-folders, found folders in them, such as {outer}/{inner}"
    ways = f"if those are the labels: --dataset {tmp_path / outer}; if not: --images {tmp_path / outer} --label NAME"
    assert str(raised.value) == f"{found}; {ways}"


@pytest.mark.parametrize(
    ("pictures", "count"),
    [
        (("cat/a.png", "cat/more/b.png", "dog/old/a.png", "dog/new/a.png"), 4),
        (("cat/day one/a.png", "cat/day two/a.png", "dog/day one/a.png", "dog/day three/a.png"), 4),
        (("cat/2024-01-01/a.png", "cat/2024-01-02/a.png", "dog/2025-01-01/a.png", "dog/2025-01-02/a.png"), 4),
        (("cat/cats/a.png", "dog/dogs/a.png", "dog/puppies/a.png"), 3),
    ],
)
def test_a_labels_pictures_are_searched_to_its_depths(pictures: tuple[str, ...], count: int, tmp_path: Path) -> None:
    task = folder_per_label(tree(tmp_path, *pictures))
    assert (task.labels, len(task.paths)) == (["cat", "dog"], count)
    assert [task.labels[number] for number in task.classes] == [
        path.relative_to(tmp_path).parts[0] for path in task.paths
    ]


@pytest.mark.parametrize(
    "name", ["#recycle", "$RECYCLE.BIN", "@eaDir", ".Trash-1000", "System Volume Information", "lost+found", "__MACOSX"]
)
def test_a_bin_is_never_a_label_and_is_said(name: str, tmp_path: Path) -> None:
    task = folder_per_label(tree(tmp_path, f"{name}/a.png", "cat/a.png", f"cat/{name}/b.png"))
    assert (task.labels, [path.name for path in task.paths]) == (["cat"], ["a.png"])
    assert {entry.image: entry.reason for entry in task.quarantined} == {
        str(tmp_path / name): BIN,
        str(tmp_path / "cat" / name): BIN,
    }


def test_a_folder_of_links_says_that_they_are_links(tmp_path: Path) -> None:
    tree(tmp_path, "elsewhere/a.png", "elsewhere/b.png")
    (tmp_path / "set" / "cat").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        (tmp_path / "set" / "cat" / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError) as raised:
        one_label(tmp_path / "set" / "cat", "cat")
    assert f"2 entries were left out: 2 x {LEAVES}" in str(raised.value)
    with pytest.raises(InputError) as raised:
        folder_per_label(tmp_path / "set")
    assert f"2 x {LEAVES}" in str(raised.value)
    assert LINK in str(raised.value)


def test_what_an_empty_folder_lacks_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no pictures for the label 'x' \(.*\); nothing else was found"):
        one_label(tmp_path, "x")


def test_the_command_refuses_the_parts_of_a_data_set_and_takes_what_it_says(
    taught: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    for part in ("train", "val", "test"):
        shutil.copytree(pictures.taught["gravel"], tmp_path / "my set" / part / "gravel")
    before = bytes_of(taught)
    done = run_cli("learn", "--dataset", tmp_path / "my set", "--state", taught, "--steps", "3")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"(test, train, val); teach one of them: --dataset '{tmp_path / 'my set' / 'train'}'" in done.stderr
    assert bytes_of(taught) == before


def test_the_folder_of_a_label_that_becomes_a_link_after_the_listing_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "set", "cat/a.jpg", "dog/b.jpg")
    tree(tmp_path / "elsewhere", "secret.jpg")
    real = pictures.find_pictures

    def swapped(folder: Path) -> object:
        if folder.name == "dog":
            os.rename(folder, tmp_path / "old")
            folder.symlink_to(tmp_path / "elsewhere")
        return real(folder)

    monkeypatch.setattr(tasks, "find_pictures", swapped)
    task = folder_per_label(tmp_path / "set")
    assert task.labels == ["cat"]
    assert "expected a readable folder, found a link in the place of a folder" in task.quarantined[0].reason
    monkeypatch.undo()
    (tmp_path / "set" / "dog").unlink()
    os.rename(tmp_path / "old", tmp_path / "set" / "dog")
    path = folder_per_label(tmp_path / "set").paths[1]
    os.rename(tmp_path / "set" / "dog", tmp_path / "old")
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "old")
    with pytest.raises(InputError, match=r"b\.jpg: expected a regular file, found a link in the place of a folder"):
        read_file(path)
