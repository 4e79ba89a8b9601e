"""`watch` over a camera: each frame's line, what is kept, a camera that is lost and back, lessons, and the end."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cameras import free_port, rtsp_server, until, write_video
from conftest import MICRO, command, environment, run_cli
from PIL import Image
from watching import Lines

from edge_nusa.device.camera.camera import open_camera
from edge_nusa.device.camera.frame import CameraSettings
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.model import Model
from edge_nusa.device.watching import changing_bundle
from edge_nusa.device.watching.camera_watch import CameraWatch
from edge_nusa.device.watching.settings import AskSettings
from edge_nusa.device.watching.uncertain import UncertainFolder, UncertainSettings
from edge_nusa.errors import InputError

pytest.importorskip("av")
NAME = re.compile(r"camera 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ")
PATIENCE_SECONDS = 60.0
Notes = list[str]


def shown(folder: Path, frames: int) -> list[np.ndarray]:
    """The first picture of a folder, for so many frames."""
    with Image.open(sorted(folder.iterdir())[0]) as image:
        return [np.asarray(image.convert("RGB").resize((256, 256)))] * frames


@pytest.fixture
def video(pictures: DemoPictures, tmp_path: Path) -> Path:
    """Two seconds of gravel, then two of a lawn."""
    frames = shown(pictures.asked["gravel"], 40) + shown(pictures.asked["lawn grass"], 40)
    return write_video(tmp_path / "garden.mp4", frames, rate=20, gop=5)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def running(source: str, out: Path, *more: str | Path) -> Iterator[subprocess.Popen[str]]:
    words = command("watch", source, "--out", out, *more)
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment())
    assert process.stderr is not None
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.stderr.close()
        process.wait()


def watch_of(
    video: Path, state: Path, lines: Lines, uncertain: UncertainFolder | None = None, **settings: Any
) -> CameraWatch:
    asked = AskSettings(seconds=0.2, **settings)
    return CameraWatch(Model.open(MICRO, state, 1), asked, open_camera(str(video), CameraSettings()), lines, uncertain)


def test_a_video_is_answered_frame_by_frame_to_its_end(taught: Path, video: Path) -> None:
    lines, notes = Lines(), Notes()
    watch_of(video, taught, lines).run(notes.append)

    answers = [line["best"] for line in lines]
    assert 8 < len(answers) <= 20
    assert [answer for place, answer in enumerate(answers) if answers[place - 1 : place] != [answer]] == [
        "gravel",
        "lawn grass",
    ]
    assert all(NAME.fullmatch(line["image"]) for line in lines)
    assert len({line["image"] for line in lines}) == len(lines)
    names = ["image", "best", "labels", "known", "unknown", "generation", "time", "kept", "seconds"]
    assert list(lines[0]) == names and all(0 < line["seconds"] < 60 for line in lines)
    assert notes == [f"{video}: the video is over"]


def test_only_changes_are_said_where_three_must_agree(taught: Path, video: Path) -> None:
    lines = Lines()
    watch_of(video, taught, lines, agree=3).run(lambda text: None)
    assert [line["best"] for line in lines] == ["gravel", "lawn grass"]


def test_an_unsure_frame_is_kept_as_it_was_answered_and_no_other(taught: Path, video: Path, tmp_path: Path) -> None:
    lines, folder = Lines(), tmp_path / "kept"
    kept = UncertainFolder(UncertainSettings(folder, most_files=2, below=1.0))
    watch_of(video, taught, lines, kept, top=1).run(lambda text: None)

    names = [line["kept"] for line in lines if line["kept"]]
    assert names and all(re.fullmatch(r"[0-9a-f]{16}\.jpg", name) for name in names)
    files = sorted(path.name for path in folder.iterdir())
    assert len(files) == min(2, len(set(names))) and set(files) <= set(names)
    with Image.open(io.BytesIO((folder / files[0]).read_bytes())) as image:
        assert (image.format, image.size) == ("JPEG", (256, 256))
    assert all(len(line["labels"]) == 1 for line in lines)

    sure, none = Lines(), tmp_path / "none"
    watch_of(video, taught, sure, UncertainFolder(UncertainSettings(none, below=0.0))).run(lambda text: None)
    assert [line["kept"] for line in sure if not line["unknown"]] == [None] * sum(not line["unknown"] for line in sure)


def test_one_frame_is_answered_and_that_is_all(taught: Path, video: Path) -> None:
    done = run_cli("watch", video, "--once", "--state", taught, "--top", "1")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["best"] == "gravel"


def test_one_frame_of_a_camera_that_is_not_there_is_an_error_in_one_line(taught: Path) -> None:
    done = run_cli("watch", "/dev/video9", "--once", "--state", taught)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "edge-nusa: /dev/video9: expected a camera of this name, found none; plug it in, or see `ls /dev/video*`\n"
    )


def test_with_nothing_learned_it_waits_and_once_says_what_to_do(video: Path, tmp_path: Path) -> None:
    lines, notes = Lines(), Notes()
    watch_of(video, tmp_path / "state", lines).run(notes.append)
    assert list(lines) == []
    assert notes[0] == "nothing was learned yet and no labels were offered; waiting for `edge-nusa learn`"
    assert len(notes) == 2

    with pytest.raises(InputError, match="nothing was learned yet and no labels were offered; pass --label NAME"):
        watch_of(video, tmp_path / "state", lines).once()


def test_what_is_learned_meanwhile_is_taken_up(taught: Path, video: Path) -> None:
    class Forgets(Lines):
        def write(self, line: Any) -> None:
            super().write(line)
            if len(self) == 3:
                Model.open(MICRO, taught, 1).forget("gravel")

    lines = Forgets()
    watch_of(video, taught, lines).run(lambda text: None)
    assert [line["generation"] for line in lines[:4]] == [1, 1, 1, 2]
    assert "gravel" not in [label["label"] for label in lines[3]["labels"]]


def test_a_camera_that_is_lost_and_back_is_said_in_the_file_and_in_words(taught: Path, tmp_path: Path) -> None:
    out, port = tmp_path / "lines", free_port()
    source, options = (
        f"rtsp://anna:secret@127.0.0.1:{port}/stream",
        ("--state", taught, "--every", "0.2", "--agree", "2"),
    )
    place = f"rtsp://127.0.0.1:{port}/..."
    with running(source, out, *options) as process:
        until(lambda: len(lines_of(out)) == 1, PATIENCE_SECONDS)
        for count in (3, 6):
            with rtsp_server(port):
                until(lambda: len(lines_of(out)) == count, PATIENCE_SECONDS)  # noqa: B023 - it is called at once
            until(lambda: len(lines_of(out)) == count + 1, PATIENCE_SECONDS)  # noqa: B023
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
        said = process.stderr.read() if process.stderr else ""
    lines = lines_of(out)
    assert [line.get("state", "answer") for line in lines] == ["lost", "back", "answer", "lost"] + [
        "back",
        "answer",
        "lost",
    ]
    assert list(lines[0]) == ["camera", "state", "reason", "time"]
    assert {line["camera"] for line in lines if "camera" in line} == {place}
    assert lines[0]["reason"].startswith("expected a camera at this address, found that the connection was refused")
    assert lines[1]["reason"] == ""
    assert said.count(f"{place}: the camera is back\n") == 2
    assert said.count(f"{place}: no pictures: ") == 3
    assert "secret" not in said + out.read_text()


def test_a_signal_ends_a_watch_and_its_child_within_two_seconds(taught: Path, tmp_path: Path) -> None:
    out = tmp_path / "lines"
    with rtsp_server(free_port()) as address, running(address, out, "--state", taught, "--every", "0.2") as process:
        until(lambda: len(lines_of(out)) > 1, PATIENCE_SECONDS)
        (child,) = children_of(process.pid)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        until(lambda: not Path(f"/proc/{child}").exists(), 2)
        assert time.monotonic() - began < 2


def children_of(parent: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("/dev/video0", "--delete"), "--delete is for a folder, and SOURCE is a camera"),
        (("/dev/video0", "--ledger", "x"), "--ledger is for a folder, and SOURCE is a camera"),
        ((".", "--login", "x"), "--login is for a camera, and SOURCE is a folder"),
        (("ftp://10.0.0.2/x",), "ftp://10.0.0.2/...: expected a camera's device such as /dev/video0"),
    ],
)
def test_options_of_the_other_kind_of_source_are_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run_cli("watch", *words, "--state", tmp_path / "state")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_login_file_is_read_by_the_command(taught: Path, tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text("anna:se cret\n")
    with rtsp_server(free_port(), login="anna:se cret") as address:
        done = run_cli("watch", address, "--once", "--state", taught, "--login", login)
        refused = run_cli("watch", address, "--once", "--state", taught)
        by_name = run_cli("watch", address, "--once", "--state", taught, env={"EDGE_NUSA_CAMERA_LOGIN": "anna:se cret"})
    assert (done.returncode, done.stderr) == (0, "")
    assert (by_name.returncode, by_name.stderr) == (0, "")
    assert refused.returncode == 1
    assert "expected a user and a password that the camera takes, found others or none; see --login" in refused.stderr


def test_a_bundle_that_is_replaced_meanwhile_is_taken_up(
    taught: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing_bundle, "LOOK_SECONDS", 0.05)
    bundle = Path(shutil.copytree(MICRO, tmp_path / "bundle"))

    class Replaces(Lines):
        def write(self, line: Any) -> None:
            super().write(line)
            if len(self) == 2:
                (bundle / "new").write_bytes((bundle / "weights.safetensors").read_bytes())
                (bundle / "new").rename(bundle / "weights.safetensors")

    lines, notes = Replaces(), Notes()
    camera = open_camera(str(video), CameraSettings(repeats=True))
    watch = CameraWatch(Model.open(bundle, taught, 1), AskSettings(seconds=0.1), camera, lines)

    def end() -> None:
        until(lambda: len(lines) > 4)
        watch.stop()

    ending = threading.Thread(target=end)
    ending.start()
    watch.run(notes.append)
    ending.join()
    assert len(lines) > 4
    assert notes[0] == f"{bundle}: the bundle changed; waiting until it is whole"
