"""The file that a watch writes, followed: not there yet, rotated, cut, replaced, half written, and very long."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge_nusa.device.telling import followed as room
from edge_nusa.device.telling.followed import Followed
from edge_nusa.device.telling.lines import FollowedLines, Lines
from edge_nusa.device.telling.told import Aside, CameraTold, Told
from edge_nusa.files.json_lines import JsonLines
from edge_nusa.files.os_errors import OtherKindError


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    followed = Followed(tmp_path / "a")
    assert followed.look() == [] == followed.look()
    add(tmp_path / "a", "one\n")
    assert followed.look() == [b"one"] and followed.look() == []


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    followed = Followed(tmp_path / "a")
    add(tmp_path / "a", "one\ntw")
    assert followed.look() == [b"one"]
    add(tmp_path / "a", "o\nthree")
    assert followed.look() == [b"two"]
    add(tmp_path / "a", "\n\n  \n")
    assert followed.look() == [b"three"]


def test_rotation_loses_no_line(tmp_path: Path) -> None:
    path, followed = tmp_path / "a", Followed(tmp_path / "a")
    add(path, "one\n")
    followed.look()
    add(path, "two\n")
    path.rename(tmp_path / "a.1")
    add(tmp_path / "a.1", "three\n")
    assert followed.look() == [b"two", b"three"]
    add(tmp_path / "a.1", "four\n")
    add(path, "five\n")
    assert followed.look() == [b"four", b"five"]
    add(tmp_path / "a.1", "six\n")
    assert followed.look() == []


def test_a_file_that_was_cut_is_read_from_its_beginning(tmp_path: Path) -> None:
    path, followed = tmp_path / "a", Followed(tmp_path / "a")
    add(path, "one\ntwo, which is longer\nhal")
    followed.look()
    os.truncate(path, 0)
    assert followed.look() == []
    add(path, "three\n")
    assert followed.look() == [b"three"]


def test_a_file_that_went_and_came_again_is_another_one(tmp_path: Path) -> None:
    path, followed = tmp_path / "a", Followed(tmp_path / "a")
    add(path, "one\n")
    followed.look()
    path.unlink()
    assert followed.look() == []
    (tmp_path / "b").write_text("two\n")
    (tmp_path / "b").rename(path)
    assert followed.look() == [b"two"]


def test_of_what_was_there_before_the_end_alone_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "TAIL_BYTES", 10)
    add(tmp_path / "a", "0123456789\nabcdef\nxyz\n")
    assert Followed(tmp_path / "a").look() == [b"xyz"]
    add(tmp_path / "b", "abcde\nxyz\n")
    assert Followed(tmp_path / "b").look() == [b"abcde", b"xyz"]


def test_a_file_that_comes_later_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "TAIL_BYTES", 10)
    followed = Followed(tmp_path / "a")
    followed.look()
    add(tmp_path / "a", "0123456789\nabcdef\n")
    assert followed.look() == [b"0123456789", b"abcdef"]


def test_a_line_without_end_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LONGEST_LINE_BYTES", 10)
    followed = Followed(tmp_path / "a")
    add(tmp_path / "a", "x" * 11)
    assert followed.look() == []
    add(tmp_path / "a", "x" * 11)
    assert followed.look() == [] and followed._half == b""
    add(tmp_path / "a", "x\n" + "y" * 10 + "\n" + "z" * 11 + "\n")
    assert followed.look() == [b"y" * 10]


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OtherKindError, match="FIFO"):
        Followed(tmp_path / "a").look()


class Heard(list[Told]):
    def tell(self, told: Told) -> None:
        self.append(told)

    def pictures(self) -> list[str]:
        return [one.picture for one in self if not isinstance(one, CameraTold)]


def line(image: str, best: str | None = "mug") -> dict[str, object]:
    rows = [{"label": "mug", "probability": 0.9}]
    return {"image": image, "best": best, "labels": rows, "known": 0.9, "generation": 1, "time": "t"}


def test_of_lines_that_come_together_the_newest_of_each_kind_is_told(tmp_path: Path) -> None:
    heard, notes, file = Heard(), list[str](), JsonLines(tmp_path / "a")
    followed = FollowedLines(Followed(tmp_path / "a"), Lines([heard], notes.append), notes.append)
    for one in (line("1.jpg"), {"image": "2.jpg", "reason": "no", "time": "t"}, line("3.jpg"), line("4.jpg")):
        file.write(one)
    followed.look()
    assert heard.pictures() == ["4.jpg", "2.jpg"]
    assert sum(isinstance(one, Aside) for one in heard) == 1 and notes == []
    file.write(line("5.jpg"))
    followed.look()
    assert heard.pictures()[-1] == "5.jpg" and len(heard) == 3


WICKED = [
    b"{",
    b"[]",
    b"{}",
    b'{"image": "\\ud800"}',
    b"NaN",
    b"\xff",
    b'{"image":' + b"[" * 5000,
    json.dumps([1]).encode(),
]


@pytest.mark.parametrize("wicked", WICKED)
def test_a_line_that_says_nothing_is_passed_by_and_noted_once(tmp_path: Path, wicked: bytes) -> None:
    heard, notes = Heard(), list[str]()
    path = tmp_path / "a"
    path.write_bytes(wicked + b"\n" + wicked + b"\n" + json.dumps(line("1.jpg")).encode() + b"\n" + wicked + b"\n")
    followed = FollowedLines(Followed(path), Lines([heard], notes.append), notes.append)
    followed.look()
    assert heard.pictures() == ["1.jpg"]
    assert len(notes) == 1 and notes[0].startswith(f"a line is not told: {path}: ") and len(notes[0]) < 700


def test_a_file_that_cannot_be_read_is_noted_once_until_it_can(tmp_path: Path) -> None:
    heard, notes = Heard(), list[str]()
    path = tmp_path / "a"
    path.mkdir()
    followed = FollowedLines(Followed(path), Lines([heard], notes.append), notes.append)
    followed.look()
    followed.look()
    assert len(notes) == 1 and notes[0].endswith("; waiting for it") and "a folder" in notes[0]
    path.rmdir()
    JsonLines(path).write(line("1.jpg"))
    followed.look()
    assert len(heard) == 1 and len(notes) == 1
