"""Which files a watch has answered already, kept in SQLite so that a restart neither repeats nor forgets any.

A row is a path's bytes with the size and the time stamp that the answered file had; another size or time makes it a new
file. Times are only compared for equality, so a wrong clock does no harm. Rows of files that are gone stay for a while,
in case a stick or a share comes back; past MOST_ROWS they are dropped.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError
from edge_nusa.files import durable, opening
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.foreign import FAULTS, why
from edge_nusa.files.node import Node

WAIT_SECONDS = 5.0
_BESIDE = ("-journal", "-wal", "-shm")
_OTHER = "end the other `edge-nusa watch` of this folder"
_DISK = "free some space, and check the folder's permissions and its mount"
_REFUSALS = {
    **dict.fromkeys((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL), _OTHER),
    **dict.fromkeys((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN), _DISK),
    **dict.fromkeys((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH), _DISK),
    **dict.fromkeys((sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT), _DISK),
}
"""Kinds of SQLite's errors that are no damage, and what to do; every other one is."""
MOST_ROWS = 20_000
_log = logging.getLogger(__name__)


class Stamp(NamedTuple):
    """What a file looked like: its size in bytes and its time of change in nanoseconds."""

    bytes: int
    changed_ns: int

    @classmethod
    def of(cls, node: Node) -> Stamp:
        """The stamp of a file. A time that SQLite's 64 bits do not hold (from the year 2262) is taken modulo 2**64."""
        return cls(node.bytes, (node.changed_ns + 2**63) % 2**64 - 2**63)

    @classmethod
    def at(cls, path: Path) -> Stamp | None:
        """The file's stamp, by which a look sees whether it rests; None where it is gone or cannot be looked at. What
        is answered and deleted is decided by the file that is opened."""
        try:
            return cls.of(Node.of(os.stat(path)))
        except OSError:
            return None


LEFT_OUT = Stamp(-1, 0)
"""Stands for an entry that is no picture's file (a link out of the folder, a FIFO): it is said once."""


def default_path(state: Path, folder: Path) -> Path:
    """Where the ledger of a watched folder is: in the state's folder, one for each folder watched."""
    return state / f"watch-{sha256_hex(os.fsencode(folder.resolve()))[:16]}.sqlite"


class Ledger:
    """The answered files of one watched folder, in one SQLite file. One process at a time holds it."""

    def __init__(self, path: Path) -> None:
        """Raises ResourceError where another watch holds it or the disk refuses, DamagedError where it is no ledger."""
        self.path = path
        with durable.explained(f"make the folder of {path}"):
            durable.make_folder(path.parent)
        with durable.explained(f"open the ledger {path}"):
            opening.check_name(path)
        with self._explained():
            self._rows = sqlite3.connect(path, timeout=WAIT_SECONDS)
        try:
            self._answered = self._read()
            with suppress(PermissionError):  # on a mount that knows no users, or of another one's file
                os.chmod(path, durable.FILE_MODE)
        except EdgeNusaError:
            self._rows.close()
            raise

    @classmethod
    def own(cls, path: Path) -> Self:
        """The ledger of a state; one that is damaged is set aside with a warning, and a new one begun, as no picture
        is lost with it and a watch that stands still answers none. Raises ResourceError as `Ledger` does."""
        try:
            return cls(path)
        except DamagedError as error:
            aside = path.with_name(f"{path.name}.damaged")
            with durable.explained(f"set {path} aside"):
                os.replace(path, aside)
                for end in _BESIDE:  # a journal of the old one would be played back into the new one
                    path.with_name(path.name + end).unlink(missing_ok=True)
            _log.warning("%s; it is %s now, and every picture in the folder is answered once more", error, aside.name)
        return cls(path)

    def _read(self) -> dict[bytes, Stamp]:
        """What was answered, by path, after the lock was taken and the file looked through."""
        with self._explained():
            # the lock is taken with the first write and kept: two watches of one folder would answer everything twice
            self._rows.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._rows.execute("BEGIN EXCLUSIVE")
            self._rows.execute(
                "CREATE TABLE IF NOT EXISTS answered (path BLOB PRIMARY KEY, bytes INTEGER, changed_ns INTEGER) "
                "WITHOUT ROWID"
            )
            self._rows.commit()
            faults = self._rows.execute("PRAGMA quick_check(1)").fetchall()
            found = self._rows.execute("SELECT path, bytes, changed_ns FROM answered").fetchall()
            if faults != [("ok",)] or any(tuple(map(type, row)) != (bytes, int, int) for row in found):
                raise sqlite3.DatabaseError("other rows than a watch writes")
        return {path: Stamp(size, changed) for path, size, changed in found}

    def has(self, path: Path, stamp: Stamp) -> bool:
        """Whether this very file was answered."""
        return self._answered.get(os.fsencode(path)) == stamp

    def add(self, files: Mapping[Path, Stamp]) -> None:
        """Remember these as answered, all or none, synced."""
        rows = {os.fsencode(path): stamp for path, stamp in files.items()}
        with self._explained(), self._rows:
            self._rows.executemany(
                "INSERT OR REPLACE INTO answered VALUES (?, ?, ?)", [(path, *stamp) for path, stamp in rows.items()]
            )
        self._answered |= rows

    def forget_gone(self, paths: Collection[Path]) -> None:
        """Where there are more than MOST_ROWS, drop the rows of files that are not among `paths`."""
        if len(self._answered) <= MOST_ROWS:
            return
        there = {os.fsencode(path) for path in paths}
        gone = [path for path in self._answered if path not in there]
        if gone:
            with self._explained(), self._rows:
                self._rows.executemany("DELETE FROM answered WHERE path = ?", [(path,) for path in gone])
            for path in gone:
                del self._answered[path]

    def __len__(self) -> int:
        """How many files are remembered."""
        return len(self._answered)

    def close(self) -> None:
        """Let another process have it."""
        self._rows.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, *FAULTS) as error:  # its module fails to decode what a damaged file makes SQLite say
            # the low byte is the kind; an error without a number is of Python's own reading, or of ours
            kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            # a header of a later SQLite makes a file read-only that may well be written
            is_odd = kind == sqlite3.SQLITE_READONLY and os.access(self.path, os.W_OK)
            if kind not in _REFUSALS or is_odd:
                rule = f"{self.path}: expected a ledger of answered pictures, found {why(error)}"
                again = "delete it (every picture in the folder is then answered once more)"
                raise DamagedError(f"{rule}; {again}") from error
            found = f"expected to write the ledger of answered pictures, found {why(error)}"
            rule = f"{self.path}: {found}; the newest answers may come a second time"
            raise ResourceError(f"{rule}: {_REFUSALS[kind]}") from error
