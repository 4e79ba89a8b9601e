"""A folder in the temporary folder that does not stay: its maker removes it, or, where that was killed, the next one.

A maker holds a lock on its folder, which the system lets go of with the process. Whoever makes the next one removes
those of this user that nobody holds and that are older than a minute, so that one just being made is left alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_nusa.files import durable

PREFIX = "edge-nusa-kept-"
OLD_SECONDS = 60


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder, for this user only, that is gone with the block. Raises ResourceError, InputError where there is
    none to be had."""
    with durable.explained("make a temporary folder (TMPDIR chooses where)"):
        root = Path(tempfile.gettempdir())
        sweep(root)
        made = tempfile.TemporaryDirectory(prefix=PREFIX, dir=root, ignore_cleanup_errors=True)
    with made as name:
        held = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # a file system without locks: the folder is swept by nobody
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(held)


def sweep(root: Path) -> None:
    """Remove what killed processes of this user left, as far as the disk allows."""
    with suppress(OSError):
        for entry in os.scandir(root):
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                _remove_if_left(Path(entry.path))


def _remove_if_left(path: Path) -> None:
    with suppress(OSError):
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            found = os.fstat(held)
            if found.st_uid != os.geteuid() or abs(time.time() - found.st_mtime) < OLD_SECONDS:
                return
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(held)
