"""Files that run code when they are loaded (pickle, .pt, .pt2, object .npy), in the place of each of our files:
refused unread."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_fleets import BASIS, FLEET, first, pictures, small_shapes, taught

from edge_nusa.errors import EdgeNusaError
from edge_nusa.files import tensor_file
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.knowledge.knowledge import RoundMark
from edge_nusa.sync import round_file, update
from edge_nusa.sync.change import difference
from edge_nusa.sync.trust import roots
from edge_nusa.sync.update import Place, Statement


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def zipped(**files: bytes) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"archive/{name.replace('_', '.')}", data)
    return memory.getvalue()


def object_array(bomb: Bomb) -> bytes:
    memory = io.BytesIO()
    np.save(memory, np.array([bomb], dtype=object), allow_pickle=True)
    return memory.getvalue()


FORMS: dict[str, Callable[[Bomb], bytes]] = {
    "pickle": pickle.dumps,
    "pt": lambda bomb: zipped(data_pkl=pickle.dumps(bomb), version=b"3\n"),
    "pt2": lambda bomb: zipped(archive_format=b"pt2", data_pkl=pickle.dumps(bomb)),
    "npy": object_array,
}


def as_update(data: bytes) -> None:
    """Numbers that a device signed."""
    gained = difference(taught(first().knowledge, "cat", pictures(1, 3)), first().knowledge, set())
    statement, _ = update.encode(
        gained, Place(fleet=FLEET, identity=BASIS, device="d" * 64, sequence=1, round=RoundMark()), "float16"
    )
    update.decode(replace(statement, sha256=sha256_hex(data), size=len(data)), data, small_shapes(), "here")


def as_round(data: bytes) -> None:
    """The numbers of a round, behind a right first line."""
    whole = round_file.encode(replace(first(), number=1))
    round_file.decode(whole.split(b"\n", 1)[0] + b"\n" + data, small_shapes(), "here")


READERS: dict[str, Callable[[bytes], object]] = {
    "tensors": lambda data: tensor_file.decode(data, "here"),
    "an update": as_update,
    "a packed update": lambda data: as_update(zlib.compress(data)),
    "a round": lambda data: round_file.decode(data, small_shapes(), "here"),
    "a round's numbers": as_round,
    "a round's packed numbers": lambda data: as_round(zlib.compress(data)),
    "a statement": lambda data: Statement.from_bytes(data, "here"),
    "a root": lambda data: roots.read_root(data, "here"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_runs_code_is_refused_unread(tmp_path: Path, form: str, reader: str) -> None:
    with pytest.raises(EdgeNusaError, match="here"):
        READERS[reader](FORMS[form](Bomb(tmp_path / "went off")))
    assert list(tmp_path.iterdir()) == []


def test_the_bombs_go_off_where_they_are_loaded(tmp_path: Path) -> None:
    pickle.loads(FORMS["pickle"](Bomb(tmp_path / "pickle")))  # noqa: S301  # made one line above
    np.load(io.BytesIO(FORMS["npy"](Bomb(tmp_path / "npy"))), allow_pickle=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["npy", "pickle"]
