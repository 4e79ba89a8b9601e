"""The child of `apart`: decodes the pictures that it is asked for, one after another, until nobody asks any more.

It ends itself by the limits that it takes on before the first picture: memory beside what it has itself, and for each
picture seconds of processor.
"""

from __future__ import annotations

import io
import os
import resource
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.memory import give_back
from edge_nusa.pictures.bounds import DECODE_FAULTS, Bounds
from edge_nusa.pictures.decoding import decode_reason, upright

ROWS = 256
"""Pixels are handed over so many rows at a time: a copy of them all would be as large again."""
LARGE = 4_000_000
"""Pixels from which on freed memory is handed back to the system after a picture."""
SLACK_BYTES = 32 << 20
"""Beside a picture's room, for modules that its kind needs."""


def main() -> None:
    """Answer each line of stdin."""
    asked, found, seconds = map(int, sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # its parent gets them too, and ends it
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):  # should memory run out, this process goes first, and its parent can say so
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = _data_bytes()
    warnings.simplefilter("ignore")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        size, max_pixels, least_side, room = map(int, line.split())
        _limit(resource.RLIMIT_DATA, own + room + SLACK_BYTES)
        _limit(resource.RLIMIT_CPU, int(sum(os.times()[:2])) + 1 + seconds)
        answer = _answer(os.pread(asked, size, 0), found, Bounds(max_pixels, least_side or None, room))
        sys.stdout.write(answer.replace("\n", " ") + "\n")
        sys.stdout.flush()


def _answer(data: bytes, found: int, bounds: Bounds) -> str:
    """The line for a picture of these bytes; its pixels are written to `found`."""
    try:
        image = upright(io.BytesIO(data), bounds)
        _hand_over(image, found)
    except InputError as error:
        return f"no {error}"
    except DECODE_FAULTS as error:
        return f"no {decode_reason(error) or 'expected a readable picture, found ' + str(error)[:100]}"
    width, height = image.size
    del image
    if width * height > LARGE:
        give_back()
    return f"ok {width} {height}"


def _hand_over(image: Image.Image, found: int) -> None:
    """Write the pixels (H, W, 3) of 8 bits, row after row."""
    at = 0
    for top in range(0, image.height, ROWS):
        rows = image.crop((0, top, image.width, min(top + ROWS, image.height))).tobytes()
        at += os.pwrite(found, rows, at)


def _limit(kind: int, most: int) -> None:
    """Take on a limit, as far as the system lets it."""
    hard = resource.getrlimit(kind)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _data_bytes() -> int:
    """What RLIMIT_DATA counts of this process now: its private memory that can be written."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
