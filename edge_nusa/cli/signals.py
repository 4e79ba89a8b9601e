"""What ends the program from outside: a signal becomes an exit of its own kind. It may come in the middle of any
import, so nothing is imported or printed by the handler; `cli.ending` tells it, or `cli.main` where that is not
there yet."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 1.0
"""What a command has to tidy up after a signal, before the process is ended whatever it does."""


_before_end: list[Callable[[], None]] = []


class Stopped(SystemExit):
    """A signal came; the exit code is 128 and its number."""


def listen() -> None:
    """From now on each of SIGNALS raises Stopped."""
    for number in SIGNALS:
        signal.signal(number, _stop)


def guard(last_words: Callable[[], str]) -> None:
    """From now on a signal ends the process within GRACE_SECONDS, also while it is in code of a library that lets
    Python do nothing: an endless graph, a database's lock, a connection that is silent.

    What is cut off so is as after any kill: the state is whole. last_words: what is then said on stderr.
    Where the system gives no more threads or descriptors it is as without.
    """
    import threading

    ends: tuple[int, ...] = ()
    try:
        ends = os.pipe()
        os.set_blocking(ends[1], False)
        threading.Thread(target=_end_after, args=(ends[0], last_words), name="edge-nusa-signals", daemon=True).start()
    except (OSError, RuntimeError):
        for descriptor in ends:
            os.close(descriptor)
        return
    signal.set_wakeup_fd(ends[1], warn_on_full_buffer=False)


def _end_after(descriptor: int, last_words: Callable[[], str]) -> None:
    """In a thread: wait for a signal's number, then for its grace, and end the process."""
    import time

    while (number := os.read(descriptor, 1)[0]) not in SIGNALS:
        pass
    time.sleep(GRACE_SECONDS)
    try:
        for action in _before_end:
            action()
        os.set_blocking(2, False)  # nobody may read it
        os.write(2, f"edge-nusa: {last_words()}\n".encode(errors="backslashreplace"))
    finally:
        os._exit(128 + number)


def before_end(action: Callable[[], None]) -> None:
    """From now on `guard` does this first, in its own thread, before it ends the process."""
    _before_end.append(action)


def let_go() -> None:
    """From now on a signal ends the process without a word, as nothing is left to be tidied up."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(128 + number)
