"""Cameras that are not there, refuse, are silent, send rubbish, end, or come back; and what is left when we end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cameras import (
    BLUE,
    H264,
    QUICK,
    RED,
    colour_at,
    free_port,
    jpeg,
    picture,
    reason_of,
    rtsp_server,
    tcp_server,
    until,
    write_video,
)

from edge_nusa.device.camera.camera import Camera, open_camera
from edge_nusa.device.camera.frame import CameraSettings
from edge_nusa.errors import UsageError

pytest.importorskip("av")
MJPEG = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


def test_a_stream_by_rtsp_gives_its_pictures() -> None:
    with rtsp_server(free_port()) as address, open_camera(address, QUICK) as camera:
        frame = camera.latest(timeout=20)
        assert frame is not None, camera.state
        assert frame.image.shape == (240, 320, 3)
        assert colour_at(frame.image, 0.5, 0.5) == RED


def test_the_first_keyframe_and_the_frames_between_two_are_used() -> None:
    seldom = H264.replace("key-int-max=15", "key-int-max=900")
    assert seldom != H264
    with rtsp_server(free_port(), encoder=seldom) as address, open_camera(address, QUICK) as camera:
        frame = camera.latest(timeout=20)
        assert frame is not None, camera.state
        for _ in range(8):
            frame = camera.latest(frame.number, timeout=5)
            assert frame is not None, camera.state


def test_a_stream_of_jpegs_by_rtsp_gives_its_pictures() -> None:
    with (
        rtsp_server(free_port(), encoder="jpegenc ! rtpjpegpay") as address,
        open_camera(address, QUICK) as camera,
    ):
        frame = camera.latest(timeout=20)
        assert frame is not None, camera.state
        assert colour_at(frame.image, 0.5, 0.5) == RED


def test_a_stream_of_jpegs_by_http_gives_its_pictures(tmp_path: Path) -> None:
    with tcp_server(send_jpegs) as port, open_camera(f"http://127.0.0.1:{port}/video", QUICK) as camera:
        frame = camera.latest(timeout=20)
        assert frame is not None, camera.state
        assert colour_at(frame.image, 0.25, 0.25) == RED


def send_jpegs(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(MJPEG)
    data = jpeg(320, 240)
    while True:
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        connection.sendall(head + data + b"\r\n")
        time.sleep(0.05)


def test_a_server_that_stops_and_starts_is_found_again_and_numbers_go_on() -> None:
    port = free_port()
    with open_camera(f"rtsp://127.0.0.1:{port}/stream", QUICK) as camera:
        assert "the connection was refused" in reason_of(camera)
        with rtsp_server(port):
            one = camera.latest(timeout=20)
            assert one is not None and colour_at(one.image, 0.5, 0.5) == RED
            assert camera.state.is_ok
        assert reason_of(camera) in ("the stream ended", "the connection was cut, or the camera was pulled out")
        lost = camera.state
        assert not lost.is_ok and abs(lost.since - time.time()) < 10
        assert camera.latest(timeout=1.2) is None, "what it showed before is no answer to what it shows now"
        with rtsp_server(port, "0000ff", width=640):
            two = camera.latest(one.number, timeout=20)
            assert two is not None and two.number > one.number
            assert (two.image.shape, colour_at(two.image, 0.5, 0.5)) == ((240, 640, 3), BLUE)


def test_a_camera_that_accepts_and_is_silent_is_given_up_in_time_and_tried_again() -> None:
    connections: list[float] = []
    quick = replace(QUICK, silence=1.0)
    with (
        tcp_server(lambda connection: connections.append(time.monotonic())) as port,
        open_camera(f"rtsp://127.0.0.1:{port}/stream", quick) as camera,
    ):
        assert reason_of(camera).startswith("expected an answer in time, found none")
        until(lambda: len(connections) > 2)
    assert connections[1] - connections[0] > 1.0


def test_a_camera_that_falls_silent_in_mid_stream_is_opened_again() -> None:
    begun: list[float] = []

    def once(connection: socket.socket) -> None:
        connection.recv(4096)
        begun.append(time.monotonic())
        data = jpeg(320, 240)
        for _ in range(3):
            connection.sendall(
                (MJPEG if _ == 0 else b"") + b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + data + b"\r\n"
            )
            time.sleep(0.1)

    with tcp_server(once) as port, open_camera(f"http://127.0.0.1:{port}/", replace(QUICK, silence=1.0)) as camera:
        assert camera.latest(timeout=20) is not None
        reason = reason_of(camera)
        assert reason.startswith("it gave no data for 1 s") or reason.startswith("expected an answer in time")
        until(lambda: len(begun) > 1)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_sends_rubbish_is_no_camera(scheme: str) -> None:
    def rubbish(connection: socket.socket) -> None:
        while True:
            connection.sendall(np.random.default_rng(0).bytes(2000))
            time.sleep(0.01)

    with (
        tcp_server(rubbish) as port,
        open_camera(f"{scheme}://127.0.0.1:{port}/", replace(QUICK, silence=1.0)) as camera,
    ):
        assert reason_of(camera).startswith("expected a")
        assert camera.latest(timeout=0.5) is None


def test_data_without_a_picture_is_given_up_in_time() -> None:
    def broken(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(MJPEG)
        while True:
            connection.sendall(
                b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\n" + b"\xff\xd8" + bytes(1000)
            )
            time.sleep(0.02)

    with tcp_server(broken) as port, open_camera(f"http://127.0.0.1:{port}/", replace(QUICK, silence=1.0)) as camera:
        found = "it gave data for 1 s, and among them no picture that can be decoded, or larger ones than 12582912 pix"
        assert reason_of(camera).startswith(found)


def test_a_login_is_used_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with rtsp_server(free_port(), login="anna:se cret@/?#") as address:
        with open_camera(address, QUICK) as camera:
            assert reason_of(camera).startswith("expected a user and a password that the camera takes")
        with open_camera(address, replace(QUICK, login="anna:wrong")) as camera:
            assert reason_of(camera).startswith("expected a user and a password that the camera takes")
        with open_camera(address, replace(QUICK, login="anna:se cret@/?#")) as camera:
            assert camera.latest(timeout=20) is not None, camera.state
            words = Path(f"/proc/{child_of(camera)}/cmdline").read_bytes()
            shown = (words.decode(), caplog.text, repr(camera.state), repr(camera.source), repr(camera.settings))
    assert not any("cret" in text for text in shown)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_host_that_nobody_knows_is_said(scheme: str) -> None:
    with open_camera(f"{scheme}://camera.invalid/stream", QUICK) as camera:
        assert reason_of(camera).startswith("expected a host of this name, found that nobody knows it")


def test_a_path_that_the_camera_does_not_have_is_said() -> None:
    with rtsp_server(free_port()) as address, open_camera(f"{address}s", QUICK) as camera:
        assert reason_of(camera) == "expected a stream at this address, found none; look at what comes after the host"


def test_a_missing_device_is_one_clear_line() -> None:
    with open_camera("/dev/video9", QUICK) as camera:
        assert reason_of(camera) == "expected a camera of this name, found none; plug it in, or see `ls /dev/video*`"


def test_a_name_without_a_camera_behind_it_is_one_clear_line() -> None:
    device = Path("/dev/video977")
    try:
        os.mknod(device, 0o20600, os.makedev(81, 977))
    except OSError as error:
        pytest.skip(f"makes a device, which this user or system does not allow ({error.strerror})")
    try:
        with open_camera(str(device), QUICK) as camera:
            reason = reason_of(camera)
        assert reason.startswith("expected a camera behind this name, found none") or "not allowed" in reason
    finally:
        device.unlink()


def test_a_device_without_permission_says_which_group() -> None:
    device = Path("/dev/video978")
    if shutil.which("setpriv") is None or os.geteuid() != 0:
        pytest.skip("drops a privilege of root's by setpriv")
    try:
        os.mknod(device, 0o20000, os.makedev(81, 978))
    except OSError as error:
        pytest.skip(f"makes a device, which this system does not allow ({error.strerror})")
    code = (
        "from cameras import QUICK, reason_of\nfrom edge_nusa.device.camera.camera import open_camera\n"
        f"with open_camera('{device}', QUICK) as camera: print(reason_of(camera))"
    )
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
    try:
        done = subprocess.run(
            [*drop, sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    finally:
        device.unlink()
    assert done.stdout.startswith(
        "expected to be allowed to read it, found that this user is not; add it to the group `video`"
    )
    assert done.stdout.count("\n") == 1


def child_of(camera: Camera) -> int:
    child = until(lambda: camera._child)
    return int(child._process.pid)


def is_gone(number: int) -> bool:
    """Whether this process has ended."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[Camera]:
    path = write_video(tmp_path / "long.mp4", [picture()] * 600)
    with open_camera(str(path), QUICK) as camera:
        yield camera


def test_a_child_that_is_killed_is_started_again(playing: Camera) -> None:
    assert playing.latest(timeout=20) is not None
    first = child_of(playing)
    os.kill(first, signal.SIGKILL)
    assert reason_of(playing).startswith("the process that reads it ended")
    assert until(lambda: playing.state.is_ok)
    assert child_of(playing) != first


def test_a_child_that_hangs_is_ended_and_started_again(playing: Camera) -> None:
    assert playing.latest(timeout=20) is not None
    first = child_of(playing)
    os.kill(first, signal.SIGSTOP)
    assert reason_of(playing) == "it gave no data for 2 s"
    assert is_gone(first)
    assert until(lambda: playing.state.is_ok)


def test_a_closed_camera_leaves_nothing_and_wakes_who_waits(playing: Camera) -> None:
    assert playing.latest(timeout=20) is not None
    child, began = child_of(playing), time.monotonic()
    playing.close()
    assert is_gone(child)
    assert playing.latest(timeout=20) is None
    assert playing.state.is_over and playing.state.reason == "it was closed"
    playing.close()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(tmp_path: Path, number: int) -> None:
    path = write_video(tmp_path / "long.mp4", [picture()] * 600)
    code = (
        "import sys, time\nfrom edge_nusa.device.camera.camera import open_camera\n"
        "camera = open_camera(sys.argv[1])\ncamera.latest(timeout=20)\nprint(camera._child._process.pid, flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        assert not is_gone(child)
        parent.send_signal(number)
        began = time.monotonic()
        until(lambda: is_gone(child), 2)
        assert time.monotonic() - began < 2
        parent.wait()


def test_tries_are_farther_and_farther_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    with open_camera("/dev/video9", replace(QUICK, pauses=(0.01, 0.02, 0.03))) as camera:
        wait = camera._is_closed.wait

        def counted(seconds: float) -> bool:
            waited.append(seconds)
            return wait(seconds)

        monkeypatch.setattr(camera._is_closed, "wait", counted)
        until(lambda: len(waited) > 5)
    assert waited[:5] == [0.01, 0.02, 0.03, 0.03, 0.03]


def test_pauses_grow_to_half_a_minute() -> None:
    assert CameraSettings().pauses == (1.0, 2.0, 5.0, 10.0, 30.0)


def test_what_names_no_camera_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a camera's device"):
        open_camera("gopher://127.0.0.1/")
