"""Which files were taught: 8 bytes each, one label each, bounded, forgotten with their label, and refused where
damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from made_by_hand import knowledge, unit

from edge_nusa.errors import DamagedError
from edge_nusa.files import tensor_file
from edge_nusa.files.file_record import file_sha256
from edge_nusa.knowledge import taught_files
from edge_nusa.knowledge.taught_files import MOST_FILES, TaughtFiles, decoded, digest_of


def files(digests: Sequence[int], columns: Sequence[int]) -> TaughtFiles:
    return TaughtFiles(np.array(digests, np.uint64), np.array(columns, np.int64))


def pairs(found: TaughtFiles) -> list[tuple[int, int]]:
    return list(zip(found.digests.tolist(), found.columns.tolist(), strict=True))


def test_a_digest_is_the_first_eight_bytes_of_the_files_sha256(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert digest_of(file_sha256(tmp_path / "empty")) == 0xE3B0C44298FC1C14


def test_a_file_is_remembered_once_by_its_newest_label_and_oldest_come_first() -> None:
    found = TaughtFiles().added(*_arrays([5, 9, 7], [0, 0, 1])).added(*_arrays([9, 2], [1, 0]))
    assert pairs(found) == [(5, 0), (7, 1), (9, 1), (2, 0)]
    assert found.column_of == {5: 0, 7: 1, 9: 1, 2: 0}
    assert (str(found.digests.dtype), str(found.columns.dtype)) == ("uint64", "int64")


def test_of_more_than_fifty_thousand_the_oldest_go() -> None:
    assert MOST_FILES == 50_000
    many = np.arange(MOST_FILES, dtype=np.uint64)
    found = TaughtFiles().added(many, np.zeros(MOST_FILES, np.int64))
    assert len(found.digests) == MOST_FILES
    more = found.added(*_arrays([2**64 - 1], [3]))
    assert (len(more.digests), int(more.digests[0]), pairs(more)[-1]) == (MOST_FILES, 1, (2**64 - 1, 3))


def test_files_move_with_their_labels_and_go_with_them() -> None:
    assert pairs(files([1, 2, 3], [0, 1, 2]).moved({0: 5, 2: 0})) == [(1, 5), (3, 0)]
    assert pairs(files([1], [0]).moved({})) == []


def test_forgetting_a_label_forgets_its_files() -> None:
    known = knowledge(["a", "b", "c"], unit((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    known.__dict__["files"] = files([1, 2, 3, 4], [0, 1, 2, 1])
    assert pairs(known.without("b").files) == [(1, 0), (3, 1)]


def test_what_is_written_is_read_the_same() -> None:
    one = files([2**64 - 1, 0, 7], [0, 2, 1])
    assert pairs(decoded(one.encoded(), 3)) == pairs(one)
    assert pairs(decoded(TaughtFiles().encoded(), 0)) == []


def test_a_file_takes_twelve_bytes() -> None:
    few, many = (TaughtFiles(np.arange(n, dtype=np.uint64), np.zeros(n, np.int64)).encoded() for n in (1000, 9000))
    assert 0 <= len(many) - len(few) - 12 * 8000 <= 8  # the header's padding


@pytest.mark.parametrize(
    ("digests", "columns", "labels"),
    [([1, 2], [0], 1), ([1, 1], [0, 0], 1), ([1], [1], 1), ([1], [-1], 1), ([1], [0], 0)],
)
def test_digests_that_come_twice_or_are_of_no_label_are_damage(
    digests: list[int], columns: list[int], labels: int
) -> None:
    with pytest.raises(
        DamagedError,
        match=rf"^taught\.safetensors: expected at most 50000 digests, each once and of one of {labels} labels, found "
        r"others; run `edge-nusa undo`$",
    ):
        decoded(files(digests, columns).encoded(), labels)


def test_more_digests_than_are_kept_are_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taught_files, "MOST_FILES", 2)
    assert pairs(decoded(files([1, 2], [0, 0]).encoded(), 1)) == [(1, 0), (2, 0)]
    with pytest.raises(DamagedError, match="expected at most 2 digests"):
        decoded(files([1, 2, 3], [0, 0, 0]).encoded(), 1)


def test_another_kind_of_number_is_damage() -> None:
    data = tensor_file.encode({"digests": np.zeros(1, np.int64), "columns": np.zeros(1, np.int32)})
    with pytest.raises(DamagedError, match="'digests' should be uint64"):
        decoded(data, 1)


def _arrays(digests: Sequence[int], columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(digests, np.uint64), np.array(columns, np.int64)
