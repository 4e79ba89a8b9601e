"""The child's side of the talk with its parent: what is asked for on stdin, what is answered on stdout.

The parent writes one line of settings, then a line "want" for each frame but the first. The child answers "ready",
"open" when the camera is, then "alive GAP" a few times a second while data come, "frame WIDTH HEIGHT TAKEN" when the
pixels of a frame that was asked for lie in the shared memory, and last of all "over" or "lost REASON". It writes no
pixels unless it was asked, so that the parent may read them in peace, and nothing queues up.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable

ALIVE_SECONDS = 0.4
STUCK_SECONDS = 120
"""A child that did nothing for so long is ended by the system, should its parent not do it."""
_AT_MOST = 65536


class Wishes:
    """Whether a frame is asked for, and since when none was."""

    def __init__(self, pixels: int) -> None:
        """pixels: the descriptor of the shared memory."""
        self._pixels, self._line = pixels, threading.Event()
        self._asked, self._told = time.monotonic(), 0.0
        self.is_wanted = True  # the first frame shows that the camera works

    def listen(self) -> None:
        """From now on lines are read; the end of stdin, which is the end of the parent, ends this process."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while os.read(0, _AT_MOST):
            self._asked, self.is_wanted = time.monotonic(), True
            self._line.set()
        os._exit(0)

    def wait(self, seconds: float) -> None:
        """Sleep for so long, or until a frame is asked for."""
        if self._line.wait(seconds):
            self._line.clear()

    @property
    def idle(self) -> float:
        """Seconds since a frame was asked for or given; 0 while one is waited for."""
        return 0.0 if self.is_wanted else time.monotonic() - self._asked

    def begin(self) -> None:
        """The camera is open: the time until now counts for nothing."""
        self._asked = time.monotonic()
        say("open")

    def alive(self, gap: float) -> None:
        """Data came; gap: seconds until the next picture may come."""
        now = time.monotonic()
        if now - self._told >= ALIVE_SECONDS:
            self._told = now
            signal.alarm(STUCK_SECONDS)
            say(f"alive {gap:.3f}")

    def give(self, rows: Iterable[bytes | memoryview], width: int, height: int, taken: float) -> None:
        """Hand over a frame that was asked for, as rows of RGB."""
        at = 0
        for row in rows:
            at += os.pwrite(self._pixels, row, at)
        self._asked, self.is_wanted = time.monotonic(), False  # it may have been waited for long
        say(f"frame {width} {height} {taken:.6f}")


def say(line: str) -> None:
    """A line for the parent; where it is gone, this process ends."""
    try:
        sys.stdout.write(line.replace("\n", " ") + "\n")
        sys.stdout.flush()
    except OSError:
        os._exit(0)
