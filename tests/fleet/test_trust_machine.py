"""One invariant, and a machine that tries to break it: every lesson that a device accepted is at any time in one
place; counted once in the newest round, waiting on its device, which says so, or refused or taken back with a reason
that its user is shown.

Each lesson teaches a label of its own and some pictures of a label that all share, so that one look at a round or a
state tells how often it is counted. Everything but the text tower's answer to a new round is the product's own code
over real folders. `python tests/fleet/test_trust_machine.py STEPS` takes so many steps.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from fleet_world import Member, bundle, new_hub
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_fleet_faults import every_change

from edge_nusa.device.fleet import round_judge
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.status import FleetStatus, status
from edge_nusa.device.learning.judge import Retention
from edge_nusa.device.model import Model
from edge_nusa.errors import EdgeNusaError, InputError, RefusedError, StoreError, TrustError
from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.state.state import State
from edge_nusa.sync.hub import labels as fleet_labels
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.rename import rename
from edge_nusa.sync.stores.folder import FolderStore

OWN, SHARED = 5, 4
"""Pictures of a lesson's own label, and of the label that all teach."""
EVERYONE = "all"
MOST_LIVES, MOST_BYTES = 5, 64 << 20


class KilledError(BaseException):
    """The process is gone: it changes nothing more."""


@contextmanager
def killed_at(change: int | None) -> Iterator[None]:
    """Ends what runs inside before that change of the disk, and every one after it."""
    if change is None:
        yield
        return

    def fault(number: int, name: str, arguments: tuple[Any, ...], operation: Callable[[], Any]) -> Any:
        if number >= change:
            raise KilledError
        return operation()

    try:
        with every_change(fault):
            yield
    except KilledError:
        pass


def rows(seed: int, count: int) -> np.ndarray:
    """Features of pictures that never were."""
    taps = bundle().manifest.image.taps
    return heads.features(np.random.default_rng(seed).normal(size=(count, taps)).astype(np.float32))


def anchored(model: Any, knowledge: Knowledge, threads: int) -> tuple[Knowledge, Retention]:
    """Anchors at no cost, and a vocabulary that means what it meant."""
    axes = np.eye(bundle().manifest.text.embed_dim, dtype=np.float32)[np.zeros(len(knowledge.labels), int)]
    return replace(knowledge, frozen_anchors=axes, adapted_anchors=axes), Retention(100.0, 1.0, None)


HIDDEN: set[str] = set()
"""Keys that the store does not list."""
real_list = FolderStore.list


def listed(store: FolderStore, prefix: str) -> list[str]:
    """What a store lists that is late."""
    return [key for key in real_list(store, prefix) if key not in HIDDEN]


@dataclass
class Life:
    """One life of a device: its state, and which lessons each of its generations has accepted."""

    member: Member
    accepted: dict[int, frozenset[int]] = field(default_factory=lambda: {0: frozenset()})

    @property
    def generation(self) -> int:
        current = self.member.model.state.current()
        return current.number if current else 0

    @property
    def lessons(self) -> frozenset[int]:
        """What this life has accepted and not undone or forgotten."""
        return self.accepted[self.generation]

    def went_on(self, lessons: frozenset[int]) -> None:
        """A new generation has accepted these; where the command was killed there may be none."""
        self.accepted.setdefault(self.generation, lessons)

    @property
    def status(self) -> FleetStatus:
        return status(self.member.model)


@dataclass(frozen=True)
class Copy:
    """A backup of a life."""

    folder: Path
    name: str
    key: str
    accepted: dict[int, frozenset[int]]


def own(lesson: int) -> str:
    """The label that only this lesson teaches."""
    return f"lesson {lesson}"


def called(name: str) -> str:
    """What a label was called when it was taught: the hub's user marks it once more with each new name."""
    return name.rstrip("*")


lives = st.integers(0, MOST_LIVES - 1)
kills = st.one_of(st.none(), st.integers(1, 60))


class Trust(RuleBasedStateMachine):
    """A hub, a store, two devices and whatever lives they come to have."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
        self.patched = ExitStack()
        self.patched.enter_context(mock.patch.object(round_judge, "with_anchors", anchored))
        self.patched.enter_context(mock.patch.object(FolderStore, "list", listed))
        HIDDEN.clear()
        self.lives: list[Life] = []
        self.copies: list[Copy] = []
        self.taught = 0
        self.published: dict[str, int] = {}
        self.gone: set[int] = set()
        """Lessons that some life undid or forgot: they may be there or not, never twice."""

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.patched.close()
            shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.hub = new_hub(self.folder)
        self.lives = [Life(Member(self.folder, self.hub, name)) for name in "ab"]

    def life(self, index: int) -> Life:
        return self.lives[index % len(self.lives)]

    @rule(index=lives, kill=kills)
    def teach(self, index: int, kill: int | None) -> None:
        self._teach(self.life(index), kill)

    def _teach(self, life: Life, kill: int | None) -> None:
        lesson = self.taught
        self.taught += 1
        before = life.lessons
        what = {own(lesson): rows(2 * lesson, OWN), EVERYONE: rows(2 * lesson + 1, SHARED)}
        with killed_at(kill):
            life.member.teach(what, lesson, core_size=0.001)
        life.went_on(before | {lesson})

    @rule(index=lives, kill=kills)
    def undo(self, index: int, kill: int | None) -> None:
        life = self.life(index)
        before = life.lessons
        try:
            with killed_at(kill):
                life.member.undo()
        except EdgeNusaError:
            return  # nothing to go back to
        self.gone |= before - life.lessons

    @rule(index=lives, kill=kills)
    def redo(self, index: int, kill: int | None) -> None:
        try:
            with killed_at(kill):
                self.life(index).member.redo()
        except EdgeNusaError:
            return  # nothing was undone since the last change; what is redone may be known again, or not, as it was

    @rule(index=lives, which=st.integers(0, 100), kill=kills)
    def forget(self, index: int, which: int, kill: int | None) -> None:
        self._forget(self.life(index), which, kill)

    def _forget(self, life: Life, which: int, kill: int | None) -> None:
        names = {called(name): name for name in life.member.knows.names}
        known = sorted(lesson for lesson in life.lessons if own(lesson) in names)
        if not known:
            return
        lesson, before = known[which % len(known)], life.lessons
        with killed_at(kill):
            life.member.forget(names[own(lesson)])
        life.went_on(before - {lesson})
        self.gone.add(lesson)

    @rule(index=lives, kill=kills)
    def push(self, index: int, kill: int | None) -> None:
        with killed_at(kill):
            self.send(self.life(index))

    def send(self, life: Life) -> None:
        """A push; a machine with another carrier has another."""
        life.member.push()

    def fetch(self, life: Life) -> None:
        """A pull."""
        life.member.pull()

    @rule(index=lives, kill=kills)
    def pull(self, index: int, kill: int | None) -> None:
        self._pull(self.life(index), kill)

    def _pull(self, life: Life, kill: int | None = None) -> None:
        before = life.lessons
        try:
            with killed_at(kill):
                self.fetch(life)
        except RefusedError as error:
            assert "taken here and undone" in str(error), error
        except (StoreError, TrustError):
            pass  # the store lost or hides what there is
        life.went_on(before)

    @rule(kill=kills)
    def merge(self, kill: int | None) -> None:
        with killed_at(kill):
            self.hub.merge(MergeSettings())

    @rule(which=st.integers(0, 100), kill=kills)
    def forget_for_all(self, which: int, kill: int | None) -> None:
        """The hub's user takes a label out of the next round."""
        names = {called(name): name for name in self.hub.current()[0].knowledge.names}
        known = sorted(lesson for lesson in range(self.taught) if own(lesson) in names)
        if not known:
            return
        lesson = known[which % len(known)]
        self.gone.add(lesson)
        try:
            with killed_at(kill):
                fleet_labels.forget(self.hub, names[own(lesson)])
        except InputError:
            return  # a restored hub took newer rounds of its own from the store, which lack it

    @rule(which=st.integers(0, 100), kill=kills)
    def rename_for_all(self, which: int, kill: int | None) -> None:
        """The hub's user gives a label another name."""
        names = sorted(self.hub.current()[0].knowledge.names)
        if not names:
            return
        name = names[which % len(names)]
        try:
            with killed_at(kill):
                rename(self.hub, name, f"{name}*")
        except InputError:
            return  # a restored hub took newer rounds of its own from the store, which lack it, or have that name

    @precondition(lambda self: self.hub.current()[0].number)
    @rule(kill=kills)
    def publish(self, kill: int | None) -> None:
        with killed_at(kill):
            self.hub.publish()
        # where it was killed after its last change but one, the round may be in the store or not: the next one says
        if kill is None:
            self.published = self.counts(self.hub.current()[0].knowledge)

    @rule(index=lives)
    def back_up(self, index: int) -> None:
        life = self.life(index)
        folder = self.folder / f"copy {len(self.copies)}"
        shutil.copytree(life.member.model.state.folder, folder)
        self.copies.append(Copy(folder, life.member.name, life.member.key, dict(life.accepted)))

    @precondition(lambda self: self.copies)
    @rule(which=st.integers(0, 100))
    def restore(self, which: int) -> None:
        """A card is put back to what it was: what it had learned since is gone with it, but for what it sent."""
        copy = self.copies[which % len(self.copies)]
        life = next(one for one in self.lives if one.member.key == copy.key)
        folder = life.member.model.state.folder
        shutil.rmtree(folder)
        shutil.copytree(copy.folder, folder)
        life.accepted = dict(copy.accepted)

    @precondition(lambda self: self.copies and len(self.lives) < MOST_LIVES)
    @rule(which=st.integers(0, 100))
    def clone(self, which: int) -> None:
        """A card is copied, and both live on."""
        copy = self.copies[which % len(self.copies)]
        folder = self.folder / f"clone {len(self.lives)}"
        shutil.copytree(copy.folder, folder)
        member: Any = object.__new__(Member)
        member.name, member.key = folder.name, copy.key
        member.model = Model(bundle(), State(folder, bundle().manifest.identity), threads=1)
        self.lives.append(Life(member, dict(copy.accepted)))

    @rule()
    def back_up_hub(self) -> None:
        """Its whole folder; the store is not part of it."""
        shutil.rmtree(self.folder / "hub copy", ignore_errors=True)
        shutil.copytree(self.hub.folder, self.folder / "hub copy")

    @precondition(lambda self: (self.folder / "hub copy").exists())
    @rule()
    def restore_hub(self) -> None:
        """The hub is what it was; store and devices went on."""
        shutil.rmtree(self.hub.folder)
        shutil.copytree(self.folder / "hub copy", self.hub.folder)
        self.hub = Hub(self.hub.folder, bundle())

    @rule(count=st.integers(1, 4))
    def lose(self, count: int) -> None:
        """The store loses its newest objects."""
        store = Path(self.hub.settings.store)
        files = sorted((path for path in store.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
        for path in files[-count:]:
            path.unlink()

    @rule(count=st.integers(1, 6))
    def list_old(self, count: int) -> None:
        """The store's lists leave out its newest objects, until the next of these steps."""
        store = Path(self.hub.settings.store)
        files = sorted((path for path in store.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
        HIDDEN.clear()
        HIDDEN.update(str(path.relative_to(store)) for path in files[-count:])

    @rule()
    def list_all(self) -> None:
        """The store's lists are whole again."""
        HIDDEN.clear()

    @invariant()
    def every_lesson_is_in_one_place(self) -> None:
        if not hasattr(self, "hub"):
            return
        newest = self.counts(self.hub.current()[0].knowledge)
        self.check_counts(newest)
        for life in self.lives:
            knows = self.counts(life.member.knows)
            self.check_counts(knows)
            missing = {lesson for lesson in life.lessons - self.gone if knows.get(own(lesson)) != OWN}
            assert not missing, f"{life.member.name} has lost {missing}"
            told = {**self.published, **newest}
            waiting = {lesson for lesson in life.lessons - self.gone if told.get(own(lesson)) != OWN}
            if waiting:
                found = life.status
                assert found.unsent or found.waiting or found.refused_by_hub, f"{waiting} wait, and nobody says so"

    @staticmethod
    def counts(knowledge: Knowledge) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, count in zip(knowledge.names, knowledge.head.counts.tolist(), strict=True):
            found[called(name)] = found.get(called(name), 0) + count
        return found

    def check_counts(self, found: dict[str, int]) -> None:
        """No lesson counts twice or in part."""
        counted = {lesson for lesson in range(self.taught) if own(lesson) in found}
        assert all(found[own(lesson)] == OWN for lesson in counted), found
        least = SHARED * len(counted)
        most = SHARED * len(counted | self.gone)
        assert least <= found.get(EVERYONE, 0) <= most, (found, self.gone)

    @invariant()
    def what_is_written_is_read_and_small(self) -> None:
        for life in self.lives:
            assert life.member.model.state.damaged() == []
            assert len(Fleet(life.member.model).sent()) <= 40
        assert sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) < 16 * MOST_BYTES

    def settle(self) -> None:
        """Once nothing more happens, two rounds later all that any life still knows is in the round, and everywhere."""
        if not self.lives:
            return
        HIDDEN.clear()
        for _ in range(3):
            for life in self.lives:
                self.send(life)
            if self.hub.merge(MergeSettings()).is_merged or self.hub.current()[0].number:
                self.hub.publish()
            for life in self.lives:
                self._pull(life)
        newest = self.counts(self.hub.current()[0].knowledge)
        wanted = set[int]().union(*(life.lessons for life in self.lives)) - self.gone
        assert {lesson for lesson in wanted if newest.get(own(lesson)) != OWN} == set()


def machine(steps: int, examples: int, kind: type[Trust] = Trust) -> Any:
    """The machine as a test."""
    case = kind.TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    return case


TestTrust = machine(12, 8)

if __name__ == "__main__":
    import unittest

    wanted = int(sys.argv[1])
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(machine(40, max(wanted // 40, 1)))
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
