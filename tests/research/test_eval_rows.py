"""The row store: rows found by digest, whatever byte a killed writer stopped at, and with other writers about."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_nusa.research.data import rows
from edge_nusa.research.data.rows import Rows, RowStore

COLUMNS = {"embedding": ("<f4", (3,)), "tokens": ("<f2", (2, 2))}


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def values(numbers: Sequence[int]) -> dict[str, np.ndarray]:
    """Rows that can be told apart: each holds its number, and its number and a half."""
    wide = np.array(numbers, np.float64)[:, None]
    return {
        "embedding": np.tile(wide, 3).astype(np.float32),
        "tokens": np.tile(wide + 0.5, 4).reshape(-1, 2, 2).astype(np.float16),
    }


def add(store: RowStore, numbers: Sequence[int]) -> None:
    with store.writer():
        wanted = [
            number for number in numbers if digest(number) in store.missing([digest(number) for number in numbers])
        ]
        store.append([digest(number) for number in wanted], values(wanted))


def check(store: RowStore, numbers: Sequence[int]) -> None:
    """Every number is there, in every column, at its digest's place."""
    for name in COLUMNS:
        found = store.read(name)
        assert len(found) >= len(store.place)
        for number in numbers:
            assert np.array_equal(found[store.place[digest(number)]], values([number])[name][0]), (name, number)


def part(folder: Path) -> Path:
    """The only part of a store."""
    [found] = folder.glob("part-*")
    return found


def lines(folder: Path) -> int:
    """How many rows all parts of a store say they have."""
    return sum(path.stat().st_size // 65 for path in folder.glob("part-*/digests.txt"))


def test_rows_come_back_by_digest_in_this_process_and_in_the_next(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "store", COLUMNS)
    assert store.read("embedding").shape == (0, 3)
    add(store, [5, 1, 9])
    add(store, [2])
    for opened in (store, RowStore(tmp_path / "store", COLUMNS)):
        check(opened, [1, 2, 5, 9])
        assert opened.missing([digest(7), digest(1), digest(7), digest(3)]) == [digest(7), digest(3)]
        assert opened.read("tokens").dtype == np.float16 and opened.read("tokens").shape == (4, 2, 2)


@pytest.mark.parametrize("name", ["digests.txt", *COLUMNS])
def test_a_store_cut_at_any_byte_of_any_file_keeps_its_whole_rows_and_goes_on(name: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    add(RowStore(whole, COLUMNS), [0, 1, 2])
    size = (part(whole) / name).stat().st_size
    for length in range(size + 1):
        folder = Path(shutil.copytree(whole, tmp_path / f"cut{length}"))
        with (part(folder) / name).open("r+b") as file:
            file.truncate(length)
        store = RowStore(folder, COLUMNS)
        kept = length // (size // 3)
        assert store.missing([digest(number) for number in range(3)]) == [digest(number) for number in range(kept, 3)]
        check(store, range(kept))
        add(store, [7, 8])
        add(store, [0, 1, 2])
        check(store, [0, 1, 2, 7, 8])
        check(RowStore(folder, COLUMNS), [0, 1, 2, 7, 8])
        assert RowStore(folder, COLUMNS).missing([digest(number) for number in (0, 1, 2, 7, 8)]) == []


def test_a_missing_file_is_an_empty_store_that_fills_again(tmp_path: Path) -> None:
    for name in ("digests.txt", *COLUMNS):
        folder = tmp_path / name
        add(RowStore(folder, COLUMNS), [0, 1])
        (part(folder) / name).unlink()
        store = RowStore(folder, COLUMNS)
        assert store.place == {}
        add(store, [3, 0])
        check(RowStore(folder, COLUMNS), [0, 3])


def test_a_line_that_is_no_digest_ends_what_is_read(tmp_path: Path) -> None:
    add(RowStore(tmp_path, COLUMNS), [0, 1, 2])
    path = part(tmp_path) / "digests.txt"
    before = path.read_bytes()
    path.write_bytes(before[:65] + b"\0" * 65 + before[130:])
    store = RowStore(tmp_path, COLUMNS)
    assert list(store.place) == [digest(0)]
    add(store, [1, 2])
    check(RowStore(tmp_path, COLUMNS), [0, 1, 2])


def test_a_second_writer_sees_what_the_first_wrote_and_repeats_none_of_it(tmp_path: Path) -> None:
    first, second = RowStore(tmp_path, COLUMNS), RowStore(tmp_path, COLUMNS)
    add(first, [0, 1])
    assert digest(0) not in second.place
    add(second, [1, 2])
    check(second, [0, 1, 2])
    check(first, [0, 1])
    add(first, [3])
    check(first, [0, 1, 2, 3])
    check(RowStore(tmp_path, COLUMNS), [0, 1, 2, 3])
    assert lines(tmp_path) == 4


def test_what_a_writer_read_stays_as_it_was_while_another_appends(tmp_path: Path) -> None:
    first = RowStore(tmp_path, COLUMNS)
    add(first, [0, 1])
    before = first.read("embedding")
    add(RowStore(tmp_path, COLUMNS), [2, 3])
    assert np.array_equal(before, values([0, 1])["embedding"])
    check(first, [0, 1])


def test_an_error_inside_the_writer_gives_the_lock_back_and_loses_no_whole_row(tmp_path: Path) -> None:
    store = RowStore(tmp_path, COLUMNS)
    with pytest.raises(FileNotFoundError, match="a picture"), store.writer():
        store.append([digest(0)], values([0]))
        raise FileNotFoundError("a picture")
    other = RowStore(tmp_path, COLUMNS)
    add(other, [1])
    check(other, [0, 1])


@pytest.mark.parametrize(
    ("kind", "shape"), [("<f4", ()), ("<f4", (1,)), ("<i8", (2, 3, 4)), ("|u1", (5,)), ("<f8", (1, 1))]
)
def test_a_column_has_any_kind_and_shape_beside_the_others(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    columns = {**COLUMNS, "other": (kind, shape)}
    other = np.random.default_rng(0).integers(0, 200, (4, *shape)).astype(kind)
    for start in (0, 2):
        with (store := RowStore(tmp_path, columns)).writer():
            store.append(
                [digest(start), digest(start + 1)], {**values([start, start + 1]), "other": other[start : start + 2]}
            )
    last = max(tmp_path.glob("part-*"), key=lambda part: digest(2) in (part / "digests.txt").read_text())
    with (last / "other").open("r+b") as file:
        file.truncate(other.nbytes // 2 - 1)
    store = RowStore(tmp_path, columns)
    check(store, [0, 1, 2])
    assert store.missing([digest(3)]) == [digest(3)]
    places = [store.place[digest(number)] for number in range(3)]
    assert np.array_equal(store.read("other")[places], other[:3]) and store.read("other").dtype == np.dtype(kind)


def test_values_of_a_row_that_is_flat_are_kept_in_the_columns_shape(tmp_path: Path) -> None:
    store = RowStore(tmp_path, COLUMNS)
    flat = {name: rows.reshape(2, -1) for name, rows in values([4, 6]).items()}
    with store.writer():
        store.append([digest(4), digest(6)], flat)
    check(store, [4, 6])


class Blind:
    """A lock as a shared folder may give it: every machine believes that it holds it."""

    def __init__(self, path: Path) -> None: ...

    def acquire(self, timeout_seconds: float, on_wait: object) -> bool:
        return True

    def release(self) -> None: ...


def test_writers_that_do_not_see_each_others_locks_spoil_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "Lock", Blind)
    first, second = RowStore(tmp_path, COLUMNS), RowStore(tmp_path, COLUMNS)
    with first.writer(), second.writer():
        for number in (0, 1, 2):
            first.append([digest(number)], values([number]))
            second.append([digest(number), digest(number + 10)], values([number, number + 10]))
    for store in (first, second, RowStore(tmp_path, COLUMNS)):
        check(store, [0, 1, 2])
    check(RowStore(tmp_path, COLUMNS), [10, 11, 12])


def test_a_folder_without_locks_is_said_and_filled_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    add(store := RowStore(tmp_path, COLUMNS), [0, 1])
    check(store, [0, 1])
    assert f"{tmp_path}: there are no locks here (No locks available); another may compute the same" in caplog.text


def test_rows_of_several_parts_are_one_array_of_which_only_what_is_asked_is_read(tmp_path: Path) -> None:
    for number in range(5):
        add(store := RowStore(tmp_path, COLUMNS), [number, number + 10])
    found = store.read("tokens")
    assert isinstance(found, Rows) and (found.shape, len(found), found.dtype) == ((10, 2, 2), 10, np.dtype("<f2"))
    whole = np.concatenate(found.parts)
    assert np.array_equal(np.asarray(found), whole)
    asked = np.array([9, 0, 3, 3, 4])
    assert np.array_equal(found[asked], whole[asked]) and np.array_equal(found[7], whole[7])
    assert found[np.zeros(0, np.int64)].shape == (0, 2, 2)
