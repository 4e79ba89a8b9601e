"""What ends the program from outside: a signal becomes an exit of its own kind. It may come in the middle of any
import, so nothing is imported or printed by the handler; `cli.ending` tells it, or `cli.main` where that is not
there yet."""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(SystemExit):
    """A signal came; the exit code is 128 and its number."""


def listen() -> None:
    """From now on each of SIGNALS raises Stopped."""
    for number in SIGNALS:
        signal.signal(number, _stop)


def let_go() -> None:
    """From now on a signal ends the process without a word, as nothing is left to be tidied up."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(128 + number)
