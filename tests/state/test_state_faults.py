"""The state under faults: killed or refused at every operation of a commit and an undo; leftovers of the dead."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from state_chains import BASIS, Contents, chain, commit, contents, exit_status, files_of, in_child

from edge_nusa.errors import EdgeNusaError, ResourceError
from edge_nusa.state.state import State

OPERATIONS = ["open", "read", "write", "fsync", "close", "rename", "replace", "mkdir", "unlink", "rmdir", "listdir"]
ERRORS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE, errno.EINTR]
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


def do_commit(state: State) -> None:
    with state.writer():
        state.commit(files_of(99), "learn 99")


def do_commit_instead(state: State) -> None:
    with state.writer():
        state.commit(files_of(99), "learn 99", state.current())


def do_undo(state: State) -> None:
    with state.writer():
        state.undo()


def do_undo_to_the_first(state: State) -> None:
    with state.writer():
        state.undo(1)


def do_redo(state: State) -> None:
    with state.writer():
        state.redo()


CASES = {
    "a first commit": (0, do_commit, None, (1, files_of(99))),
    "a commit that prunes": (6, do_commit, (6, files_of(6)), (7, files_of(99))),
    "a commit that takes the last one's place": (3, do_commit_instead, (3, files_of(3)), (4, files_of(99))),
    "an undo": (2, do_undo, (2, files_of(2)), (1, files_of(1))),
    "an undo of all": (1, do_undo, (1, files_of(1)), None),
    "an undo to an older one": (4, do_undo_to_the_first, (4, files_of(4)), (1, files_of(1))),
    "a redo": (3, do_redo, (1, files_of(1)), (3, files_of(3))),
}
BEFORE = {"a redo": do_undo_to_the_first}
"""What is done to a state before the case begins."""
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


def prepared(folder: Path, case: str) -> Callable[[], State]:
    """A maker of fresh copies of a case's chain; a chain of none has no folder at all."""
    length = CASES[case][0]
    if length:
        BEFORE.get(case, lambda state: None)(chain(folder / "model", length))
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
    assert list(state.folder.rglob(".tmp-*")) == []
    assert state.damaged() == []
    assert [generation.number for generation in state.history()][-1] == made.number


@pytest.fixture(autouse=True)
def no_descriptors_left() -> Iterator[None]:
    """Closes those that faults kept from being closed: past 1,024 of them a `select` fails, or ends the process."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    for number in set(os.listdir("/proc/self/fd")) - before:
        with suppress(OSError):
            if str(os.readlink(f"/proc/self/fd/{number}")).endswith("(deleted)"):
                os.close(int(number))


@pytest.mark.parametrize("moment", ["before", "after"])
@cases
def test_killed_at_any_operation_the_old_or_the_new_state_is_whole(quick_path: Path, case: str, moment: str) -> None:
    _, action, old, new = CASES[case]
    fresh = prepared(quick_path, case)
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
def test_refused_at_any_operation_the_error_is_ours_and_the_state_is_whole(
    quick_path: Path, case: str, code: int, how_long: str
) -> None:
    length, action, old, new = CASES[case]
    fresh = prepared(quick_path, case)
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
            if how_long == "once":
                assert list(state.folder.rglob(".tmp-*")) == []
                assert len(state.history()) == min(length, 5)
            if code == errno.ENOSPC:
                assert isinstance(error, ResourceError)
                assert "free some disk space" in str(error)
        if case.startswith("an undo") and code == errno.EIO:
            allowed = [old, new]  # undo answers a current generation that cannot be read by recovering
        assert_sound(state, allowed)
        if not hit:
            break
    assert point > 20


def test_a_writer_removes_what_killed_writers_left(tmp_path: Path) -> None:
    state = chain(tmp_path, 1)
    (tmp_path / "generations" / ".tmp-1-dead").mkdir()
    (tmp_path / "generations" / ".tmp-1-dead" / "core.safetensors").write_bytes(b"half")
    (tmp_path / ".tmp-1-dead").write_bytes(b"half")
    with state.writer():
        pass
    assert list(tmp_path.rglob(".tmp-*")) == []
    assert contents(tmp_path) == (1, files_of(1))
