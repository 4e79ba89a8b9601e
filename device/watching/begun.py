"""Which picture is being opened now, in a small file beside the ledger: what is left there is a picture that ended the
process, and the next start sets it aside instead of ending by it again.

The mark is written before the picture is decoded and taken away after it, whatever came of it. It is not synced: a
killed process loses nothing of it. A mark of another run of the system (a power cut) may be chance, so that picture is
tried once more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from edge_nusa.device.watching.ledger import Stamp
from edge_nusa.files import durable
from edge_nusa.files.opening import opened_named, read

ENDING = ".begun"
MOST_BYTES = 8192
_BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Another one after each start of the system."""


class Mark(NamedTuple):
    """A picture that was begun: its path's bytes, its stamp, in which run of the system, and how often before."""

    path: bytes
    stamp: Stamp
    boot: str
    tries: int

    def to_bytes(self) -> bytes:
        """As it is in the file."""
        return f"{self.stamp.bytes} {self.stamp.changed_ns} {self.boot or '-'} {self.tries} ".encode() + self.path

    @classmethod
    def from_bytes(cls, data: bytes) -> Mark | None:
        """What `to_bytes` gave; None for anything else."""
        parts = data.split(b" ", 4)
        try:
            size, changed, boot, tries, path = *map(int, parts[:2]), parts[2].decode("ascii"), int(parts[3]), parts[4]
        except (ValueError, IndexError):
            return None
        return cls(path, Stamp(size, changed), boot, tries) if path else None


class Begun:
    """The mark of one ledger. One process at a time has it, as the ledger."""

    def __init__(self, ledger: Path) -> None:
        """Reads what a process before left. A mark that cannot be read or written is none: it ends nothing."""
        self._path = ledger.with_name(ledger.name + ENDING)
        self._boot, self._is_open = _boot(), True
        self._left = self._found()
        self._tries = {} if self._left is None else {(self._left.path, self._left.stamp): self._left.tries + 1}

    def killed(self) -> tuple[Path, Stamp] | None:
        """The picture that is to be set aside, once: it was being opened when the process was killed."""
        left, self._left = self._left, None
        if left is None or (left.boot != self._boot and left.tries == 0):
            return None
        return Path(os.fsdecode(left.path)), left.stamp

    def close(self) -> None:
        """Nothing is being opened any more, whatever a thread still does: the process ends by itself, or is asked
        to."""
        self._is_open = False
        self._put(b"")

    def begin(self) -> None:
        """From now on there may be marks again."""
        self._is_open = True

    @contextmanager
    def marked(self, path: Path, stamp: Stamp) -> Iterator[None]:
        """This picture is being opened as long as the block lasts."""
        key = (os.fsencode(path), stamp)
        self._write(Mark(*key, self._boot, self._tries.get(key, 0)).to_bytes())
        try:
            yield
        finally:
            self._write(b"")

    def _found(self) -> Mark | None:
        with suppress(OSError, ValueError), opened_named(self._path) as descriptor:
            return Mark.from_bytes(read(descriptor, MOST_BYTES))
        return None

    def _write(self, data: bytes) -> None:
        if self._is_open:
            self._put(data)

    def _put(self, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with suppress(OSError):
            descriptor = os.open(self._path, flags, durable.FILE_MODE)
            try:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, data, 0)
            finally:
                os.close(descriptor)


def _boot() -> str:
    with suppress(OSError, ValueError):
        return _BOOT.read_text().strip()
    return ""
