"""Rows of numbers kept by the digest of what they were computed from: append-only files that a killed run leaves
usable.

A store is a folder with `digests.txt` (one SHA-256 in hex a row) and one raw little-endian file a column. Rows are
written before their digests; what a killed writer left beyond the last whole row is cut off at the next opening.
"""

from __future__ import annotations

import itertools
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edge_nusa.files import durable
from edge_nusa.files.lock import Lock, waited_for

_log = logging.getLogger(__name__)
DIGEST = 64
"""Hex characters of a SHA-256; a line break follows."""
WHOLE_LINE = re.compile(rb"[0-9a-f]{64}\n")
Columns = Mapping[str, tuple[str, tuple[int, ...]]]


class RowStore:
    """columns: name -> (NumPy dtype, shape of one row)."""

    def __init__(self, folder: Path, columns: Columns) -> None:
        self.folder, self.columns = folder, columns
        durable.make_folder(folder)
        self.place = {digest: index for index, digest in enumerate(self._digests())}

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Those that have no row yet, each once, in order."""
        return [digest for digest in dict.fromkeys(digests) if digest not in self.place]

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Only one process appends at a time; the others' rows are seen when it is entered."""
        lock = Lock(self.folder / "lock")
        with durable.explained("lock the feature cache"):
            lock.acquire(
                math.inf, lambda holder: _log.warning("waiting for %s, which fills %s", waited_for(holder), self.folder)
            )
        try:
            with durable.explained("open the feature cache"):
                digests = self._digests()
                self._cut(len(digests))
            self.place = {digest: index for index, digest in enumerate(digests)}
            yield
        finally:
            lock.release()

    def append(self, digests: Sequence[str], values: Mapping[str, np.ndarray]) -> None:
        """Add rows (len(digests), *shape) of every column; the caller holds `writer`."""
        with durable.explained("write the feature cache"):
            for name, (kind, shape) in self.columns.items():
                with (self.folder / name).open("ab") as file:
                    file.write(np.ascontiguousarray(values[name].reshape(len(digests), *shape), dtype=kind).tobytes())
            with (self.folder / "digests.txt").open("a") as file:
                file.writelines(f"{digest}\n" for digest in digests)
        start = len(self.place)
        self.place |= {digest: start + index for index, digest in enumerate(digests)}

    def read(self, name: str) -> np.ndarray:
        """All rows of a column, memory-mapped; row i belongs to the digest at `place` i."""
        kind, shape = self.columns[name]
        if not self.place:
            return np.zeros((0, *shape), kind)
        return np.memmap(self.folder / name, dtype=kind, mode="r", shape=(len(self.place), *shape))

    def _digests(self) -> list[str]:
        path = self.folder / "digests.txt"
        data = path.read_bytes() if path.exists() else b""
        lines = (data[start : start + DIGEST + 1] for start in range(0, len(data), DIGEST + 1))
        # the row of a digest is its line's number, so nothing after a line that is not whole can be used
        found = [line[:-1].decode() for line in itertools.takewhile(WHOLE_LINE.fullmatch, lines)]
        whole = [
            (self.folder / name).stat().st_size // self._row_bytes(name) if (self.folder / name).exists() else 0
            for name in self.columns
        ]
        return found[: min([len(found), *whole])]

    def _cut(self, rows: int) -> None:
        for name, size in [*((name, self._row_bytes(name)) for name in self.columns), ("digests.txt", DIGEST + 1)]:
            path = self.folder / name
            if path.exists() and path.stat().st_size > rows * size:
                with path.open("r+b") as file:
                    file.truncate(rows * size)

    def _row_bytes(self, name: str) -> int:
        kind, shape = self.columns[name]
        return int(np.dtype(kind).itemsize * np.prod(shape, dtype=np.int64))
