"""Rows of numbers kept by the digest of what they were computed from, in a folder that several machines may share.

A store is a folder of parts, each with `digests.txt` (one SHA-256 in hex a row) and one raw little-endian file a
column. A part has one writer ever, which made its name, so that writers which do not see each other's locks (shared
folders) spoil nothing: at worst a row is there twice. Rows are written before their digests; what a killed writer left
beyond a part's last whole row is never read.
"""

from __future__ import annotations

import itertools
import logging
import math
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.files import durable
from edge_nusa.files.lock import Lock, waited_for

_log = logging.getLogger(__name__)
DIGEST = 64
"""Hex characters of a SHA-256; a line break follows."""
WHOLE_LINE = re.compile(rb"[0-9a-f]{64}\n")
PART = "part-"
Columns = Mapping[str, tuple[str, tuple[int, ...]]]


class Rows:
    """Several arrays (rows, *shape) as one, without copying them into memory: only what is asked for is read."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        """At least one part, all of one kind and shape of a row."""
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self.dtype, self.shape = parts[0].dtype, (int(self.starts[-1]), *parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Rows by number: one, or an array of them (B,), each from 0."""
        wanted = np.asarray(rows)
        flat = wanted.reshape(-1)
        found = np.empty((len(flat), *self.shape[1:]), self.dtype)
        which = np.searchsorted(self.starts, flat, side="right") - 1
        for number in np.unique(which).tolist():
            mine = which == number
            found[mine] = self.parts[number][flat[mine] - self.starts[number]]
        return found.reshape(*wanted.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate(self.parts).astype(dtype or self.dtype, copy=False)


class RowStore:
    """columns: name -> (NumPy dtype, shape of one row)."""

    def __init__(self, folder: Path, columns: Columns) -> None:
        self.folder, self.columns = folder, columns
        durable.make_folder(folder)
        self._mine: Path | None = None
        self._look()

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Those that have no row yet, each once, in order."""
        return [digest for digest in dict.fromkeys(digests) if digest not in self.place]

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Only one process appends at a time, where the folder has locks that all of them see; the others' rows are
        seen when it is entered."""
        lock = Lock(self.folder / "lock")
        try:
            lock.acquire(
                math.inf, lambda holder: _log.warning("waiting for %s, which fills %s", waited_for(holder), self.folder)
            )
        except OSError as error:
            _log.warning("%s: there are no locks here (%s); another may compute the same", self.folder, error.strerror)
        try:
            with durable.explained("open the feature cache"):
                self._look()
            self._mine = self.folder / f"{PART}{secrets.token_hex(8)}"
            yield
        finally:
            self._mine = None
            lock.release()

    def append(self, digests: Sequence[str], values: Mapping[str, np.ndarray]) -> None:
        """Add rows (len(digests), *shape) of every column; the caller holds `writer`."""
        assert self._mine is not None
        if not digests:
            return
        with durable.explained("write the feature cache"):
            durable.make_folder(self._mine)
            for name, (kind, shape) in self.columns.items():
                with (self._mine / name).open("ab") as file:
                    file.write(np.ascontiguousarray(values[name].reshape(len(digests), *shape), dtype=kind).tobytes())
            with (self._mine / "digests.txt").open("a") as file:
                file.writelines(f"{digest}\n" for digest in digests)
        for row, digest in enumerate(digests, start=sum(self._parts.values())):
            self.place.setdefault(digest, row)
        self._parts[self._mine] = self._parts.get(self._mine, 0) + len(digests)

    def read(self, name: str) -> np.ndarray | Rows:
        """All rows of a column, memory-mapped; row i belongs to the digest at `place` i."""
        kind, shape = self.columns[name]
        found = [
            np.memmap(part / name, dtype=kind, mode="r", shape=(rows, *shape)) for part, rows in self._parts.items()
        ]
        if not found:
            return np.zeros((0, *shape), kind)
        return Rows(found) if len(found) > 1 else found[0]

    def _look(self) -> None:
        """See what is there now: the parts with their whole rows."""
        found = {folder: self._digests(folder) for folder in sorted(self.folder.glob(f"{PART}*"))}
        self._parts = {folder: len(digests) for folder, digests in found.items() if digests}
        self.place = dict[str, int]()
        for row, digest in enumerate(itertools.chain.from_iterable(found.values())):
            self.place.setdefault(digest, row)

    def _digests(self, folder: Path) -> list[str]:
        path = folder / "digests.txt"
        data = path.read_bytes() if path.exists() else b""
        lines = (data[start : start + DIGEST + 1] for start in range(0, len(data), DIGEST + 1))
        # the row of a digest is its line's number, so nothing after a line that is not whole can be used
        found = [line[:-1].decode() for line in itertools.takewhile(WHOLE_LINE.fullmatch, lines)]
        whole = [
            (folder / name).stat().st_size // self._row_bytes(name) if (folder / name).exists() else 0
            for name in self.columns
        ]
        return found[: min([len(found), *whole])]

    def _row_bytes(self, name: str) -> int:
        kind, shape = self.columns[name]
        return int(np.dtype(kind).itemsize * np.prod(shape, dtype=np.int64))
