"""`--agree`: which answers in a row are said."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import run_cli
from watching import Lines, watched

from edge_nusa.device.asking.predict import Prediction
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.watching.agreeing import Agreeing
from edge_nusa.device.watching.line import Answered


def line(answer: str, generation: int = 1) -> Answered:
    """An answer; `-` is none of the labels."""
    best = None if answer == "-" else answer
    return Answered(Prediction(image="x", best=best, labels=(), known=0.5, unknown=best is None), generation, None)


@pytest.mark.parametrize(
    ("count", "answers", "said"),
    [
        (1, "a a b a a", "a a b a a"),
        (2, "a a", ". a"),
        (2, "a b a b a b", ". . . . . ."),
        (2, "a a a a", ". a . ."),
        (2, "a a b a a b b", ". a . . . . b"),
        (3, "a a a b b a b b b", ". . a . . . . . b"),
        (3, "a a b b b a a a", ". . . . b . . a"),
        (3, "- - - a a a - - -", ". . - . . a . . -"),
        (3, "a a - a a - a a a", ". . . . . . . . a"),
    ],
)
def test_a_change_is_said_when_so_many_in_a_row_agree(count: int, answers: str, said: str) -> None:
    agreeing = Agreeing(count)
    found = [answer if agreeing.says(line(answer)) else "." for answer in answers.split()]
    assert " ".join(found) == said


def test_after_a_lesson_the_answer_is_said_again() -> None:
    agreeing = Agreeing(2)
    found = [agreeing.says(line("a", generation)) for generation in (1, 1, 1, 2, 2, 2)]
    assert found == [False, True, False, False, True, False]


def test_what_follows_on_nothing_is_said_again() -> None:
    agreeing = Agreeing(2)
    found = [agreeing.says(line("a")) for _ in range(2)]
    agreeing.forget()
    assert [*found, *(agreeing.says(line("a")) for _ in range(3))] == [False, True, False, True, False]


def test_of_a_folder_only_changes_are_said_and_all_its_pictures_are_answered(
    taught: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    folder = tmp_path / "door"
    folder.mkdir()
    for label, first in (("gravel", "a"), ("lawn grass", "b"), ("gravel", "c")):
        path = sorted(pictures.asked[label].iterdir())[0]
        for place in range(4):
            (folder / f"{first}{place}{path.suffix}").write_bytes(path.read_bytes())
    every = Lines()
    watched(taught, folder, every).once()
    assert [entry["best"] for entry in every] == ["gravel"] * 4 + ["lawn grass"] * 4 + ["gravel"] * 4
    (taught / "ledger.sqlite").unlink()

    changes = Lines()
    watch = watched(taught, folder, changes, agree=3)
    watch.once()

    assert [Path(entry["image"]).stem for entry in changes] == ["a2", "b2", "c2"]
    assert len(watch.ledger._answered) == 12


def test_once_of_a_camera_has_nothing_to_agree_with(tmp_path: Path) -> None:
    done = run_cli("watch", "/dev/video9", "--once", "--agree", "2", "--state", tmp_path / "state")
    assert done.returncode == 2
    assert "--once answers one frame, with which no other can --agree" in done.stderr
