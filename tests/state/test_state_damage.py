"""The state with damaged files: no flipped bit and no cut is accepted, and undo recovers."""

from __future__ import annotations

import errno
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from state_chains import chain, commit, contents, files_of

from edge_nusa.errors import DamagedError, EdgeNusaError, UnreadableError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import canonical
from edge_nusa.state.generation import LARGEST_GENERATION, Pointer, load_generation


def damaged_copies(data: bytes) -> Iterator[bytes]:
    """256 copies with one bit flipped and 200 cut short, then one emptied, one of zeros and one with a byte more."""
    rng = random.Random(0)
    for bit in rng.sample(range(len(data) * 8), min(256, len(data) * 8)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)
    for length in rng.sample(range(len(data)), min(200, len(data))):
        yield data[:length]
    yield from [b"", bytes(len(data)), data + b"\n"]


@pytest.mark.parametrize("name", ["CURRENT", "generations/000003/manifest.json", "generations/000003/core.safetensors"])
def test_no_damage_to_a_file_of_the_current_generation_is_accepted(tmp_path: Path, name: str) -> None:
    state = chain(tmp_path, 3)
    path = tmp_path / name
    whole = path.read_bytes()
    for copy in damaged_copies(whole):
        path.write_bytes(copy)
        # a pointer with another number is to a generation that is not there
        with pytest.raises(
            (DamagedError, UnreadableError), match="expected .*found .*(undo|doctor|edge-nusa that wrote it)"
        ):
            contents(tmp_path)
        assert state.damaged() == ([] if name == "CURRENT" else ["000003"])
    path.write_bytes(whole)
    assert contents(tmp_path) == (3, files_of(3))


@pytest.mark.parametrize("name", ["manifest.json", "labels.json"])
def test_no_damage_to_an_older_generation_is_accepted_by_undo(tmp_path: Path, name: str) -> None:
    state = chain(tmp_path, 2)
    path = tmp_path / "generations" / "000001" / name
    for copy in damaged_copies(path.read_bytes()):
        path.write_bytes(copy)
        with state.writer(), pytest.raises(EdgeNusaError, match="generation 1 to go back to, found it gone or damaged"):
            state.undo()
        assert [generation.number for generation in state.history()] == [2]


@pytest.mark.parametrize("name", ["CURRENT", "generations/000003/manifest.json", "generations/000003/core.safetensors"])
@pytest.mark.parametrize("damage", [None, b"", bytes(80)], ids=["gone", "empty", "zeros"])
def test_undo_recovers_from_a_damaged_current_generation(
    tmp_path: Path, name: str, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    state = chain(tmp_path, 3)
    (tmp_path / name).unlink()
    if damage is not None:
        (tmp_path / name).write_bytes(damage)
    with pytest.raises(UnreadableError if damage is None else DamagedError):
        contents(tmp_path)
    with state.writer():
        state.undo()
    expected = 3 if name == "CURRENT" else 2
    assert contents(tmp_path) == (expected, files_of(expected))
    assert f"{name}: expected" in caplog.text
    assert f"undo went to generation {expected}" in caplog.text
    assert commit(state, 4).parent == expected
    assert contents(tmp_path) == (4, files_of(4))
    assert state.damaged() == []


@pytest.mark.parametrize("name", ["CURRENT", "generations/000003/manifest.json", "generations/000003/core.safetensors"])
def test_what_a_card_does_not_give_back_is_no_damage_and_undo_goes_round_it(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = chain(tmp_path, 3)
    real, sick = durable.read_at_most, tmp_path / name

    def fails(path: Path, limit: int) -> bytes:
        if path == sick and path.exists() and path.stat().st_ino == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path, limit)

    number = sick.stat().st_ino
    monkeypatch.setattr(durable, "read_at_most", fails)
    with pytest.raises(UnreadableError, match="check the card or disk") as raised:
        contents(tmp_path)
    assert raised.value.exit_code == 5
    if name != "CURRENT":  # a pointer that cannot be read is told: where it points to, nobody knows
        with state.writer():
            state.undo()
        assert contents(tmp_path) == (2, files_of(2))
        assert "undo went to generation 2" in caplog.text


def test_a_pointer_that_is_away_for_a_moment_is_a_resource_and_nothing_is_written_meanwhile(tmp_path: Path) -> None:
    state = chain(tmp_path, 2)
    os.rename(tmp_path / "CURRENT", tmp_path / "away")
    with pytest.raises(
        UnreadableError, match="expected a pointer to one of 2 generations, found none; wait where"
    ) as raised:
        state.current()
    assert raised.value.exit_code == 5
    with pytest.raises(UnreadableError):
        commit(state, 3)
    os.rename(tmp_path / "away", tmp_path / "CURRENT")
    assert contents(tmp_path) == (2, files_of(2))


def test_a_pointer_to_the_empty_state_with_another_hash_is_damage(tmp_path: Path) -> None:
    state = chain(tmp_path, 1)
    pointer = (tmp_path / "CURRENT").read_bytes()
    (tmp_path / "CURRENT").write_bytes(pointer.replace(b'"generation":1', b'"generation":0'))
    with pytest.raises(DamagedError, match="for generation 0, found"):
        state.current()


def test_a_newer_format_is_named_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_nusa.state.generation.FORMAT_VERSION", 3)
    state = chain(tmp_path, 1)
    pointer = (tmp_path / "CURRENT").read_bytes()
    monkeypatch.undo()
    (tmp_path / "CURRENT").write_bytes(pointer.replace(b'"format_version":3', b'"format_version":2'))
    with pytest.raises(
        DamagedError, match="expected a state of format 2, found 3: a later edge-nusa wrote it; use that one"
    ):
        state.current()


def sealed(folder: Path, **changes: Any) -> None:
    """Changes fields of a manifest and seals it anew."""
    path = folder / "manifest.json"
    record = {**json.loads(path.read_bytes()), **changes}
    del record["sha256"]
    path.write_bytes(canonical({**record, "sha256": sha256_hex(canonical(record) + b"\n")}) + b"\n")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generation": 0}, "generation: expected a whole number from 1 to"),
        ({"generation": 1.0}, "generation: expected a whole number from 1 to"),
        ({"generation": LARGEST_GENERATION + 1}, "generation: expected a whole number from 1 to"),
        ({"parent": -1}, "parent: expected a whole number from 0 to"),
        ({"parent": LARGEST_GENERATION + 1}, "parent: expected a whole number from 0 to"),
        ({"parent": 1}, "expected a canonical manifest with its parent before it"),
        ({"operation": 5}, "operation: expected a text"),
        ({"created": None}, "created: expected a text"),
        ({"identity": {}}, "identity: expected the fields"),
        ({"files": {"labels.json": {"sha256": "a", "bytes": 1}}}, "labels.json: sha256: expected a SHA-256"),
        ({"files": {"labels.json": {"sha256": "a" * 64, "bytes": -1}}}, "bytes: expected a whole number from 0"),
        ({"files": {"../x": {"sha256": "a" * 64, "bytes": 1}}}, "files: expected a name of small letters"),
    ],
)
def test_a_manifest_that_was_sealed_around_a_wrong_field_is_damage(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    chain(tmp_path, 1)
    folder = tmp_path / "generations" / "000001"
    sealed(folder)
    assert load_generation(folder).number == 1
    sealed(folder, **changes)
    with pytest.raises(DamagedError, match=rf"manifest\.json: .*{words}.*, found .*undo"):
        load_generation(folder)


@pytest.mark.parametrize("number", ["-1", "1.0", "true", "1e400", "1" + "0" * 13])
def test_a_pointer_to_no_number_is_damage(number: str) -> None:
    data = f'{{"format_version":2,"generation":{number},"sha256":"{"a" * 64}"}}\n'.encode()
    assert Pointer.from_bytes(data.replace(number.encode(), b"7"), Path("CURRENT")).generation == 7
    with pytest.raises(DamagedError, match="^CURRENT: .*expected .*, found .*undo"):
        Pointer.from_bytes(data, Path("CURRENT"))


def test_what_a_disk_gives_back_otherwise_than_it_was_written_never_becomes_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = chain(tmp_path, 1)
    real = durable.write_file

    for spoiled in ("core.safetensors", "manifest.json"):

        def rotten(path: Path, data: bytes, mode: int = 0o600, spoiled: str = spoiled) -> None:
            real(path, data[:-1] + b"?" if Path(path).name == spoiled else data, mode)

        monkeypatch.setattr(durable, "write_file", rotten)
        with pytest.raises(DamagedError):
            commit(state, 2)
        assert contents(tmp_path) == (1, files_of(1))
        assert os.listdir(tmp_path / "generations") == ["000001"]
