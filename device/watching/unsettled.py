"""Pictures of a watched folder that are not at rest: which rest now, and which change at every look and are taken as
they are.

A file is complete when two looks found the same stamp. One that is written anew as often as the folder is looked at
would wait for ever, so after CHANGES changes it is copied: a copy counts where the file did not change meanwhile and
decodes whole.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_nusa.device.watching.ledger import Stamp
from edge_nusa.pictures.pictures import MAX_BYTES

CHANGES = 2
"""A file that was seen to change so many times, at one look after the other, is taken as it is."""
CHANGES_TOLD = 8
"""One that was still not to be had after so many is told of."""
LONGEST_WAIT = 8
"""Changes between two tries at most; the first tries come after 2, 4, 8 and 16 changes."""
TAKEN_A_LOOK = 4
SETTLE_SECONDS = 0.1
"""A copied file must not change for so long after it was read: a file that is being written does."""
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


@contextmanager
def copied(path: Path) -> Iterator[tuple[Path, Stamp] | str]:
    """(a copy that lives as long as the context, the stamp of what was copied); a reason where there is none.

    A file that was replaced while it was read counts, since what was opened is whole.
    """
    data, stamp = _read_at_rest(path) or (None, None)
    with ExitStack() as stack:
        found: tuple[Path, Stamp] | str = "it changed while it was read"
        if data is not None and stamp is not None:
            try:
                place = stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-nusa-"))
                copy = Path(place) / f"picture{path.suffix}"
                copy.write_bytes(data)
                found = copy, stamp
            except OSError as error:
                found = f"the temporary folder takes no copy: {error.strerror}; free it or set TMPDIR"
        yield found


def _read_at_rest(path: Path) -> tuple[bytes, Stamp] | None:
    """A regular file's bytes with its stamp, None where it changed around the reading, is too large or cannot be
    read."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode) or not 1 <= before.st_size <= MAX_BYTES:
                return None
            data = file.read(MAX_BYTES + 1)
            time.sleep(SETTLE_SECONDS)
            after = Stamp.of(os.fstat(file.fileno()))
    except OSError:
        return None
    return (data, after) if after == Stamp.of(before) and len(data) == after.bytes else None
