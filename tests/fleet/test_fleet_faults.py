"""A fleet under faults: killed before every change of the disk in seven commands, a write torn in half, errors at
each change.

The disk is the same between two changes, so to be killed before each of them is to be killed anywhere. Every command
runs in a forked process, as the model's runtime does not bear to be forked.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleet_world import Member, bundle, new_hub
from state_chains import exit_status, in_child

from edge_nusa.device.fleet import membership as fleets
from edge_nusa.errors import EXIT_CODES, EdgeNusaError
from edge_nusa.knowledge import head as heads
from edge_nusa.sync import packed
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.trust.roots import fleet_name
from edge_nusa.sync.trust.sealing_keys import SealingKey
from edge_nusa.sync.trust.trusted import Bounds, newest_round

pytestmark = pytest.mark.slow

CHANGES = ["open", "write", "fsync", "rename", "replace", "mkdir", "unlink", "rmdir", "link", "symlink"]
ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE, errno.EINTR]
Fault = Callable[[int, str, tuple[Any, ...], Callable[[], Any]], Any]


@contextmanager
def every_change(fault: Fault) -> Iterator[None]:
    """Passes each change of the disk, numbered from 1, through `fault(number, name, arguments, operation)`."""
    numbers = itertools.count(1)
    real = {name: getattr(os, name) for name in CHANGES}

    def wrap(name: str) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            is_reading = name == "open" and not args[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            return (
                real[name](*args, **kwargs)
                if is_reading
                else fault(next(numbers), name, args, lambda: real[name](*args, **kwargs))
            )

        return called

    for name in CHANGES:
        setattr(os, name, wrap(name))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def rows(seed: int, count: int) -> np.ndarray:
    """Features of pictures that never were, by the head's own fixed point."""
    taps = bundle().manifest.image.taps
    return heads.features(np.random.default_rng(seed).normal(size=(count, taps)).astype(np.float32))


class World:
    """A hub with a merged and published round, and two devices: a has pulled and taught more, b has not pulled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = new_hub(folder)
        self.a, self.b = Member(folder, self.hub, "a"), Member(folder, self.hub, "b")
        self.a.teach({"cup": rows(1, 3)}, 1)
        self.a.push()
        self.hub.merge(MergeSettings())
        self.hub.publish()
        self.b.teach({"plate": rows(2, 4)}, 2)

    @property
    def sealing(self) -> SealingKey:
        """What b opens rounds with."""
        return fleets.Fleet(self.b.model).sealing

    def before(self, command: str) -> None:
        """What must have happened before a command is tried."""
        if command == "redo":
            self.b.undo()
        if command in ("merge", "publish"):
            self.b.push()
        if command == "publish":
            self.hub.merge(MergeSettings())

    def run(self, command: str) -> None:
        actions = {
            "learn": lambda: self.b.teach({"saucer": rows(3, 2)}, 3),
            "undo": self.b.undo,
            "redo": self.b.redo,
            "forget": lambda: self.b.forget("plate"),
            "push": self.b.push,
            "pull": self.b.pull,
            "merge": lambda: self.hub.merge(MergeSettings()),
            "publish": self.hub.publish,
        }
        action: Any = actions[command]
        action()

    def check(self, command: str) -> None:
        """What is there is the old or the new; raises AssertionError otherwise."""
        if command in AFTER:
            assert self.b.labels in ({} if command == "redo" else {"plate": 4}, AFTER[command])
            assert self.b.model.state.damaged() == []
        elif command == "merge":
            assert sorted(self.hub.current()[0].knowledge.head.counts.tolist()) in ([3], [3, 4])
        else:
            published = newest_round(
                self.hub.store,
                (self.hub.folder / "root.json").read_bytes(),
                self.folder / "look",
                Bounds(1 << 26),
                self.sealing,
            )
            assert published.number in (1, 2)

    def finish(self) -> None:
        """After anything, the fleet goes its way: the hub ends with each picture once, and that is published."""
        expected = {"cup": 3, **self.b.labels}
        self.b.push()
        self.hub.merge(MergeSettings())
        knowledge = self.hub.current()[0].knowledge
        assert dict(zip(knowledge.names, knowledge.head.counts.tolist(), strict=True)) == expected
        self.hub.publish()
        published = newest_round(
            self.hub.store,
            (self.hub.folder / "root.json").read_bytes(),
            self.folder / "look",
            Bounds(1 << 26),
            self.sealing,
        )
        assert published.number == self.hub.current()[0].number


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[Path, World]]:
    """A world in memory where there is one, and a copy of its files to start from again and again."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(packed, "LEVEL", 1)  # how small hundreds of rounds are packed is not what is tested
        world = World(Path(folder) / "world")
        shutil.copytree(world.folder, Path(folder) / "model")
        yield Path(folder) / "model", world


AFTER = {
    "learn": {"plate": 4, "saucer": 2},
    "undo": {},
    "redo": {"plate": 4},
    "forget": {},
    "push": {"plate": 4},
    "pull": {"plate": 4, "cup": 3},
}
"""The labels of b after a command that changes its state, or may not."""


def again(model: tuple[Path, World], command: str) -> World:
    copy, world = model
    shutil.rmtree(world.folder)
    shutil.copytree(copy, world.folder)
    world.before(command)
    return world


def in_fork(work: Callable[[], None]) -> int:
    return exit_status(in_child(work))


COMMANDS = ["learn", "undo", "redo", "forget", "push", "pull", "merge", "publish"]
FEWEST_POINTS = {
    "learn": {"killed": 20, "torn": 4},
    "undo": {"killed": 5, "torn": 1},
    "redo": {"killed": 5, "torn": 1},
    "forget": {"killed": 20, "torn": 4},
    "push": {"killed": 25, "torn": 4},
    "pull": {"killed": 60, "torn": 10},
    "merge": {"killed": 15, "torn": 3},
    "publish": {"killed": 35, "torn": 7},
}


@pytest.mark.parametrize("how", ["killed", "torn"])
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_anywhere_a_command_leaves_the_old_or_the_new_and_the_next_one_works(
    model: tuple[Path, World], command: str, how: str
) -> None:
    for point in itertools.count(1):
        world = again(model, command)

        passed = itertools.count(1)

        def fault(
            number: int,
            name: str,
            args: tuple[Any, ...],
            operation: Callable[[], Any],
            point: int = point,
            passed: Iterator[int] = passed,
        ) -> Any:
            if (how == "torn" and name != "write") or next(passed) < point:
                return operation()
            if how == "torn":
                os.pwrite(args[0], bytes(args[1])[: len(args[1]) // 2], os.lseek(args[0], 0, os.SEEK_CUR))
            os.kill(os.getpid(), signal.SIGKILL)

        def work(world: World = world, fault: Fault = fault) -> None:
            with every_change(fault):
                world.run(command)

        status = in_fork(work)
        assert status in {0, -signal.SIGKILL}
        world.check(command)
        world.finish()
        if command == "pull" and point % 10 == 1:
            assert in_fork(partial(world.run, "pull")) == 0
            assert world.b.labels == {"plate": 4, "cup": 3}
        if status == 0:
            break
    print(f"{command} {how} at {point - 1} points")
    assert point > FEWEST_POINTS[command][how]


@pytest.mark.parametrize("code", ERRORS, ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_error_of_the_disk_anywhere_is_ours_and_leaves_the_old_or_the_new(
    model: tuple[Path, World], command: str, code: int
) -> None:
    # each change fails in one of the ways; all of them together are the disk's errors at every change
    for point in range(1 + ERRORS.index(code), 400, len(ERRORS)):
        world = again(model, command)

        def fault(
            number: int,
            name: str,
            args: tuple[Any, ...],
            operation: Callable[[], Any],
            point: int = point,
            world: World = world,
        ) -> Any:
            if number == point:
                (world.folder / "hit").touch()
                raise OSError(code, os.strerror(code))
            return operation()

        def work(world: World = world, fault: Fault = fault) -> None:
            try:
                with every_change(fault):
                    world.run(command)
            except EdgeNusaError as error:
                assert error.exit_code in EXIT_CODES
                assert "expected" in str(error)

        assert in_fork(work) == 0, f"{command} at change {point}"
        was_hit = (world.folder / "hit").exists()
        world.check(command)
        world.finish()
        if not was_hit:
            break
    assert point >= FEWEST_POINTS[command]["killed"] - len(ERRORS)


@pytest.mark.parametrize(
    "pattern",
    ["sync/settings.json", "sync/root.json", "sync/bases/*.round", "sync/sent/*/envelope.json", "sync/sent/*/numbers"],
)
def test_no_damage_to_a_devices_own_folder_is_accepted_silently(model: tuple[Path, World], pattern: str) -> None:
    from test_sync_formats import damaged

    world = again(model, "push")
    world.b.push()
    assert in_fork(lambda: world.run("pull")) == 0
    path = next(world.b.model.state.folder.glob(pattern))
    whole, right = path.read_bytes(), world.b.labels
    for copy in damaged(whole, 64, 50):
        path.write_bytes(copy)
        try:
            sent = world.b.push()
            assert fleet_name(fleets.Fleet(world.b.model).root) == world.hub.settings.fleet
        except EdgeNusaError as error:
            assert "expected" in str(error)
        else:
            # JSON may be spaced anew, and a folder of the store may be named otherwise: nothing else may pass
            assert sent.update is None and json.loads(copy)
        assert world.b.labels == right
    path.write_bytes(whole)
    assert world.b.push().update is None
