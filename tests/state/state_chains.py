"""What the tests of the state share: chains of known commits, and work done in a forked process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from identities import identity

from edge_nusa.state.state import Generation, State

BASIS = identity()
Contents = tuple[int, dict[str, bytes]] | None


def files_of(number: int) -> dict[str, bytes]:
    """Two files whose bytes depend on the number."""
    return {"core.safetensors": bytes([number % 256]) * 300, "labels.json": json.dumps({"number": number}).encode()}


def commit(state: State, number: int) -> Generation:
    with state.writer():
        return state.commit(files_of(number), f"learn {number}")


def chain(folder: Path, length: int) -> State:
    state = State(folder, BASIS)
    for number in range(1, length + 1):
        commit(state, number)
    return state


def in_child(work: Callable[[], None]) -> int:
    """Runs `work` in a forked process and gives its pid; the exit status is 0 only when it returned."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def exit_status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def contents(folder: Path) -> Contents:
    state = State(folder, BASIS)
    current = state.current()
    return None if current is None else (current.number, {name: current.read(name) for name in current.files})
