"""Decodes strangers' pictures in a process of its own, with limits of time and memory, that takes one after another.

Parent and child share two files in memory: the picture's bytes go into one, its pixels come out of the other. A line
"bytes max_pixels least_side room" on the child's stdin asks for a picture, a line on its stdout answers with
"ok width height" or "no" and the reason. What ends the child ends no more than that picture: the next one has a new
child.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from PIL import Image

from edge_nusa.child_environment import for_strangers
from edge_nusa.errors import InputError, ResourceError
from edge_nusa.pictures.bounds import Bounds

PROCESSOR_SECONDS = 20
"""Of one picture; one that costs a second on a fast core takes about ten on a Raspberry Pi Zero 2."""
SECONDS = 120
"""Of one picture by the clock, on a board that is busy with other things."""
CHILD_BYTES = 40 << 20
"""What the child takes beside a picture (measured: 36 MiB with Pillow and numpy)."""
LONGEST_LINE = 4096
READY, TRIES = "ready", 2
"""What a child says first; and how often a picture is tried whose child was ended, as by a system short of memory."""
KEPT_BYTES = 4 << 20
"""Of a shared file, for the next picture: made anew each time it costs as much as copying."""
_REPLACE = "look at it, and replace or remove it"


class TimeLimits(NamedTuple):
    """Seconds that one picture may take: of the processor, and by the clock."""

    processor: int = PROCESSOR_SECONDS
    clock: float = SECONDS


TIME_LIMITS = TimeLimits()


class Apart:
    """Reads an open file's picture as `decoding.upright` does, in a child that starts with the first or with `start`.

    One thread at a time may read; `interrupt` and `close` may be called by another.
    """

    def __init__(self, limits: TimeLimits = TIME_LIMITS) -> None:
        self.limits = limits
        self._child: _Child | None = None

    def start(self) -> None:
        """Start the child where none runs, without waiting for it. Raises ResourceError where there can be none."""
        if self._child is None or not self._child.is_alive():
            self.interrupt()
            self._child = _Child(self.limits)

    def __call__(self, file: BinaryIO, bounds: Bounds) -> Image.Image:
        """Raises InputError, without the file's name, where there is no picture within `bounds` and the limits."""
        data, tries = file.read(), 0
        while True:
            self.start()
            child, tries = self._child, tries + 1
            assert child is not None
            try:
                return child.decoded(data, bounds)
            except _Ended:
                reason = child.ending(bounds.room)
                if tries == TRIES or not child.may_be_chance:
                    raise InputError(reason) from None

    def interrupt(self) -> None:
        """End the child, and with it what is being decoded."""
        if self._child is not None:
            self._child.end()

    close = interrupt


class _Ended(Exception):
    """The child gives no answer any more."""


class _Child:
    """A running child with the files that it shares with this process."""

    def __init__(self, limits: TimeLimits) -> None:
        self._limits, self._is_late, self._is_ready, self.may_be_chance = limits, False, False, False
        words = [sys.executable, "-P", "-m", "edge_nusa.pictures.decoder_process"]
        shared: list[int] = []
        try:
            shared += [os.memfd_create("edge-nusa-asked")]
            shared += [os.memfd_create("edge-nusa-found")]
            self._process = subprocess.Popen(
                [*words, *map(str, shared), str(limits.processor)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=shared,
                bufsize=0,
                env={**for_strangers(os.environ), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        except OSError as error:
            _closed(shared)
            raise ResourceError(
                f"expected to start the process that decodes pictures, found {error.strerror}; end other programs, or "
                "allow more processes and memory"
            ) from error
        self._asked, self._found = shared
        self.end = weakref.finalize(self, _ended, self._process, (self._asked, self._found))

    def is_alive(self) -> bool:
        return self.end.alive and self._process.poll() is None

    def decoded(self, data: bytes, bounds: Bounds) -> Image.Image:
        """The picture. Raises InputError with the child's reason, _Ended where it gave none."""
        assert self._process.stdin is not None
        self._begin()
        try:
            _written(self._asked, data)
            asked = f"{len(data)} {bounds.max_pixels} {bounds.least_side or 0} {bounds.room}\n"
            self._process.stdin.write(asked.encode())
        except BrokenPipeError:
            raise _Ended from None
        except (OSError, ValueError) as error:
            if not self.end.alive:  # interrupted
                raise _Ended from None
            raise ResourceError(f"expected memory for a picture of {len(data)} bytes, found {error}") from error
        word, _, rest = self._answer().partition(" ")
        if len(data) > KEPT_BYTES:
            os.ftruncate(self._asked, 0)
        if word != "ok":
            raise InputError(rest or "expected a whole picture, found nothing; replace it")
        width, height = map(int, rest.split())
        with mmap.mmap(self._found, 3 * width * height, mmap.MAP_SHARED, mmap.PROT_READ) as pixels:
            image = Image.frombytes("RGB", (width, height), pixels)  # type: ignore[arg-type]  # any buffer will do
        if 3 * width * height > KEPT_BYTES:
            os.ftruncate(self._found, 0)
        return image

    def _begin(self) -> None:
        """Wait for the child to say that it is ready. Raises ResourceError where it could not even begin."""
        if self._is_ready:
            return
        try:
            self._is_ready = self._answer() == READY
        except _Ended:
            if not self.end.alive:  # interrupted
                raise
        if not self._is_ready:
            self.end()
            raise ResourceError(
                "expected the process that decodes pictures to begin, found that it ended or said nothing "
                f"(code {self._process.returncode}); end other programs, or install edge-nusa again"
            )

    def _answer(self) -> str:
        """The child's line. Raises _Ended where none comes in time."""
        assert self._process.stdout is not None
        ends, line = time.monotonic() + self._limits.clock, b""
        while not line.endswith(b"\n"):
            left, is_there = ends - time.monotonic(), False
            try:
                answers = select.poll()  # which, other than `select`, has no largest descriptor
                answers.register(self._process.stdout, select.POLLIN)
                is_there = left > 0 and bool(answers.poll(left * 1000))
                more = self._process.stdout.read(LONGEST_LINE) if is_there else b""
            except (OSError, ValueError):  # interrupted
                more = b""
            self._is_late = left <= 0 or not is_there
            if not more:
                raise _Ended
            line += more
        return line.decode(errors="replace").strip()

    def ending(self, room: int) -> str:
        """Why no answer came, as a reason to set the picture aside; the child is ended."""
        was_alive = self.end.alive
        self.end()
        code = self._process.returncode
        self.may_be_chance = was_alive and not self._is_late and code != -signal.SIGXCPU
        if self._is_late:
            found = f"expected a picture that is decoded within {self._limits.clock:g} s, found one that is not"
        elif code == -signal.SIGXCPU:
            found = f"expected a picture that takes at most {self._limits.processor} s of processor, found more"
        elif not was_alive:
            found = "expected a whole picture, found that its decoding was interrupted"
        else:
            by = f"signal {-code}" if code is not None and code < 0 else f"code {code}"
            found = (
                f"expected a picture that can be decoded in {room >> 20} MiB, found one that ended its decoder ({by})"
            )
        return f"{found}; {_REPLACE}"


def _written(descriptor: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, memoryview(data)[done:], done)


def _ended(process: subprocess.Popen[bytes], descriptors: tuple[int, ...]) -> None:
    """End the child and give back what was shared with it."""
    code = process.poll()
    if code is None:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    _closed(descriptors)


def _closed(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
