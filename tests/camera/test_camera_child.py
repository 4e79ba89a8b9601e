"""The bounds that a camera's child takes on before it reads a byte of a stranger's."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import cast

import pytest
from cameras import tcp_server, until

from edge_nusa.device.camera import child
from edge_nusa.device.camera.camera import Camera, open_camera
from edge_nusa.device.camera.child import Child
from edge_nusa.device.camera.frame import CameraSettings
from edge_nusa.device.camera.source import source_of
from edge_nusa.errors import ResourceError

TAKEN = (
    "import resource, os\nfrom edge_nusa.device.camera import capture_process as child\nchild._take_limits(1 << 20)\n"
)


def after_limits(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-P", "-c", TAKEN + code], capture_output=True, text=True)


@pytest.mark.parametrize(("mib", "fits"), [(300, True), (330, False)])
def test_memory_is_bounded(mib: int, fits: bool) -> None:
    done = after_limits(f"bytearray({mib} << 20)")
    assert ("MemoryError" in done.stderr, done.returncode) == ((False, 0) if fits else (True, 1))


def test_what_it_writes_is_bounded_by_one_frame() -> None:
    done = after_limits(
        "place = os.memfd_create('x')\nprint(os.pwrite(place, bytes(2 << 20), 0))\nos.pwrite(place, b'x', 1 << 20)"
    )
    assert done.stdout == f"{1 << 20}\n"
    assert "File too large" in done.stderr


def test_it_leaves_no_core_and_opens_few_files() -> None:
    done = after_limits("print(resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_NOFILE))")
    assert done.stdout == "(0, 0) (64, 64)\n"


def test_it_has_no_password_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    for name in ("EDGE_NUSA_CAMERA_LOGIN", "EDGE_NUSA_MQTT_PASSWORD", "EDGE_NUSA_TOKEN", "http_proxy"):
        monkeypatch.setenv(name, "anna:hunter2")
    with tcp_server(lambda silent: None) as port, open_camera(f"rtsp://127.0.0.1:{port}/") as camera:
        until(lambda: camera._child)
        process = camera._child._process if camera._child is not None else None
        assert process is not None
        found = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"PATH=" in found and b"hunter2" not in found


def test_nothing_is_left_open_where_no_process_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*words: object, **options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuses)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ResourceError, match="expected to start the process that reads a camera, found Resource temp"):
        Child(source_of("rtsp://127.0.0.1/"), CameraSettings())
    assert os.listdir("/proc/self/fd") == before


class Stuck:
    """A process that neither a signal nor a closed pipe ends, as one that waits for a driver."""

    def __init__(self) -> None:
        self.stdin, self.stdout, self.killed = io.BytesIO(), io.BytesIO(), 0
        self.waited: list[float] = []

    def poll(self) -> int | None:
        return None

    def kill(self) -> None:
        self.killed += 1

    def wait(self, timeout: float) -> int:
        self.waited.append(timeout)
        raise subprocess.TimeoutExpired("camera", timeout)


def test_a_process_that_does_not_end_is_waited_for_half_a_second_and_what_was_shared_is_closed() -> None:
    process, shared = Stuck(), os.memfd_create("shared")
    child._ended(cast("subprocess.Popen[bytes]", process), shared)
    assert (process.killed, process.waited) == (1, [0.5])
    assert process.stdin.closed and process.stdout.closed
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(shared)


def test_a_camera_whose_process_does_not_end_is_closed_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    is_stuck, is_over = threading.Event(), threading.Event()

    def stuck(camera: Camera) -> None:
        is_stuck.set()
        is_over.wait(30)

    monkeypatch.setattr(Camera, "_one_child", stuck)
    camera = Camera(source_of("rtsp://127.0.0.1/"), CameraSettings())
    assert is_stuck.wait(10)
    began = time.monotonic()
    camera.close()
    assert 0.4 < time.monotonic() - began < 1.5
    is_over.set()


def test_it_loads_neither_numpy_nor_the_rest_of_the_board() -> None:
    code = (
        "import sys\nfrom edge_nusa.device.camera import capture_process, stream\n"
        "print([name for name in ('numpy', 'PIL', 'onnxruntime', 'edge_nusa.device.model') if name in sys.modules])"
    )
    pytest.importorskip("av")
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_nobody_foresaw_is_said_without_its_text() -> None:
    code = "import sys\nsys.excepthook = child._unforeseen\nraise RuntimeError('rtsp://anna:secret@10.0.0.2/')"
    done = after_limits(code)
    assert done.returncode == 1
    assert done.stdout == (
        "lost reading it ended in a way that nobody foresaw (RuntimeError at <string>:6); please report this line\n"
    )
