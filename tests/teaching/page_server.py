"""The page's server for tests: over a fresh state, inside the test's process or as the command itself."""

from __future__ import annotations

import io
import json
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from conftest import MICRO, command, environment
from PIL import Image
from starlette.testclient import TestClient

from edge_nusa.device.camera.frame import CameraState, Frame
from edge_nusa.device.model import Model
from edge_nusa.device.teaching.access import Access
from edge_nusa.device.teaching.app import application
from edge_nusa.device.teaching.recording import FrameSource
from edge_nusa.device.teaching.server import Server, listening
from edge_nusa.device.teaching.teaching import Teaching

PORT = 8642
HERE = f"http://127.0.0.1:{PORT}"
TOKEN = "a-token-of-the-tests-0123456789"
SECONDS = 120.0
"""So long anything here may take on a busy machine."""


@contextmanager
def page(
    state: Path, token: str | None = None, base: str = HERE, camera: FrameSource | None = None
) -> Iterator[tuple[TestClient, Teaching]]:
    """A client of the application over a state, and what the application works with."""
    teaching = Teaching(Model.open(MICRO, state, threads=1), camera, "the camera of the tests")
    try:
        with TestClient(application(teaching, Access(PORT, token, "board")), base_url=base) as client:
            yield client, teaching
    finally:
        teaching.close()


def picture(colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (120, 90), seed: int = 0) -> bytes:
    """A JPEG of blobs around a colour."""
    blobs = np.random.default_rng(seed).integers(-60, 60, (6, 8, 3)) + np.array(colour)
    small = Image.fromarray(np.clip(blobs, 0, 255).astype(np.uint8))
    return encoded(np.asarray(small.resize(size, Image.Resampling.BICUBIC)))


def encoded(image: np.ndarray, kind: str = "JPEG") -> bytes:
    """A file of a picture (H, W, 3) uint8 RGB."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def form(folder: Path, most: int = 8) -> list[tuple[str, tuple[str, bytes]]]:
    """The pictures of a folder as a browser's form has them."""
    return [("files", (path.name, path.read_bytes())) for path in sorted(folder.iterdir())[:most]]


def taught(client: TestClient, number: int) -> dict[str, Any]:
    """A lesson when it is over."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        lesson: dict[str, Any] = client.get(f"/api/lessons/{number}").json()
        if lesson["state"] not in ("waiting", "looking", "judging", "training text"):
            return lesson
        time.sleep(0.05)
    raise AssertionError(f"lesson {number} is not over after {SECONDS:g} s: {lesson}")


@contextmanager
def served(*arguments: str | Path, env: dict[str, str] | None = None) -> Iterator[tuple[Any, subprocess.Popen[str]]]:
    """`edge-nusa teach` in a process of its own, and what it printed of its address."""
    words = command("teach", "--port", "0", "--format", "json", *arguments)
    process = subprocess.Popen(words, env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], SECONDS)[0], "it said nothing"
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield json.loads(line), process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: int = signal.SIGINT, seconds: float = 2.0) -> float:
    """Seconds until a signal ended the process, which said so in one line."""
    began = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    took = time.monotonic() - began
    assert process.returncode == 128 + number, said
    assert said.startswith("edge-nusa: stopped by a signal") and said.count("\n") == 1, said
    assert took < seconds
    return took


@contextmanager
def live(state: Path, camera: FrameSource | None = None, at: int = 0) -> Iterator[tuple[int, Teaching]]:
    """The server with a real socket, in a thread of this process; its port (`at`, 0: any), and what it works with."""
    teaching = Teaching(Model.open(MICRO, state, threads=1), camera, "the camera of the tests")
    listens = listening(at, False)
    port = int(listens.getsockname()[1])
    server = Server(application(teaching, Access(port)), listens)
    server.start()
    try:
        yield port, teaching
    finally:
        teaching.close()
        server.stop()


def spoken(port: int, *parts: bytes, seconds: float = 20.0) -> bytes:
    """What a server answers to some bytes until it closes the connection, or at most for `seconds`."""
    ends = time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        for part in parts:
            connection.sendall(part)
        found = b""
        try:
            while more := connection.recv(1 << 16):
                found += more
                if time.monotonic() > ends:
                    return found + b" [open]"
        except TimeoutError:
            return found + b" [open]"
        except ConnectionResetError:
            return found + b" [reset]"
    return found


class Shown:
    """A camera that shows what it is given, as often as somebody asks; `image` None: it gives no picture."""

    def __init__(self, *images: np.ndarray) -> None:
        self.images, self.count, self.is_closed = list(images), 0, False
        self.state = CameraState(True, 0.0)

    def latest(self, after: int = -1, timeout: float = 5.0) -> Frame | None:
        time.sleep(0.02)
        if not self.images:
            time.sleep(min(timeout, 0.2))
            return None
        self.count += 1
        return Frame(self.count, time.time(), self.images[self.count % len(self.images)])

    def close(self) -> None:
        self.is_closed = True


def seen(folder: Path) -> list[np.ndarray]:
    """The pictures of a folder as a camera shows them."""
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]


def events(port: int, until: Callable[[list[tuple[str, dict[str, Any]]]], bool]) -> list[tuple[str, dict[str, Any]]]:
    """Events of a server until they are enough."""
    found: list[tuple[str, dict[str, Any]]] = []
    ends = time.monotonic() + SECONDS
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        text = b""
        while not until(found):
            assert time.monotonic() < ends, found
            text += connection.recv(1 << 16)
            told = re.findall(rb"event: (\w+)\ndata: (.*)\n\n", text)
            found = [(kind.decode(), json.loads(data)) for kind, data in told]
    return found
