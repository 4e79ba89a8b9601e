"""A hub's list of devices or tokens: what an older list of its own may add, and how much of a file is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_nusa import kept
from edge_nusa.sync.hub.kept_list import KeptList


@dataclass(frozen=True)
class Entry:
    stem: str
    is_revoked: bool = False
    note: str = ""

    def encoded(self) -> bytes:
        return f"{self.stem} {int(self.is_revoked)} {self.note}".encode()

    def words(self) -> str:
        return self.stem


def decoded(data: bytes, path: Path) -> Entry:
    stem, is_revoked, note = data.decode().split(" ")
    return Entry(stem, is_revoked == "1", note)


@pytest.fixture
def entries(tmp_path: Path) -> KeptList[Entry]:
    return KeptList(tmp_path / "list", decoded, 20)


@pytest.mark.parametrize(
    ("known", "found", "left"),
    [
        (Entry("a"), Entry("a", note="older"), Entry("a")),
        (Entry("a"), Entry("a", True, "older"), Entry("a", True, "older")),
        (Entry("a", True), Entry("a", False, "older"), Entry("a", True)),
        (Entry("a", True), Entry("a", True, "older"), Entry("a", True)),
    ],
)
def test_an_older_list_adds_that_an_entry_is_revoked_and_nothing_else_of_it(
    entries: KeptList[Entry], known: Entry, found: Entry, left: Entry
) -> None:
    entries.write(Entry("0"))
    entries.write(known)
    entries.take("a.json", found.encoded())
    assert entries.all() == [Entry("0"), left]
    assert entries.files() == {"0.json": Entry("0").encoded(), "a.json": left.encoded()}


@pytest.mark.parametrize("is_revoked", [False, True])
def test_an_older_list_adds_what_is_missing_revoked_or_not(entries: KeptList[Entry], is_revoked: bool) -> None:
    assert entries.all() == [] and entries.files() == {}
    entries.take("a.json", Entry("a", is_revoked).encoded())
    entries.take("b.json", Entry("b").encoded())
    assert entries.all() == [Entry("a", is_revoked), Entry("b")]


def test_of_a_file_one_byte_more_than_an_entry_has_is_read_and_no_more(tmp_path: Path) -> None:
    seen: list[int] = []

    def noted(data: bytes, path: Path) -> Entry:
        seen.append(len(data))
        return Entry(path.stem)

    entries = KeptList(tmp_path, noted, 20)
    for size in (20, 21, 100):
        (tmp_path / f"{size:03}.json").write_bytes(b"x" * size)
    (tmp_path / "x.txt").write_bytes(b"no entry")
    assert [one.stem for one in entries.all()] == ["020", "021", "100"] and seen == [20, 21, 21]


def test_what_is_written_is_told(entries: KeptList[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(kept, "done", told.append)
    assert entries.write(Entry("a")) == Entry("a") and told == ["a"]
