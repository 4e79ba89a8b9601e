"""Pictures of a watched folder that are not at rest: which rest now, and which change at every look and are taken as
they are.

A file is complete when two looks found the same stamp. One that is written anew as often as the folder is looked at
would wait for ever, so after CHANGES changes it is read as it is: that counts where the file did not change meanwhile
and decodes whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_nusa.device.watching.ledger import Stamp
from edge_nusa.errors import InputError
from edge_nusa.files.node import FileBytes, Node
from edge_nusa.files.opening import read
from edge_nusa.pictures.picture_file import MAX_BYTES, opened_picture

CHANGES = 2
"""A file that was seen to change so many times, at one look after the other, is taken as it is."""
CHANGES_TOLD = 8
"""One that was still not to be had after so many is told of."""
LONGEST_WAIT = 8
"""Changes between two tries at most; the first tries come after 2, 4, 8 and 16 changes."""
TAKEN_A_LOOK = 4
SETTLE_SECONDS = 0.1
"""Such a file must not change for so long after it was read: a file that is being written does."""
MOST_TOLD = 1000


@dataclass
class _Waiting:
    stamp: Stamp
    changes: int = 0
    next_try: int = CHANGES


class Unsettled:
    """The pictures that were seen and not answered yet."""

    def __init__(self) -> None:
        self._waiting: dict[Path, _Waiting] = {}
        self._told: set[Path] = set()

    def look(self, found: Mapping[Path, Stamp]) -> dict[Path, Stamp]:
        """Those of `found` that are as they were at the look before; all others wait, those that are gone no more."""
        ready, waiting = {}, {}
        for path, stamp in found.items():
            before = self._waiting.get(path)
            if before is None:
                waiting[path] = _Waiting(stamp)
            elif before.stamp == stamp:
                ready[path] = stamp
            else:
                waiting[path] = _Waiting(stamp, before.changes + 1, before.next_try)
        self._waiting = waiting
        return ready

    def put_back(self, ready: Mapping[Path, Stamp]) -> None:
        """These could not be answered now; they are ready again at the next look where they do not change."""
        self._waiting |= {path: _Waiting(stamp) for path, stamp in ready.items()}

    def due(self) -> list[Path]:
        """Those that have changed often enough to be taken as they are, a few, the longest waiting first."""
        due = [path for path, one in self._waiting.items() if one.changes >= one.next_try]
        return sorted(due, key=lambda path: -self._waiting[path].changes)[:TAKEN_A_LOOK]

    def changing(self) -> list[Path]:
        """All that were seen to change."""
        return [path for path, one in self._waiting.items() if one.changes]

    def answered(self, path: Path) -> None:
        """It waits no more; what comes under its name next is another picture."""
        self._waiting.pop(path, None)

    def failed(self, path: Path, changes_told: int = CHANGES_TOLD) -> bool:
        """It could not be taken and waits on; True where a person should be told now, which is once."""
        one = self._waiting[path]
        one.next_try = one.changes + min(max(one.changes, 1), LONGEST_WAIT)
        if one.changes < changes_told or path in self._told:
            return False
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told.add(path)
        return True


def at_rest(path: Path) -> FileBytes | None:
    """A picture's file that does not change around its reading; None where it does, is none, or cannot be read.

    A file that was replaced while it was read counts, since what was opened is whole.
    """
    try:
        with opened_picture(path) as descriptor:
            before = Node.of(os.fstat(descriptor))
            data = read(descriptor, MAX_BYTES)
            time.sleep(SETTLE_SECONDS)
            after = Node.of(os.fstat(descriptor))
    except (OSError, ValueError, InputError):
        return None
    return FileBytes(path, data, after) if after.is_like(before) and len(data) == after.bytes else None
