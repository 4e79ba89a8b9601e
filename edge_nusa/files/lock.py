"""A lock that one process at a time holds, by flock on a file: the system lets go of it, whatever ends the process.

flock alone, and no marker where a file system lacks it: a marker outlives a killed process and then locks everybody
out. The file stays when the lock is let go, is never written, and is no link.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PAUSE_SECONDS = 0.05
"""Between two tries."""
SAID_AFTER_SECONDS = 1.0
"""From when on a wait is worth a word: most locks are let go before a person has looked."""
FILE_MODE = 0o600
LOCKS = Path("/proc/locks")
"""Where Linux says who holds what."""


class Lock:
    """The lock of the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(
        self, timeout_seconds: float = 0.0, on_wait: Callable[[int | None], None] = lambda holder: None
    ) -> bool:
        """Whether this process holds it now; tried again until so many seconds are over.

        on_wait: told once, after SAID_AFTER_SECONDS, the process that holds it (None: not known).
        Raises OSError where the system gives no lock, or the path is no plain file.
        """
        begun = time.monotonic()
        is_said = False
        while not self._is_acquired():
            waited = time.monotonic() - begun
            if waited >= timeout_seconds:
                return False
            if waited >= SAID_AFTER_SECONDS and not is_said:
                is_said = True
                on_wait(self.holder())
            time.sleep(PAUSE_SECONDS)
        return True

    def holder(self) -> int | None:
        """The process that holds the lock, by /proc/locks; None where that is not to be known, such as on another
        machine of a shared folder."""
        try:
            status = os.stat(self.path)
            rows = [row.split() for row in LOCKS.read_text().splitlines()]
        except OSError:
            return None
        held = [(row[4], row[5]) for row in rows if len(row) == 8 and row[1] == "FLOCK"]
        ours = [int(pid) for pid, file in held if file.rpartition(":")[2] == str(status.st_ino)]
        # an overlay says another device than the file system below it: one lock of this inode is enough to know it
        return ours[0] if len(ours) == 1 and ours[0] > 0 else None

    def release(self) -> None:
        """Let go of it; nothing where it is not held, or where the system says that it cannot, as it has then gone
        already."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _closed(descriptor)

    def _is_acquired(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, FILE_MODE)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EISDIR, "no plain file", str(self.path))
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # a restored backup may have put another file there meanwhile, whose lock others take
            if os.stat(self.path).st_ino == os.fstat(descriptor).st_ino:
                self._descriptor = descriptor
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            if self._descriptor != descriptor:
                _closed(descriptor)
        return False


def waited_for(holder: int | None) -> str:
    """Who is waited for, as people are told it."""
    if holder == os.getpid():
        return "another task of this edge-nusa"
    return "another edge-nusa" + (f", pid {holder}" if holder is not None else "")


def _closed(descriptor: int) -> None:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    with suppress(OSError):
        os.close(descriptor)
