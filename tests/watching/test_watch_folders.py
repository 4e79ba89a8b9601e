"""`watch` in folders as they are: endings of no picture are said once, too many files and odd dates end nothing."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from conftest import run_cli
from watching import Lines, watched

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.watching import watch as watching
from edge_nusa.device.watching.ledger import Ledger, Stamp
from edge_nusa.device.watching.unknown_endings import UnknownEndings
from edge_nusa.files.node import Node
from edge_nusa.pictures.names import RAW, WRONG_NAME
from edge_nusa.pictures.pictures import Quarantined

A = Path("a.jpg")
YEAR_2400_NS = 13_569_465_600 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "camera").mkdir()
    return tmp_path / "camera"


@pytest.fixture
def frames(pictures: DemoPictures) -> list[Path]:
    return sorted(pictures.asked["gravel"].iterdir())


def fault(name: str, reason: str = WRONG_NAME) -> Quarantined:
    return Quarantined(name, reason)


def test_an_unknown_ending_is_said_once_and_only_of_files_that_stay() -> None:
    endings = UnknownEndings()
    assert endings.look([fault("b.xyz"), fault("a.CR2", RAW), fault("part.part"), fault("gone.foo")]) == []
    found = endings.look(
        [fault("b.xyz"), fault("c.xyz"), fault("a.CR2", RAW), fault("part.part"), fault("new"), fault("other.foo")]
    )
    assert found == [
        Quarantined("b.xyz", f"2 files ending in .xyz: {WRONG_NAME}"),
        Quarantined("a.CR2", f"1 file ending in .cr2: {RAW}"),
    ]
    assert endings.look([fault("b.xyz"), fault("d.xyz"), fault("new")]) == [
        Quarantined("new", f"1 file without an ending: {WRONG_NAME}")
    ]


def test_names_by_lot_do_not_fill_the_lines() -> None:
    endings = UnknownEndings()
    files = [fault(f"a.x{index:03}") for index in range(50)]
    assert endings.look(files) == []
    assert len(endings.look(files)) == 20
    assert endings.look(files) == []


def test_the_command_says_once_what_is_no_picture(taught: Path, folder: Path, frames: list[Path]) -> None:
    for name in ("1.cr2", "2.cr2", "3.cr2", "notes.txt", "x.jpg.part"):
        (folder / name).write_bytes(b"raw")
    shutil.copy(frames[0], folder / "a.png")
    (folder / "#recycle").mkdir()
    shutil.copy(frames[0], folder / "#recycle" / "b.png")
    words: list[str | Path] = ["watch", folder, "--every", "0.05", "--once", "--state", taught]
    lines = [json.loads(line) for line in run_cli(*words).stdout.splitlines()]
    reasons = {Path(line["image"]).name: line["reason"] for line in lines if "reason" in line}
    assert reasons["1.cr2"].startswith("3 files ending in .cr2: a camera's raw file, which is not read; convert it")
    assert reasons["notes.txt"].startswith("1 file ending in .txt: not a picture by its name")
    assert "a bin, thumbnails or a system's own folder" in reasons["#recycle"]
    assert (len(reasons), len(lines)) == (3, 4)
    assert run_cli(*words).stdout == ""


def test_more_files_than_a_look_takes_do_not_end_a_watch(
    taught: Path, folder: Path, frames: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_ENTRIES", 5)
    lines = Lines()
    watch = watched(taught, folder, lines)
    for index, frame in enumerate(frames):
        shutil.copy(frame, folder / f"{9 - index}.png")
        time.sleep(0.02)
    watch.once()
    assert lines.reasons() == [
        "expected at most 5 files, found more; only those that came or changed last are answered: move answered "
        "pictures elsewhere, or watch with --delete"
    ]
    assert [Path(line["image"]).name for line in lines[1:]] == ["2.png", "3.png", "4.png", "5.png", "6.png"]
    shutil.copy(frames[0], folder / "a.png")
    watch.once()
    assert [Path(line["image"]).name for line in lines[6:]] == ["a.png"]


@pytest.mark.parametrize("changed_ns", [YEAR_2400_NS, -(10**9), 2**63, 2**63 - 1, -(2**63), 2**65])
def test_any_time_of_change_is_remembered(changed_ns: int, tmp_path: Path) -> None:
    node, later = (Node(0, 0, 1, at, 0) for at in (changed_ns, changed_ns + 1))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.add({A: Stamp.of(node)})
    ledger.close()
    again = Ledger(tmp_path / "ledger.sqlite")
    assert again.has(A, Stamp.of(node))
    assert not again.has(A, Stamp.of(later))


def test_a_picture_dated_in_2400_is_answered_once(taught: Path, folder: Path, frames: list[Path]) -> None:
    shutil.copy(frames[0], folder / "a.png")
    os.utime(folder / "a.png", ns=(YEAR_2400_NS, YEAR_2400_NS))
    if (folder / "a.png").stat().st_mtime_ns < 2**63:
        pytest.skip("this file system has no such dates")
    words: list[str | Path] = ["watch", folder, "--every", "0.05", "--once", "--state", taught]
    done = run_cli(*words)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")
    assert run_cli(*words).stdout == ""
