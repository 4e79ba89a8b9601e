"""Cameras of the tests: videos of plain colours, a real RTSP server on loopback, and servers that behave badly."""

from __future__ import annotations

import io
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_nusa.device.camera.camera import Camera
from edge_nusa.device.camera.frame import CameraSettings

SYSTEM_PYTHON = "/usr/bin/python3"
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
QUICK = CameraSettings(silence=2.0, pauses=(0.2, 0.4))
SOLID = (
    "( videotestsrc is-live=true pattern=solid-color foreground-color=0xff{colour} ! "
    "video/x-raw,format=I420,width={width},height=240,framerate=30/1 ! {encoder} name=pay0 pt={pt} )"
)
H264 = "x264enc speed-preset=ultrafast tune=zerolatency key-int-max=15 ! rtph264pay"


def picture(width: int = 320, height: int = 240, left: Sequence[int] = RED, right: Sequence[int] = BLUE) -> np.ndarray:
    """(H, W, 3) uint8: one colour on the left, one on the right, and green in the lower quarter."""
    found = np.empty((height, width, 3), np.uint8)
    found[:, : width // 2], found[:, width // 2 :], found[3 * height // 4 :] = left, right, GREEN
    return found


def write_video(path: Path, frames: Sequence[np.ndarray], **options: Any) -> Path:
    """A video of these frames. codec, pixels (a pixel format), rate a second, gop (frames from keyframe to keyframe),
    turned (degrees that a player turns it by)."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        container.metadata["title"] = options.get("title", "")
        stream = container.add_stream(options.get("codec", "libx264"), rate=options.get("rate", 30))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = options.get("pixels", "yuv420p")
        stream.codec_context.gop_size = options.get("gop", 10)
        if options.get("codec", "libx264") == "libx264":
            stream.codec_context.options = {"preset": "ultrafast", "tune": "zerolatency"}
        if "turned" in options:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("writes a turned video by a newer PyAV")
            stream.set_display_rotation(options["turned"])
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def jpeg(width: int, height: int, said: tuple[int, int] | None = None) -> bytes:
    """A JPEG; said: another width and height in its header."""
    file = io.BytesIO()
    Image.fromarray(picture(width, height)).save(file, "JPEG")
    data = bytearray(file.getvalue())
    if said is not None:
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = said[1].to_bytes(2, "big") + said[0].to_bytes(2, "big")
    return bytes(data)


def colour_at(image: np.ndarray, across: float, down: float) -> tuple[int, ...]:
    """The colour at a place of the picture, each channel as 0 or 255, whichever is nearer."""
    height, width = image.shape[:2]
    return tuple(int(v) for v in np.where(image[int(down * height), int(across * width)] > 127, 255, 0))


def reason_of(camera: Camera, seconds: float = 20.0) -> str:
    """Why it gives no pictures, as soon as it says so."""
    return until(lambda: camera.state.reason, seconds)


def until(found: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `found` gives as soon as that is true."""
    ends = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < ends, "expected it by now"
        time.sleep(0.02)
    return value


def free_port() -> int:
    """A port of loopback that nobody listens to."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def rtsp_server(
    port: int, colour: str = "ff0000", encoder: str = H264, login: str = "", width: int = 320, pipeline: str = ""
) -> Iterator[str]:
    """The address of a stream of one colour, or of another pipeline. Skips where Debian's server is not installed."""
    kind = 26 if "jpeg" in encoder else 96
    pipeline = pipeline or SOLID.format(colour=colour, encoder=encoder, width=width, pt=kind)
    words = [SYSTEM_PYTHON, str(Path(__file__).parent / "camera" / "rtsp_server.py"), str(port), pipeline, login]
    try:
        server = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError:
        pytest.skip(f"needs {SYSTEM_PYTHON} with Debian's gir1.2-gst-rtsp-server-1.0")
    assert server.stdout is not None and server.stderr is not None
    try:
        if server.stdout.readline() != "ready\n":
            pytest.skip(f"needs Debian's gir1.2-gst-rtsp-server-1.0 and its encoders: {server.stderr.read()[-200:]}")
        yield f"rtsp://127.0.0.1:{port}/stream"
    finally:
        server.kill()
        server.wait()
        for pipe in (server.stdin, server.stdout, server.stderr):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()


@contextmanager
def tcp_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that does this with each connection, in a thread each."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        is_over = threading.Event()

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                answer(connection)
                is_over.wait()

        def all_of_them() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=all_of_them, daemon=True).start()
        yield int(server.getsockname()[1])
        is_over.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
