"""The child of a camera: opens it, reads it, and hands over a frame whenever one is asked for, until it ends.

It takes on limits before the first byte of a stranger: memory, size of files, no core dump. It ends with its parent.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from edge_nusa.device.camera.lost import Lost
from edge_nusa.device.camera.wishes import STUCK_SECONDS, Wishes, say

ROOM_BYTES = 320 << 20
"""Of memory beside what Python and the libraries take: 4K with five frames that others refer to takes 140 MiB."""
MOST_FILES = 64


def main() -> None:
    """Read the settings, then the camera."""
    pixels = int(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # its parent gets them too, and ends it
        signal.signal(number, signal.SIG_IGN)
    sys.excepthook = _unforeseen
    signal.alarm(STUCK_SECONDS)
    with suppress(OSError):  # should memory run out, this process goes first, and its parent can say so
        Path("/proc/self/oom_score_adj").write_text("1000")
    settings = json.loads(_first_line())
    wishes = Wishes(pixels)
    wishes.listen()
    try:
        _read(settings, wishes)
    except Lost as error:
        say(f"lost {error}")
    except MemoryError:
        say(f"lost expected a camera that can be read in {ROOM_BYTES >> 20} MiB, found one that needs more")
    else:
        say("over")
    sys.stdout.flush()
    os._exit(0)  # a library's threads may wait for ever


def _read(settings: dict[str, Any], wishes: Wishes) -> None:
    """Until it ends. Raises Lost."""
    if settings["kind"] == "picamera":
        from edge_nusa.device.camera import picamera

        say("ready")
        picamera.read(settings, wishes)
    else:
        from edge_nusa.device.camera import stream

        _take_limits(3 * settings["most_side"] ** 2)
        say("ready")
        stream.read(settings, wishes)


def _take_limits(frame_bytes: int) -> None:
    own = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_DATA, own + frame_bytes + ROOM_BYTES),
        (resource.RLIMIT_FSIZE, frame_bytes),  # what it shares with its parent; it makes no file
        (resource.RLIMIT_NOFILE, MOST_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def _unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody foresaw, without its text, which may hold an address."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "?"
    say(f"lost reading it ended in a way that nobody foresaw ({kind.__name__} at {where}); please report this line")
    os._exit(1)


def _first_line() -> bytes:
    """The settings, a byte at a time: what comes after them is for `Wishes`."""
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 1)
        if not more:
            os._exit(0)
        line += more
    return line


if __name__ == "__main__":
    main()
