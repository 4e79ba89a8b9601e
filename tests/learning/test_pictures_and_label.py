"""What the words after `learn` mean, and what is asked where they could mean two things."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from conftest import answer_of, run_cli

from edge_nusa.cli.pictures_and_label import told
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import InputError, UsageError

FEW = ("--head-only", "--again")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with folders of pictures."""
    for name in ("mugs/1.jpg", "mugs/2.jpg", "mugs/deep/3.jpg", "sets/cup/1.jpg", "sets/plate/1.jpg", "one.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "images", "label", "places", "name"),
    [
        (["mugs/", "my mug"], [], None, ["mugs"], "my mug"),
        (["mugs"], [], "my mug", ["mugs"], "my mug"),
        ([], ["mugs"], "my mug", ["mugs"], "my mug"),
        (["my mug"], ["mugs"], None, ["mugs"], "my mug"),
        (["one.jpg", "mugs/1.jpg"], ["mugs/2.jpg"], "x", ["mugs/2.jpg", "one.jpg", "mugs/1.jpg"], "x"),
        (["mugs/*.jpg", "x"], [], None, ["mugs/1.jpg", "mugs/2.jpg"], "x"),
        ([], ["mugs/*.jpg"], "x", ["mugs/1.jpg", "mugs/2.jpg"], "x"),
        (["mugs", "sets"], [], "sets", ["mugs", "sets"], "sets"),
        (["mugs", "AC/DC"], [], None, ["mugs"], "AC/DC"),
        (["mugs", "30 km/h"], [], None, ["mugs"], "30 km/h"),
        (["mugs", "what?"], [], None, ["mugs"], "what?"),
        (["sets", "dishes"], [], None, ["sets"], "dishes"),
        (["gone", "x"], [], None, ["gone"], "x"),
    ],
)
def test_the_last_word_is_the_label_where_none_is_given(
    words: list[str], images: list[str], label: str | None, places: list[str], name: str, here: Path
) -> None:
    assert told(words, images, label, None) == ([Path(place) for place in places], name)


NEITHER = "expected pictures and their label, or --dataset DIR, found"
MANY = [f"{number}.jpg" for number in range(9)]


@pytest.mark.parametrize(
    ("words", "images", "label", "says"),
    [
        ([], [], None, f'learn: {NEITHER} neither; such as: edge-nusa learn mugs/ "my mug"'),
        (["my mug"], [], None, f"learn: {NEITHER} 'my mug' alone; such as"),
        ([], [], "my mug", f"learn: {NEITHER} 'my mug' alone; such as"),
        ([], ["mugs", "sets"], None, f"learn: {NEITHER} no label; such as"),
        ([], ["mugs/*.jpg"], None, f"learn: {NEITHER} no label; such as"),
        (
            ["one.jpg"],
            [],
            None,
            "expected a label for one.jpg, found none; write it behind: edge-nusa learn one.jpg NAME",
        ),
        (["mugs"], [], None, "expected a label for mugs, found none; write it behind: edge-nusa learn mugs NAME"),
        (
            ["sets/"],
            [],
            None,
            "expected a label for sets, found none, and folders in it: cup, plate; did you mean --dataset sets, where "
            "each folder is a label? for one label: edge-nusa learn sets NAME",
        ),
        ([], ["sets"], None, "did you mean --dataset sets, where"),
        (
            ["mugs", "sets"],
            [],
            None,
            "expected a label, found sets as the last word, which is a folder here; if it is the label: edge-nusa "
            "learn mugs --label sets; if it holds pictures too, add --label NAME",
        ),
        (["mugs", "one.jpg"], [], None, "found one.jpg as the last word, which is a file here; if it is the label:"),
        ([*MANY, "mugs"], [], None, "edge-nusa learn 0.jpg ... --label mugs; if it"),
        (["mugs", "two.jpg"], [], None, "found two.jpg, which looks like a path and is none; check it, or give the"),
        (["mugs", "TWO.JPG"], [], None, "found TWO.JPG, which looks like a path"),
        (["mugs", "cups/"], [], None, "found cups/, which looks like a path"),
        (["mugs", "sets/bowl"], [], None, "found sets/bowl, which looks like a path"),
        (["mugs", "*.jpg2", "*.png"], [], None, "found '*.png', which looks like a path"),
    ],
)
def test_what_is_not_clear_is_asked_in_one_line(
    words: list[str], images: list[str], label: str | None, says: str, here: Path
) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        told(words, images, label, None)


def test_folders_are_no_labels_where_a_picture_lies_beside_them_or_all_are_hidden_or_bins(here: Path) -> None:
    with pytest.raises(UsageError, match="expected a label for mugs, found none; write it behind"):
        told(["mugs"], [], None, None)  # it has pictures of its own, and the folder `deep`
    for name in (".git", "lost+found"):
        (here / "odd" / name).mkdir(parents=True)
    with pytest.raises(UsageError, match="expected a label for odd, found none; write it behind"):
        told(["odd"], [], None, None)
    for name in ("a", "b", "c", "d", "e"):
        (here / "odd" / name).mkdir()
    with pytest.raises(UsageError, match="found none, and folders in it: a, b, c and 2 more; did you mean --dataset"):
        told(["odd"], [], None, None)


def test_a_pattern_that_matches_nothing_is_said(here: Path) -> None:
    with pytest.raises(InputError, match=r"^mugs/\*\.png: the pattern matches no file; check it$"):
        told(["mugs/*.png"], [], "x", None)


def test_a_data_set_is_taken_alone(here: Path) -> None:
    assert told([], [], None, Path("sets")) == Path("sets")
    for words, images, label in [(["mugs"], [], None), ([], ["mugs"], None), ([], [], "x")]:
        with pytest.raises(UsageError, match="either pictures and their label, or --dataset DIR alone, found both"):
            told(words, images, label, Path("sets"))


def test_a_folder_files_and_a_quoted_pattern_teach_the_same(pictures: DemoPictures, tmp_path: Path) -> None:
    folder = pictures.taught["gravel"]
    files = sorted(folder.iterdir())
    ways: list[tuple[str | Path, ...]] = [
        ("learn", folder, "my gravel"),
        ("learn", *files, "my gravel"),
        ("learn", *files, "--label", "my gravel"),
        ("learn", "--images", folder / "*", "my gravel"),
    ]
    found = [answer_of(*words, *FEW, "--state", tmp_path / str(number)) for number, words in enumerate(ways)]
    for report in found:
        assert [(row["label"], row["images"]) for row in report["labels"]] == [("my gravel", len(files))]
        assert report["labels"] == found[0]["labels"] and report["refused"] is None


def test_a_refused_lesson_prints_what_was_judged_and_why(pictures: DemoPictures, tmp_path: Path) -> None:
    mixed = sorted(path for folder in pictures.taught.values() for path in folder.iterdir())
    for number, path in enumerate(mixed):  # two labels that have the same things, so that nothing tells them apart
        target = tmp_path / "set" / ("a" if number % 2 else "b") / f"{number}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target) if path.stat().st_dev == tmp_path.stat().st_dev else target.write_bytes(path.read_bytes())
    words = ("learn", "--dataset", tmp_path / "set", "--state", tmp_path / "state", "--head-only")
    done = run_cli(*words)
    assert done.returncode == 3 and done.stderr.startswith("edge-nusa: refused: ")
    report = json.loads(done.stdout)
    assert f"edge-nusa: {report['refused']}\n" == done.stderr
    assert [row["label"] for row in report["labels"]] == ["a", "b"] and report["generation"] == 0
    assert all(row["asked"] for row in report["labels"])

    people = run_cli(*words, "--format", "human")
    assert people.returncode == 3 and people.stderr == done.stderr
    lines = people.stdout.splitlines()
    assert lines[0].startswith("a: ") and " when left out " in lines[0]
    assert any(line.startswith("refused by the judge: nothing was changed, generation 0 stays; ") for line in lines)
    assert not any(line.startswith("text ") for line in lines)
    assert answer_of("labels", "--state", tmp_path / "state")["labels"] == []
