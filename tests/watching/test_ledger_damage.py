"""A ledger that is damaged, held, or cannot be written: each told as what it is, and a state's own is begun anew."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_nusa.device.watching import ledger as ledgers
from edge_nusa.device.watching.ledger import Ledger, Stamp
from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, ResourceError

DELETE = "delete it"
TABLE = "CREATE TABLE answered (path BLOB PRIMARY KEY, bytes INTEGER, changed_ns INTEGER) WITHOUT ROWID"
OTHERS = {
    "another table": ["CREATE TABLE answered (name TEXT)"],
    "a text for a path": [TABLE, "INSERT INTO answered VALUES ('text', 1, 2)"],
    "a text that is no Unicode": [TABLE, "INSERT INTO answered VALUES (CAST(x'ff' AS TEXT), 1, 2)"],
    "a number for a path": [TABLE, "INSERT INTO answered VALUES (5, 1, 2)"],
    "no size": [TABLE, "INSERT INTO answered VALUES (x'61', NULL, 2)"],
    "half a nanosecond": [TABLE, "INSERT INTO answered VALUES (x'61', 1, 2.5)"],
    "a text for a size": [TABLE, "INSERT INTO answered VALUES (x'61', 'many', 2)"],
}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.add({Path(f"/pictures/{number}.jpg"): Stamp(number, number) for number in range(200)})
    ledger.close()
    return path


def damaged(data: bytes, count: int) -> Iterator[bytes]:
    """Copies with some bits flipped, cut short, or with a stretch of other bytes."""
    rng = random.Random(0)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(min(len(changed), rng.choice((100, 4096, len(changed)))))] ^= 1 << rng.randrange(8)
        start = rng.randrange(len(changed))
        changed[start : start + rng.choice((0, 0, 4, 100))] = rng.randbytes(rng.choice((0, 4, 100)))
        yield bytes(changed[: rng.choice((len(changed), len(changed), rng.randrange(len(changed))))])


def test_whatever_a_ledger_holds_it_is_read_or_told_as_damage_and_a_state_begins_a_new_one(
    whole: Path, tmp_path: Path
) -> None:
    told = 0
    for number, data in enumerate(damaged(whole.read_bytes(), int(os.environ.get("EDGE_NUSA_FUZZ", "300")))):
        path = tmp_path / f"{number}.sqlite"
        path.write_bytes(data)
        try:
            Ledger(path).close()
        except EdgeNusaError as error:
            told += 1
            assert type(error) is DamagedError and DELETE in str(error) and len(str(error)) < 600, error
            assert path.exists(), "a ledger that someone named stays where it is"
        own = Ledger.own(path)
        own.add({Path("/pictures/new.jpg"): Stamp(1, 2)})
        assert own.has(Path("/pictures/new.jpg"), Stamp(1, 2))
        own.close()
        for left in tmp_path.glob(f"{number}.*"):
            left.unlink()
    assert told > 20


@pytest.mark.parametrize("words", OTHERS)
def test_a_database_of_another_kind_is_no_ledger(words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as rows, rows:
        for line in OTHERS[words]:
            rows.execute(line)
    data = path.read_bytes()
    with pytest.raises(DamagedError, match=r"expected a ledger of answered pictures, found .*; delete it"):
        Ledger(path)
    assert path.read_bytes() == data
    with caplog.at_level(logging.WARNING):
        assert len(Ledger.own(path)) == 0
    assert "it is ledger.sqlite.damaged now, and every picture in the folder is answered once more" in caplog.text
    assert (tmp_path / "ledger.sqlite.damaged").read_bytes() == data


def test_a_journal_of_the_old_one_is_not_played_back_into_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"no database" * 1000)
    for end in ("-journal", "-wal", "-shm"):
        (tmp_path / f"ledger.sqlite{end}").write_bytes(b"old")
    Ledger.own(path).close()
    assert sorted(os.listdir(tmp_path)) == ["ledger.sqlite", "ledger.sqlite.damaged"]


def test_a_ledger_that_another_watch_holds_is_not_set_aside(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "WAIT_SECONDS", 0.1)
    first = Ledger(whole)
    with pytest.raises(ResourceError, match="database is locked; .*: end the other `edge-nusa watch` of this folder"):
        Ledger.own(whole)
    first.close()
    assert len(Ledger.own(whole)) == 200


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        *((name, "end the other") for name in ("BUSY", "LOCKED", "PROTOCOL")),
        *((name, "free some space") for name in ("FULL", "IOERR", "CANTOPEN", "READONLY", "PERM", "AUTH", "NOLFS")),
        *((name, "free some space") for name in ("NOMEM", "INTERRUPT")),
        *((name, DELETE) for name in ("CORRUPT", "NOTADB", "FORMAT", "ERROR", "SCHEMA", "MISMATCH", "TOOBIG")),
    ],
)
def test_each_kind_of_error_has_its_advice(
    kind: str, advice: str, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(whole)
    error = sqlite3.OperationalError("it says no")
    # an extended code has its kind in the low byte
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{kind}") | 5 << 8
    raised = pytest.raises(DamagedError if advice == DELETE else ResourceError, match=f"found it says no.*{advice}")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with raised, ledger._explained():
        raise error


def test_an_error_whose_words_are_no_unicode_is_damage_too(whole: Path) -> None:
    with pytest.raises(DamagedError, match=DELETE), Ledger(whole)._explained():
        raise UnicodeDecodeError("utf-8", b"\xed", 0, 1, "invalid")


def test_a_header_of_a_later_sqlite_is_damage_and_no_lack_of_permission(whole: Path) -> None:
    data = bytearray(whole.read_bytes())
    data[18] = 3
    whole.write_bytes(data)
    with pytest.raises(DamagedError, match=DELETE):
        Ledger(whole)


def test_a_folder_that_takes_no_ledger_is_a_resource(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    with pytest.raises(InputError, match="ledger.sqlite: expected a regular file, found a folder; name another"):
        Ledger.own(tmp_path / "ledger.sqlite")
