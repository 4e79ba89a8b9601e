"""A file of JSON lines that is only ever added to: cut lines of a killed process are removed, and rotation is no
problem."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from edge_nusa.files import durable, opening

_BLOCK_BYTES = 1 << 16


class JsonLines:
    """Adds JSON objects to `path`, one a line, ASCII. The file is opened for every line, so it may be moved away at
    any time.

    The file and the folders that it lacks follow the umask, as its user asked for them.
    """

    def __init__(self, path: Path) -> None:
        """Cuts off a last line without its end. Raises ResourceError or InputError where the disk refuses."""
        self.path = path
        with durable.explained(f"write {path}"):
            durable.make_folder(path.absolute().parent, durable.ASKED_FOLDER_MODE)
            _cut_last_line(path)

    def write(self, line: dict[str, Any]) -> None:
        """Add one. Raises ResourceError or InputError where the disk refuses."""
        data = (json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n").encode()
        with durable.explained(f"write {self.path}"):
            durable.append_file(self.path, data, durable.ASKED_FILE_MODE)

    def sync(self) -> None:
        """What was written survives a power cut. Raises as `write`."""
        flags = os.O_WRONLY | os.O_CREAT
        with (
            durable.explained(f"write {self.path}"),
            opening.opened_to_change(self.path, flags, durable.ASKED_FILE_MODE) as descriptor,
        ):
            os.fsync(descriptor)


def _cut_last_line(path: Path) -> None:
    if opening.mode_of(path) is None:
        return
    with opening.opened_to_change(path, os.O_RDWR, 0) as descriptor:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK_BYTES)
            os.lseek(descriptor, start, os.SEEK_SET)
            newline = opening.read(descriptor, end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        os.ftruncate(descriptor, end)
