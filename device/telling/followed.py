"""The file of JSON lines that another process adds to, followed through rotation, truncation and half lines."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path

from edge_nusa.files import opening
from edge_nusa.files.os_errors import OtherKindError

TAIL_BYTES = 1 << 18
"""Of what is there at the start only the end is read: what is told is the newest."""
LONGEST_LINE_BYTES = 1 << 23
MOST_BYTES_A_LOOK = 1 << 24


class Followed:
    """A file by its name, which may not be there yet. What has its place is followed to its end before the file that
    took its name is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()
        self._descriptor: int | None = None
        self._place: tuple[int, int] | None = None
        self._offset, self._half, self._is_skipping, self._is_first = 0, b"", False, True

    def look(self) -> list[bytes]:
        """The whole lines that were added since the last look, without their ends; at the first look those of the
        file's end. Raises OtherKindError where the name is of no file, OSError where it cannot be read."""
        lines = self._more()
        if self._is_another():
            self.close()
            if self._open():
                lines += self._more()
        self._is_first = False
        return lines

    def close(self) -> None:
        """Let go of the file."""
        self._stack.close()
        self._descriptor, self._place = None, None
        self._offset, self._half, self._is_skipping = 0, b"", False

    def _is_another(self) -> bool:
        """Whether the name is of another file than is open, or none is open."""
        with suppress(FileNotFoundError):
            status = os.stat(self.path)
            return (status.st_dev, status.st_ino) != self._place
        return self._descriptor is None

    def _open(self) -> bool:
        try:
            self._descriptor = self._stack.enter_context(opening.opened_named(self.path))
        except FileNotFoundError:
            return False
        status = os.fstat(self._descriptor)
        self._place = status.st_dev, status.st_ino
        if self._is_first and status.st_size > TAIL_BYTES:
            self._offset, self._is_skipping = status.st_size - TAIL_BYTES, True
        return True

    def _more(self) -> list[bytes]:
        if self._descriptor is None:
            return []
        size = os.fstat(self._descriptor).st_size
        if size < self._offset:  # it was cut, and what is there now is new
            self._offset, self._half, self._is_skipping = 0, b"", False
        os.lseek(self._descriptor, self._offset, os.SEEK_SET)
        data = opening.read(self._descriptor, MOST_BYTES_A_LOOK)
        self._offset += len(data)
        *lines, half = (self._half + data).split(b"\n")
        if self._is_skipping and lines:
            lines, self._is_skipping = lines[1:], False
        self._half = half
        if len(half) > LONGEST_LINE_BYTES or (self._is_skipping and half):
            self._half, self._is_skipping = b"", True
        return [line for line in lines if line.strip() and len(line) <= LONGEST_LINE_BYTES]


__all__ = ["Followed", "OtherKindError"]
