"""A picture that ends the process is set aside at the next start, and the watch goes on."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import command, environment, run_cli
from watching import Lines, watched

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.watching import begun
from edge_nusa.device.watching.begun import Begun, Mark
from edge_nusa.device.watching.ledger import Ledger, Stamp

PATIENCE_SECONDS = 120


@pytest.fixture
def camera(pictures: DemoPictures, tmp_path: Path) -> Path:
    """A folder of four pictures of gravel."""
    (tmp_path / "camera").mkdir()
    for path in sorted(pictures.asked["gravel"].iterdir())[:4]:
        shutil.copy(path, tmp_path / "camera")
    return tmp_path / "camera"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def left(ledger: Path) -> bytes:
    return ledger.with_name(ledger.name + begun.ENDING).read_bytes()


def test_the_mark_is_there_as_long_as_the_picture_is_opened(ledger: Path) -> None:
    marks, path = Begun(ledger), Path(os.fsdecode(b"a \xff\n.jpg"))
    with marks.marked(path, Stamp(5, -7)):
        found = Mark.from_bytes(left(ledger))
        assert found is not None
        assert (found.path, found.stamp, found.tries) == (b"a \xff\n.jpg", Stamp(5, -7), 0)
        killed = Begun(ledger)
        assert killed.killed() == (path, Stamp(5, -7))
        assert killed.killed() is None
    assert left(ledger) == b""
    assert Begun(ledger).killed() is None
    with pytest.raises(ZeroDivisionError), marks.marked(path, Stamp(5, -7)):
        raise ZeroDivisionError
    assert left(ledger) == b""
    assert ledger.with_name(ledger.name + begun.ENDING).stat().st_mode & 0o777 == 0o600


def test_after_a_power_cut_a_picture_is_tried_once_more(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, stamp = Path("a.jpg"), Stamp(1, 2)
    file = ledger.with_name(ledger.name + begun.ENDING)
    file.write_bytes(Mark(b"a.jpg", stamp, "another", 0).to_bytes())
    again = Begun(ledger)
    assert again.killed() is None
    with again.marked(Path("b.jpg"), stamp):
        assert Mark.from_bytes(left(ledger)).tries == 0  # type: ignore[union-attr]
    with again.marked(path, stamp):
        assert Mark.from_bytes(left(ledger)).tries == 1  # type: ignore[union-attr]
        monkeypatch.setattr(begun, "_boot", lambda: "third")
        assert Begun(ledger).killed() == (path, stamp)


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"1 2 boot 0 ", b"x 2 boot 0 a.jpg", b"1 2 boot x a.jpg", b"1 2", b"1 2 \xff 0 a.jpg"]
)
def test_a_damaged_mark_is_none(data: bytes, ledger: Path) -> None:
    ledger.with_name(ledger.name + begun.ENDING).write_bytes(data)
    assert Begun(ledger).killed() is None


def test_a_mark_that_cannot_be_written_or_read_ends_nothing(ledger: Path) -> None:
    os.mkfifo(ledger.with_name(ledger.name + begun.ENDING))
    marks = Begun(ledger)
    with marks.marked(Path("a.jpg"), Stamp(1, 2)):
        pass
    marks = Begun(ledger.parent / "gone" / "ledger.sqlite")
    with marks.marked(Path("a.jpg"), Stamp(1, 2)):
        pass


def test_a_picture_that_killed_the_watch_is_said_once_and_tried_again_when_it_changes(
    taught: Path, camera: Path
) -> None:
    first = sorted(camera.iterdir())[0]
    stamp = Stamp.at(first)
    assert stamp is not None
    ledger = taught / "ledger.sqlite"
    ledger.with_name(ledger.name + begun.ENDING).write_bytes(
        Mark(os.fsencode(first), stamp, begun._boot(), 0).to_bytes()
    )
    lines = Lines()
    watch = watched(taught, camera, lines)
    watch.once()
    assert [line["image"] for line in lines if "reason" in line] == [str(first)]
    assert "the watch was killed while it opened this one" in lines.reasons()[0]
    assert "`touch` it" in lines.reasons()[0]
    assert len(lines) == 4
    watch.once()
    assert len(lines) == 4
    os.utime(first)
    watch.once()
    assert len(lines) == 5
    assert "labels" in lines[4]
    watch.ledger.close()
    assert len(Ledger(ledger)) == 4


def _slow(camera: Path) -> Path:
    """A picture that takes a while to be opened: a large one is written among the others."""
    from PIL import Image

    path = camera / "000_slow.png"
    Image.effect_noise((7000, 2400), 90).convert("RGB").save(path, compress_level=1)
    return path


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in found.read_text().split()] if found.exists() else []


def _until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.002)


@pytest.mark.slow
def test_a_watch_killed_while_it_opens_a_picture_sets_it_aside_at_the_second_start(
    taught: Path, camera: Path, tmp_path: Path
) -> None:
    slow, ledger = _slow(camera), tmp_path / "ledger.sqlite"
    words: list[str | Path] = [
        "watch",
        camera,
        "--once",
        "--every",
        "0.05",
        "--ledger",
        ledger,
        "--state",
        taught,
        "--format",
        "json",
    ]
    mark = ledger.with_name(ledger.name + begun.ENDING)
    process = subprocess.Popen(command(*words), env=environment(), text=True, stdout=subprocess.PIPE)
    _until(lambda: mark.exists() and os.fsencode(slow) in mark.read_bytes(), process)
    process.kill()
    process.communicate()
    done = run_cli(*words)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["image"] for line in lines if "reason" in line] == [str(slow)]
    assert len(lines) == 5
    assert run_cli(*words).stdout == ""


@pytest.mark.slow
def test_a_child_without_memory_or_killed_ends_no_watch(taught: Path, camera: Path, tmp_path: Path) -> None:
    slow = _slow(camera)
    words: list[str | Path] = ["watch", camera, "--once", "--every", "0.05", "--state", taught, "--format", "json"]
    process = subprocess.Popen(command(*words), env=environment(), text=True, stdout=subprocess.PIPE)
    mark = next(iter(taught.glob("watch-*.sqlite.begun")), None)

    def is_open() -> bool:
        nonlocal mark
        mark = mark or next(iter(taught.glob("watch-*.sqlite.begun")), None)
        return mark is not None and os.fsencode(slow) in mark.read_bytes()

    _until(is_open, process)
    for child in _children(process.pid):
        os.kill(child, signal.SIGKILL)
    told, _ = process.communicate(timeout=PATIENCE_SECONDS)
    lines = [json.loads(line) for line in told.splitlines()]
    assert process.returncode == 0
    assert [line for line in lines if "reason" in line] == [], "one that was ended by chance is tried again"
    assert len(lines) == 5


def test_a_picture_that_is_opened_as_the_watch_is_stopped_is_not_set_aside(taught: Path, camera: Path) -> None:
    slow = _slow(camera)
    words: list[str | Path] = ["watch", camera, "--every", "0.05", "--state", taught, "--format", "json"]
    process = subprocess.Popen(command(*words), env=environment(), text=True, stdout=subprocess.PIPE)

    def is_open() -> bool:
        return any(os.fsencode(slow) in mark.read_bytes() for mark in taught.glob("watch-*.sqlite.begun"))

    _until(is_open, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143
    assert [mark.read_bytes() for mark in taught.glob("watch-*.sqlite.begun")] == [b""]
    done = run_cli(*words[:2], "--once", *words[2:])
    assert not [line for line in map(json.loads, done.stdout.splitlines()) if "reason" in line]


def test_an_ulimit_of_memory_sets_pictures_aside_and_ends_nothing(taught: Path, camera: Path, tmp_path: Path) -> None:
    """As `ulimit -d` and a unit's LimitDATA= do: the child is held to what its parent may take."""
    lines = Lines()
    watch = watched(taught, camera, lines)
    watch._decoding.start()
    child = watch._decoding._apart._child
    assert child is not None
    _slow(camera)
    resource.prlimit(child._process.pid, resource.RLIMIT_DATA, (90 << 20, 90 << 20))
    watch.once()
    assert [Path(line["image"]).name for line in lines if "reason" in line] == ["000_slow.png"]
    assert "too little memory to decode it" in lines.reasons()[0]
    assert len(lines) == 5


@pytest.mark.slow
def test_a_hundred_thousand_hidden_names_end_no_watch(taught: Path, camera: Path) -> None:
    for index in range(100_001):
        os.mknod(camera / f".{index}")
    done = run_cli("watch", camera, "--once", "--every", "0.05", "--state", taught, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [("labels" in json.loads(line)) for line in done.stdout.splitlines()] == [True] * 4
