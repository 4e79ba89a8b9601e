"""A power cut in learn, undo, redo, forget, push, pull, merge and publish: whatever was not synced is lost, and the
state is the old or the new."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from power_cuts import DAMAGES, NAMES_LOST, cut, moments, watched
from test_fleet_faults import World, again
from test_fleet_faults import model as _model

from edge_nusa.files import durable

pytestmark = pytest.mark.slow
model = _model
COMMANDS = ["learn", "undo", "redo", "forget", "push", "pull", "merge", "publish"]
FEWEST_CASES = {"learn": 45, "undo": 8, "redo": 8, "forget": 45, "push": 80, "pull": 150, "merge": 28, "publish": 50}
NEXT_EVERY = 9
"""After so many cases the next commands are tried too, which takes longer than all else."""


@pytest.fixture
def started() -> Iterator[Path]:
    """A folder for the copy that every case starts from, in memory where there is one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder) / "started"


def cases_of(world: World, started: Path, command: str) -> Iterator[tuple[int, str]]:
    """Each cut and each damage of a command in turn, done to the world's folder."""
    shutil.copytree(world.folder, started, symlinks=True)
    with watched(world.folder) as changes:
        world.run(command)
    found = list(changes)
    for done in moments(found):
        for damage in [*DAMAGES, NAMES_LOST]:
            shutil.rmtree(world.folder)
            shutil.copytree(started, world.folder, symlinks=True)
            if cut(world.folder, found[:done], damage):
                yield done, damage


@pytest.mark.parametrize("command", COMMANDS)
def test_a_power_cut_leaves_the_old_or_the_new_and_the_next_command_works(
    model: tuple[Path, World], started: Path, command: str
) -> None:
    world, count = again(model, command), 0
    for done, damage in cases_of(world, started, command):
        count += 1
        try:
            world.check(command)
            if count % NEXT_EVERY == 1:
                world.finish()
                if command == "pull":
                    world.b.pull()
                    assert world.b.labels == {"plate": 4, "cup": 3}
        except Exception as error:
            raise AssertionError(f"{command}, {done} changes done, {damage}") from error
    print(f"{command}: {count} cuts")
    assert count > FEWEST_CASES[command]


def test_without_syncing_a_power_cut_does_harm_so_the_syncs_are_what_is_tested(
    model: tuple[Path, World], started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = again(model, "learn")
    real: Callable[..., None] = durable.write_file

    def unsynced(path: Path, data: bytes, mode: int = durable.FILE_MODE) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", lambda descriptor: None)
            real(path, data, mode)

    monkeypatch.setattr(durable, "write_file", unsynced)
    harmed = 0
    for _ in cases_of(world, started, "learn"):
        try:
            world.check("learn")
        except Exception:  # noqa: BLE001  # any harm at all
            harmed += 1
    assert harmed > 0
