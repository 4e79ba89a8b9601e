"""`watch`: every picture is answered once, through kills, restarts, new lessons, hostile entries and a full folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import MICRO, command, current_of, environment, run_cli

from edge_nusa.device.asking.predict import Prediction, Predictor, Ranked
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.model import Model
from edge_nusa.device.watching import ledger as ledgers
from edge_nusa.device.watching.ledger import LEFT_OUT, Ledger, Stamp
from edge_nusa.device.watching.line import Line
from edge_nusa.device.watching.settings import WatchSettings
from edge_nusa.device.watching.uncertain import UncertainFolder, UncertainSettings
from edge_nusa.device.watching.watch import Watch
from edge_nusa.errors import DamagedError, ResourceError
from edge_nusa.files.json_lines import JsonLines
from edge_nusa.pictures.picture_file import read_file

PATIENCE_SECONDS = 120


class Collected:
    """A sink that keeps lines; `fails_after` lines it is as full as a disk can be."""

    def __init__(self, fails_after: int = 10**9) -> None:
        self.lines: list[dict[str, Any]] = []
        self.fails_after = fails_after

    def write(self, line: Line) -> None:
        if len(self.lines) == self.fails_after:
            raise ResourceError("full")
        self.lines.append(line.to_json())

    def sync(self) -> None:
        pass

    @property
    def names(self) -> list[str]:
        return [Path(line["image"]).name for line in self.lines]


@pytest.fixture
def camera(pictures: DemoPictures, tmp_path: Path) -> Path:
    """A folder of eight pictures of gravel."""
    return Path(shutil.copytree(pictures.asked["gravel"], tmp_path / "camera"))


def watched(
    state: Path, folder: Path, sink: Collected, uncertain: UncertainFolder | None = None, **settings: Any
) -> Watch:
    model = Model.open(MICRO, state, threads=1)
    return Watch(
        model,
        WatchSettings(folder=folder, seconds=0.01, **settings),
        Ledger(state / "ledger.sqlite"),
        sink,
        uncertain,
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(count: int, path: Path, process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while len(lines_of(path)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends, "the watch did not answer in time"
        time.sleep(0.05)


def test_each_picture_is_answered_once_in_order_with_its_generation(taught: Path, camera: Path) -> None:
    sink = Collected()
    watch = watched(taught, camera, sink)
    watch.once()
    watch.once()
    assert sink.names == sorted(path.name for path in camera.iterdir())
    asked = Predictor(Model.open(MICRO, taught, threads=1))(sorted(camera.iterdir()))
    assert [line["labels"] for line in sink.lines] == [
        answer.to_json()["labels"] for answer in asked if isinstance(answer, Prediction)
    ]
    assert {line["generation"] for line in sink.lines} == {int(current_of(taught).name)}
    assert {line["kept"] for line in sink.lines} == {None}


def test_a_picture_that_still_grows_waits_and_a_changed_one_is_answered_again(
    taught: Path, camera: Path, pictures: DemoPictures
) -> None:
    sink = Collected()
    watch = watched(taught, camera, sink)
    growing = camera / "zz.png"
    whole = next(pictures.asked["lawn grass"].iterdir()).read_bytes()
    growing.write_bytes(whole[:100])
    watch._look()
    growing.write_bytes(whole)
    ready, _ = watch._look()
    assert growing not in ready
    watch.once()
    assert sink.names.count("zz.png") == 1
    assert next(line for line in sink.lines if line["image"].endswith("zz.png"))["labels"][0]["label"] == "lawn grass"
    growing.write_bytes(whole + b"\0")
    watch.once()
    assert sink.names.count("zz.png") == 2


def test_a_full_disk_in_the_middle_loses_no_picture(taught: Path, camera: Path) -> None:
    first, second = Collected(fails_after=3), Collected()
    watch = watched(taught, camera, first)
    with pytest.raises(ResourceError):
        watch.once()
    watch.ledger.close()
    watched(taught, camera, second).once()
    assert set(first.names) | set(second.names) == {path.name for path in camera.iterdir()}


def test_a_killed_watch_goes_on_where_it_was(taught: Path, camera: Path, tmp_path: Path) -> None:
    out, spool = tmp_path / "out" / "lines.jsonl", tmp_path / "spool"
    spool.mkdir()
    words = command("watch", spool, "--out", out, "--every", "0.05", "--state", taught)
    names = sorted(path.name for path in camera.iterdir())
    for index, name in enumerate(names[:4]):
        process = subprocess.Popen(words, env=environment(), text=True, stderr=subprocess.PIPE)
        try:
            os.replace(camera / name, spool / name)
            wait_for(index + 1, out, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    with out.open("a") as file:
        file.write('{"image": "cut')
    done = run_cli("watch", spool, "--out", out, "--every", "0.05", "--once", "--state", taught)
    assert (done.returncode, done.stdout) == (0, "")
    found = [Path(line["image"]).name for line in lines_of(out)]
    assert sorted(set(found)) == names[:4]
    assert len(found) <= 8  # a kill between line and ledger may repeat one, never more


def test_a_watch_stops_at_a_signal_with_its_documented_code(taught: Path, camera: Path, tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    words = command("watch", camera, "--out", out, "--every", "0.05", "--state", taught)
    process = subprocess.Popen(words, env=environment(), text=True, stderr=subprocess.PIPE)
    wait_for(8, out, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143
    assert errors.startswith("edge-nusa: stopped by a signal")


def test_it_waits_for_the_first_lesson_and_takes_up_what_is_learned(taught: Path, camera: Path, tmp_path: Path) -> None:
    state, out = tmp_path / "empty", tmp_path / "lines.jsonl"
    words = command("watch", camera, "--out", out, "--every", "0.05", "--state", state)
    process = subprocess.Popen(words, env=environment(), text=True, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        assert "waiting for `edge-nusa learn`" in process.stderr.readline()
        shutil.copytree(taught / "generations", state / "generations")
        shutil.copy(taught / "CURRENT", state / "CURRENT.new")
        os.replace(state / "CURRENT.new", state / "CURRENT")
        wait_for(8, out, process)
    finally:
        process.terminate()
        process.communicate()
    assert {line["generation"] for line in lines_of(out)} == {int(current_of(taught).name)}


def test_without_anything_learned_once_says_what_to_do(camera: Path, tmp_path: Path) -> None:
    done = run_cli("watch", camera, "--once", "--state", tmp_path / "empty")
    assert done.returncode == 1
    assert "pass --label NAME, or teach one" in done.stderr


def test_hostile_entries_are_said_once_and_end_nothing(taught: Path, camera: Path, tmp_path: Path) -> None:
    (camera / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    (camera / "text\x1b[31m.png").write_text("no picture")
    (camera / "half.png.part").write_bytes(b"not finished")
    os.mkfifo(camera / "pipe.jpg")
    (camera / "out.jpg").symlink_to(tmp_path)
    (camera / "loop.jpg").symlink_to("loop.jpg")
    (camera / "folder.jpg").mkdir()
    words: list[str | Path] = ["watch", camera, "--every", "0.05", "--once", "--state", taught, "--format", "json"]
    done = run_cli(*words)
    assert done.returncode == 0, done.stderr
    reasons = {
        Path(line["image"]).name: line["reason"]
        for line in map(json.loads, done.stdout.splitlines())
        if "reason" in line
    }
    assert set(reasons) == {"cut.jpg", "text\\x1b[31m.png", "pipe.jpg", "out.jpg", "loop.jpg"}
    assert done.stdout.count("\n") == 8 + 5
    assert run_cli(*words).stdout == ""


def test_a_picture_that_vanishes_before_it_is_opened_is_set_aside(
    taught: Path, camera: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Collected()
    watch = watched(taught, camera, sink)
    gone = sorted(camera.iterdir())[0]
    look = watch._look

    def look_and_remove() -> Any:
        found = look()
        if found[0]:
            gone.unlink()
        return found

    monkeypatch.setattr(watch, "_look", look_and_remove)
    watch.once()
    assert "no such file" in sink.lines[0]["reason"]
    assert len(sink.lines) == 8


def test_deleting_takes_answered_pictures_and_leaves_the_others(taught: Path, camera: Path) -> None:
    (camera / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    sink = Collected()
    watched(taught, camera, sink, deletes=True).once()
    assert [path.name for path in camera.iterdir()] == ["cut.jpg"]
    assert len(sink.lines) == 9


def test_two_watches_of_one_folder_are_refused(taught: Path, camera: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Ledger(taught / "ledger.sqlite")
    monkeypatch.setattr(ledgers, "WAIT_SECONDS", 0.1)
    with pytest.raises(ResourceError, match="end the other `edge-nusa watch`"):
        Ledger(taught / "ledger.sqlite")
    first.close()
    Ledger(taught / "ledger.sqlite").close()


def test_a_damaged_ledger_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(DamagedError, match=r"ledger\.sqlite: expected a ledger .* delete it"):
        Ledger(tmp_path / "ledger.sqlite")


def test_the_ledger_remembers_names_of_any_bytes_and_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "MOST_ROWS", 3)
    path, odd = tmp_path / "ledger.sqlite", Path(os.fsdecode(b"a\xff\n.jpg"))
    ledger = Ledger(path)
    ledger.add({odd: Stamp(1, 2), Path("b.jpg"): LEFT_OUT})
    ledger.forget_gone([])
    ledger.close()
    again = Ledger(path)
    assert again.has(odd, Stamp(1, 2))
    assert not again.has(odd, Stamp(1, 3))
    again.add({Path("c.jpg"): Stamp(1, 1), Path("d.jpg"): Stamp(1, 1)})
    again.forget_gone([odd])
    assert len(again) == 1
    again.close()
    assert Ledger(path).has(odd, Stamp(1, 2))


def test_uncertain_pictures_are_kept_once_and_the_oldest_goes(tmp_path: Path, camera: Path) -> None:
    folder = tmp_path / "unsure"
    folder.mkdir()
    (folder / "mine.txt").write_text("stays")
    kept = UncertainFolder(UncertainSettings(folder, most_files=3))
    first, *others = sorted(camera.iterdir())
    name = kept.keep(read_file(first))
    assert name is not None
    os.utime(folder / name, ns=(0, 0))
    assert kept.keep(read_file(first)) == name
    for path in others:
        kept.keep(read_file(path))
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == 3 + 1
    assert "mine.txt" in left
    assert name not in left


def test_the_uncertain_folder_never_holds_more_bytes_than_allowed(tmp_path: Path, camera: Path) -> None:
    sizes = sorted(path.stat().st_size for path in camera.iterdir())
    bound = sizes[-1] + sizes[0]
    kept = UncertainFolder(UncertainSettings(tmp_path / "unsure", most_bytes=bound))
    for path in sorted(camera.iterdir()):
        assert kept.keep(read_file(path))
        assert sum(entry.stat().st_size for entry in (tmp_path / "unsure").iterdir()) <= bound
    tiny = UncertainFolder(UncertainSettings(tmp_path / "tiny", most_bytes=10))
    assert tiny.keep(read_file(next(camera.iterdir()))) is None


def test_unsure_is_a_low_probability_or_an_unknown_picture(tmp_path: Path) -> None:
    kept = UncertainFolder(UncertainSettings(tmp_path / "unsure", below=0.6))
    answers = [(0.59, False, True), (0.6, False, False), (0.99, True, True)]
    for probability, unknown, expected in answers:
        assert (
            kept.is_unsure(
                Prediction(image="a.png", best="a", labels=(Ranked("a", probability),), known=None, unknown=unknown)
            )
            is expected
        )


def test_the_command_keeps_uncertain_pictures_and_names_them(taught: Path, camera: Path, tmp_path: Path) -> None:
    done = run_cli(
        "watch",
        camera,
        "--once",
        "--every",
        "0.05",
        "--keep",
        tmp_path / "unsure",
        "--keep-below",
        "1",
        "--keep-most",
        "5",
        "--state",
        taught,
        "--labels",
        "cat,dog",
    )
    assert done.returncode == 0, done.stderr
    named = [json.loads(line)["kept"] for line in done.stdout.splitlines()]
    assert {name for name in named if name} >= {path.name for path in (tmp_path / "unsure").iterdir()}
    assert len(list((tmp_path / "unsure").iterdir())) == 5


def test_keeping_inside_the_watched_folder_is_refused(camera: Path, tmp_path: Path) -> None:
    done = run_cli("watch", camera, "--once", "--keep", camera / "unsure", "--state", tmp_path / "state")
    assert done.returncode == 2
    assert "expected a folder outside" in done.stderr


def test_lines_go_on_after_the_file_was_moved_away(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "lines.jsonl")
    lines.write({"a": "\u202e"})
    os.replace(tmp_path / "lines.jsonl", tmp_path / "lines.1")
    lines.write({"b": 2})
    lines.sync()
    assert (tmp_path / "lines.1").read_text() == '{"a": "\\u202e"}\n'
    assert lines_of(tmp_path / "lines.jsonl") == [{"b": 2}]


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b"a\nb", b"a\n"), (b"cut", b""), (b"a\n", b"a\n"), (b"a\n" + b"b" * 200_000, b"a\n")],
)
def test_a_cut_last_line_is_removed_at_the_start(tmp_path: Path, before: bytes, after: bytes) -> None:
    (tmp_path / "lines.jsonl").write_bytes(before)
    JsonLines(tmp_path / "lines.jsonl")
    assert (tmp_path / "lines.jsonl").read_bytes() == after
