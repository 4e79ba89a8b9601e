"""The state under faults: killed or refused at every operation, bits flipped, files cut, leftovers of the dead."""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from state_chains import BASIS, chain, commit, exit_status, files_of, in_child

from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError
from edge_nusa.state import State

OPERATIONS = ["open", "read", "write", "fsync", "close", "rename", "replace", "mkdir", "unlink", "rmdir", "listdir"]
ERRORS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE, errno.EINTR]
Contents = tuple[int, dict[str, bytes]] | None
Fault = Callable[[int, Callable[[], Any]], Any]


@contextmanager
def every_operation(fault: Fault) -> Iterator[None]:
    """Passes each file-system operation, numbered from 1, through `fault(number, operation)`."""
    numbers = itertools.count(1)
    real = {name: getattr(os, name) for name in OPERATIONS}

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: fault(next(numbers), lambda: function(*args, **kwargs))

    for name, function in real.items():
        setattr(os, name, wrap(function))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def contents(folder: Path) -> Contents:
    state = State(folder, BASIS)
    current = state.current()
    return None if current is None else (current.number, {name: current.read(name) for name in current.files})


def do_commit(state: State) -> None:
    with state.writer():
        state.commit(files_of(99), "learn 99")


def do_undo(state: State) -> None:
    with state.writer():
        state.undo()


CASES = {
    "a first commit": (0, do_commit, None, (1, files_of(99))),
    "a commit that prunes": (6, do_commit, (6, files_of(6)), (7, files_of(99))),
    "an undo": (2, do_undo, (2, files_of(2)), (1, files_of(1))),
    "an undo of all": (1, do_undo, (1, files_of(1)), None),
}
cases = pytest.mark.parametrize("case", CASES)


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of commits, and no fault here depends on a real sync."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def prepared(folder: Path, length: int) -> Callable[[], State]:
    """A maker of fresh copies of a chain; a chain of none has no folder at all."""
    if length:
        chain(folder / "model", length)
    target = folder / "state"

    def fresh() -> State:
        shutil.rmtree(target, ignore_errors=True)
        if length:
            shutil.copytree(folder / "model", target)
        return State(target, BASIS)

    return fresh


def assert_sound(state: State, allowed: list[Contents]) -> None:
    """The state is one of `allowed`, byte for byte, and the next commit works and leaves nothing behind."""
    found = contents(state.folder)
    assert found in allowed
    made = commit(state, 50)
    assert made.parent == (found[0] if found else 0)
    assert contents(state.folder) == (made.number, files_of(50))
    assert [path for path in state.folder.rglob(".tmp-*")] == []
    assert state.damaged() == []
    assert [generation.number for generation in state.history()][-1] == made.number


@pytest.mark.parametrize("moment", ["before", "after"])
@cases
def test_killed_at_any_operation_the_old_or_the_new_state_is_whole(quick_path: Path, case: str, moment: str) -> None:
    length, action, old, new = CASES[case]
    fresh = prepared(quick_path, length)
    for point in itertools.count(1):
        state = fresh()

        def fault(number: int, operation: Callable[[], Any], point: int = point) -> Any:
            if number == point and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return operation()
            finally:
                if number == point:
                    os.kill(os.getpid(), signal.SIGKILL)

        def work(state: State = state, fault: Fault = fault) -> None:
            with every_operation(fault):
                action(state)

        status = exit_status(in_child(work))
        assert status in {0, -signal.SIGKILL}
        assert_sound(state, [old, new] if status else [new])
        if status == 0:
            break
    assert point > 20


@pytest.mark.parametrize("how_long", ["once", "for ever"])
@pytest.mark.parametrize("code", ERRORS, ids=lambda code: errno.errorcode[code])
@cases
def test_refused_at_any_operation_the_error_is_ours_and_the_state_is_whole(quick_path: Path, case: str, code: int, how_long: str) -> None:
    length, action, old, new = CASES[case]
    fresh = prepared(quick_path, length)
    for point in itertools.count(1):
        state = fresh()
        hit = False

        def fault(number: int, operation: Callable[[], Any], point: int = point) -> Any:
            nonlocal hit
            if number == point or (number > point and how_long == "for ever"):
                hit = True
                raise OSError(code, os.strerror(code))
            return operation()

        allowed = [new]
        try:
            with every_operation(fault):
                action(state)
        except EdgeNusaError as error:
            allowed = [old] if how_long == "once" else [old, new]
            if code == errno.ENOSPC:
                assert isinstance(error, ResourceError)
                assert "free some disk space" in str(error)
        if case.startswith("an undo") and code == errno.EIO:
            allowed = [old, new]  # an unreadable current generation is damage, which undo answers by recovering
        assert_sound(state, allowed)
        if not hit:
            break
    assert point > 20


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
        with pytest.raises(DamagedError, match="expected .*found .*(undo|doctor|edge-nusa that wrote it)"):
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
    with pytest.raises(DamagedError):
        contents(tmp_path)
    do_undo(state)
    expected = 3 if name == "CURRENT" else 2
    assert contents(tmp_path) == (expected, files_of(expected))
    assert f"{name}: expected" in caplog.text
    assert f"undo went to generation {expected}" in caplog.text
    assert_sound(state, [(expected, files_of(expected))])


def test_a_newer_format_is_named_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_nusa.generation.FORMAT_VERSION", 2)
    state = chain(tmp_path, 1)
    pointer = (tmp_path / "CURRENT").read_bytes()
    monkeypatch.undo()
    (tmp_path / "CURRENT").write_bytes(pointer.replace(b'"format_version":2', b'"format_version":1'))
    with pytest.raises(DamagedError, match="expected format_version 1, found 2; use the edge-nusa that wrote it"):
        state.current()


def test_a_writer_removes_what_killed_writers_left(tmp_path: Path) -> None:
    state = chain(tmp_path, 1)
    (tmp_path / "generations" / ".tmp-1-dead").mkdir()
    (tmp_path / "generations" / ".tmp-1-dead" / "core.safetensors").write_bytes(b"half")
    (tmp_path / ".tmp-1-dead").write_bytes(b"half")
    with state.writer():
        pass
    assert list(tmp_path.rglob(".tmp-*")) == []
    assert contents(tmp_path) == (1, files_of(1))
