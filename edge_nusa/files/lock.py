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
from contextlib import suppress
from pathlib import Path

PAUSE_SECONDS = 0.05
"""Between two tries."""
FILE_MODE = 0o600


class Lock:
    """The lock of the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, timeout_seconds: float = 0.0) -> bool:
        """Whether this process holds it now; tried again until so many seconds are over.

        Raises OSError where the system gives no lock, or the path is no plain file.
        """
        end = time.monotonic() + timeout_seconds
        while not self._is_acquired():
            if time.monotonic() >= end:
                return False
            time.sleep(PAUSE_SECONDS)
        return True

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


def _closed(descriptor: int) -> None:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    with suppress(OSError):
        os.close(descriptor)
