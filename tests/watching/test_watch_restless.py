"""`watch` where nothing rests: files that change at every look are answered, never half written, or told of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import command, environment
from PIL import Image
from watching import Lines, watched

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.watching.ledger import Stamp
from edge_nusa.device.watching.unsettled import Unsettled, at_rest
from edge_nusa.device.watching.watch import Watch

A, B = Path("a.jpg"), Path("b.jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "camera").mkdir()
    return tmp_path / "camera"


@pytest.fixture
def frames(pictures: DemoPictures) -> list[Path]:
    return sorted(pictures.asked["gravel"].iterdir())


def look(watch: Watch) -> None:
    """What `run` does between two pauses."""
    watch._answer(*watch._look())
    watch._take(watch._unsettled.due())


def changed(times: int) -> Unsettled:
    """A file that was seen to change so many times."""
    waiting = Unsettled()
    for index in range(times + 1):
        assert waiting.look({A: Stamp(index, 0)}) == {}
    return waiting


def test_a_file_that_rests_is_ready_and_one_that_changed_twice_is_taken_as_it_is() -> None:
    assert changed(1).look({A: Stamp(1, 0), B: Stamp(0, 0)}) == {A: Stamp(1, 0)}
    assert changed(1).due() == []
    assert changed(1).changing() == [A]
    assert changed(0).changing() == []
    waiting = changed(2)
    assert waiting.due() == [A]
    waiting.look({})
    assert waiting.due() == []


def test_a_file_that_cannot_be_had_is_tried_ever_more_rarely_and_told_of_once() -> None:
    waiting, tried, told = Unsettled(), [], []
    for index in range(60):
        waiting.look({A: Stamp(index, 0)})
        if waiting.due():
            tried.append(index)
            told += [index] if waiting.failed(A) else []
    assert tried == [2, 4, 8, 16, 24, 32, 40, 48, 56]
    assert told == [8]


def test_what_could_not_be_answered_is_ready_at_the_next_look() -> None:
    waiting = Unsettled()
    waiting.put_back({A: Stamp(1, 1)})
    assert waiting.look({A: Stamp(1, 1)}) == {A: Stamp(1, 1)}


def test_few_files_are_taken_at_one_look_and_those_that_wait_longest_first() -> None:
    waiting = Unsettled()
    names = [Path(f"{index}.jpg") for index in range(9)]
    for index in range(4):
        waiting.look({name: Stamp(index, 0) for name in (names if index else names[-1:])})
    assert len(waiting.due()) == 4
    assert waiting.due()[0] == names[-1]


def test_a_reading_counts_only_where_the_file_rested(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "a.jpg"
    path.write_bytes(b"one")
    found = at_rest(path)
    assert found is not None
    assert (found.data, found.path, Stamp.of(found.node)) == (b"one", path, Stamp.at(path))

    def while_it_settles(change: Callable[[], Any]) -> bytes | None:
        monkeypatch.setattr("time.sleep", lambda seconds: change())
        file = at_rest(path)
        return None if file is None else file.data

    (folder / "next").write_bytes(b"other")
    assert while_it_settles(lambda: os.replace(folder / "next", path)) == b"one", "what was opened is whole"
    assert while_it_settles(lambda: path.write_bytes(b"longer than before")) is None
    assert while_it_settles(lambda: os.utime(path, ns=(5, 5))) is None
    path.unlink()
    assert while_it_settles(lambda: None) is None
    os.mkfifo(path)
    assert while_it_settles(lambda: None) is None
    path.unlink()
    path.touch()
    assert while_it_settles(lambda: None) is None


def test_a_file_that_is_replaced_at_every_look_is_answered_every_third(
    taught: Path, folder: Path, frames: list[Path]
) -> None:
    lines = Lines()
    watch = watched(taught, folder, lines)
    for index in range(7):
        shutil.copy(frames[index], folder / ".next.png")
        os.utime(folder / ".next.png", ns=(index, index))
        os.replace(folder / ".next.png", folder / "latest.png")
        look(watch)
    assert [line["image"] for line in lines] == [str(folder / "latest.png")] * 2
    assert {line["labels"][0]["label"] for line in lines} == {"gravel"}
    look(watch)
    look(watch)
    assert len(lines) == 3, "at rest it is answered at the second look"


def test_a_half_written_file_is_never_answered_and_said_once(taught: Path, folder: Path, frames: list[Path]) -> None:
    lines, path = Lines(), folder / "slow.png"
    watch = watched(taught, folder, lines)
    whole = frames[0].read_bytes()
    for index in range(20):
        path.write_bytes(whole[: 1000 + index])
        look(watch)
    (reason,) = lines.reasons()
    assert reason.startswith("it changes at every look and could not be had whole in between (expected a whole picture")
    assert "under a name that starts with a dot and rename it" in reason
    path.write_bytes(whole)
    for _ in range(3):
        look(watch)
    assert [line["image"] for line in lines if "labels" in line] == [str(path)]
    assert len(lines) == 2


def test_once_takes_what_changes_and_says_what_it_could_not_have(
    taught: Path, folder: Path, frames: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    watch = watched(taught, folder, lines)
    shutil.copy(frames[0], folder / "a.png")
    (folder / "b.png").write_bytes(frames[0].read_bytes()[:1000])

    def change(seconds: float) -> None:
        if seconds == 0.01:
            shutil.copy(frames[1], folder / "a.png")
            (folder / "b.png").write_bytes(frames[0].read_bytes()[:1001])

    monkeypatch.setattr("time.sleep", change)
    watch.once()
    assert [Path(line["image"]).name for line in lines] == ["a.png", "b.png"]
    assert len(lines.reasons()) == 1


def test_a_changing_picture_is_deleted_only_where_it_is_the_answered_one(
    taught: Path, folder: Path, frames: list[Path]
) -> None:
    lines, path = Lines(), folder / "latest.png"
    watch = watched(taught, folder, lines, deletes=True)
    for index in range(3):
        shutil.copy(frames[index], path)
        os.utime(path, ns=(index, index))
        look(watch)
    assert (len(lines), path.exists()) == (1, False)


def test_latest_jpg_replaced_all_the_time_is_answered_by_the_command(
    taught: Path, folder: Path, frames: list[Path], tmp_path: Path
) -> None:
    out, ends = tmp_path / "lines.jsonl", time.monotonic() + 120
    stop = threading.Event()

    def camera() -> None:
        for index in range(10**6):
            if stop.wait(0.1):
                return
            Image.open(frames[index % 8]).convert("RGB").save(folder / ".next.jpg")
            os.replace(folder / ".next.jpg", folder / "latest.jpg")

    thread = threading.Thread(target=camera)
    thread.start()
    words = command("watch", folder, "--out", out, "--every", "0.3", "--state", taught)
    process = subprocess.Popen(words, env=environment(), text=True, stderr=subprocess.PIPE)
    try:
        while not out.exists() or out.read_text().count("\n") < 3:
            assert process.poll() is None and time.monotonic() < ends
            time.sleep(0.1)
    finally:
        stop.set()
        thread.join()
        process.terminate()
        process.communicate()
    assert {json.loads(line).get("reason") for line in out.read_text().splitlines()} == {None}
