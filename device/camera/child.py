"""The parent's side of a camera's child: started, asked for frames, ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np

from edge_nusa.child_environment import for_strangers
from edge_nusa.device.camera.frame import CameraSettings
from edge_nusa.device.camera.source import Source
from edge_nusa.errors import ResourceError

CHILD_BYTES = 64 << 20
"""What the child takes with a camera of 1920 x 1080 (docs/cameras.md)."""
LONGEST_LINE = 4096
END_SECONDS = 0.5
"""What a child that was killed may take to be gone; one that is stuck in its device's driver goes when that lets it."""


class Ended(Exception):
    """The child says nothing any more."""


class Child:
    """A running child. One thread reads its lines; any may ask and kill it."""

    def __init__(self, source: Source, settings: CameraSettings) -> None:
        """Raises ResourceError where the system gives no process or memory."""
        self._most_bytes, self._text = 3 * settings.most_side**2, b""
        shared: list[int] = []
        try:
            shared += [os.memfd_create("edge-nusa-frame")]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "edge_nusa.device.camera.capture_process", str(shared[0])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # where libraries would write an address with its password
                pass_fds=shared,
                bufsize=0,
                env=for_strangers(os.environ),
            )
        except OSError as error:
            for descriptor in shared:
                os.close(descriptor)
            raise ResourceError(
                f"{source.shown}: expected to start the process that reads a camera, found {error.strerror}; end other "
                "programs, or allow more processes and memory"
            ) from error
        self._pixels = shared[0]
        self.end = weakref.finalize(self, _ended, self._process, self._pixels)
        asked = {
            "kind": source.kind,
            "address": source.address,  # by a pipe: every user of a board may read the words of a command
            "seconds": settings.seconds,
            "most_side": settings.most_side,
            "most_pixels": settings.most_pixels,
            "silence": settings.silence,
            "repeats": settings.repeats,
        }
        self._write(json.dumps(asked, allow_nan=False).encode() + b"\n")

    def kill(self) -> None:
        """End it; who reads its lines sees that, and lets go of what was shared."""
        if self._process.poll() is None:
            self._process.kill()

    def want(self) -> None:
        """Ask for a frame."""
        self._write(b"want\n")

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # who reads its lines sees that it is gone
            self._process.stdin.write(data)

    def line(self, seconds: float) -> str | None:
        """The next line; None where none came within so many seconds. Raises Ended."""
        assert self._process.stdout is not None
        ends = time.monotonic() + seconds
        while b"\n" not in self._text:
            left = ends - time.monotonic()
            try:
                answers = select.poll()
                answers.register(self._process.stdout, select.POLLIN)
                if left <= 0 or not answers.poll(left * 1000):
                    return None
                more = self._process.stdout.read(LONGEST_LINE)
            except (OSError, ValueError):  # it was ended meanwhile
                more = b""
            if not more or len(self._text) > LONGEST_LINE:
                raise Ended
            self._text += more
        line, _, self._text = self._text.partition(b"\n")
        return line.decode(errors="replace")

    def frame(self, width: int, height: int) -> np.ndarray | None:
        """The pixels (H, W, 3) uint8 RGB that the child has just told of; None where it told nonsense."""
        size = 3 * width * height
        if not 0 < size <= self._most_bytes:
            return None
        image = np.empty((height, width, 3), np.uint8)
        view, at = memoryview(image.data).cast("B"), 0
        while at < size:
            found = os.preadv(self._pixels, [view[at:]], at)
            if not found:
                return None
            at += found
        image.flags.writeable = False
        return image

    def memory_bytes(self) -> int:
        """What the child has in memory now; 0 where that cannot be known."""
        with suppress(OSError, ValueError, IndexError):
            statm = Path(f"/proc/{self._process.pid}/statm").read_text()
            return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return 0


def _ended(process: subprocess.Popen[bytes], pixels: int) -> None:
    """End the child and give back what was shared with it."""
    if process.poll() is None:
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    with suppress(OSError):
        os.close(pixels)
