"""A fleet over many rounds: devices are away, commands are killed, labels are taught and taken back; all end on one
round.

The whole simulation is `python tests/fleet/test_fleet_simulation.py` (20 devices, 50 rounds); the test runs a smaller
one. Files, signatures, hub, state and merging are the product's. One thing is not: the judge's look at the vocabulary,
which runs the text tower, is left out here, as its runtime cannot be forked; tests/fleet/test_fleet_hub.py has it.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleet_world import Member, bundle, new_hub, one_round
from state_chains import exit_status, in_child
from test_fleet_faults import every_change, rows

from edge_nusa.device.asking.answer import Answerer, PictureFeatures
from edge_nusa.device.fleet import round_judge
from edge_nusa.device.learning import judge
from edge_nusa.errors import EdgeNusaError
from edge_nusa.files import durable
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.model.bundle import Bundle
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings

pytestmark = pytest.mark.slow

AWAY, KILLED, FARTHEST_CHANGE = 0.3, 0.2, 60


@dataclass
class Outcome:
    """kills that struck; labels by key with the pictures each must have; seconds."""

    kills: int
    expected: dict[str, int]
    seconds: float


def unjudged(bundle: Bundle, knowledge: Knowledge, threads: int) -> tuple[Knowledge, judge.Retention]:
    """`round_judge.with_anchors` without its text tower: anchors of the right size."""
    ones = np.full(
        (len(knowledge.labels), bundle.manifest.text.embed_dim), bundle.manifest.text.embed_dim**-0.5, np.float32
    )
    return replace(knowledge, frozen_anchors=ones, adapted_anchors=ones), judge.Retention(100.0, 1.0, None)


def tried(action: Callable[[], Any], chance: random.Random) -> bool:
    """Run a command in a forked process; whether it was killed at a random change of the disk. A refusal is no
    failure."""
    point = chance.randrange(1, FARTHEST_CHANGE) if chance.random() < KILLED else 0

    def fault(number: int, name: str, args: tuple[Any, ...], operation: Callable[[], Any]) -> Any:
        if number == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return operation()

    def work() -> None:
        with every_change(fault):
            action()

    status = exit_status(in_child(work))
    assert status in (0, -signal.SIGKILL), "a command failed"
    return status != 0


def taught(member: Member, number: int, chance: random.Random, expected: dict[str, int]) -> None:
    """Now and then a device is taught a label of its own or one that others teach too."""
    if chance.random() < 0.3:
        label = chance.choice([f"thing of {member.name}", "cup", "plate", "chair"])
        count = chance.randrange(1, 6)
        member.teach({label: rows(number, count)}, number)
        expected[label] = expected.get(label, 0) + count


def simulated(
    folder: Path, devices: int, rounds: int, seed: int, say: Callable[[str], None]
) -> tuple[Hub, list[Member], Outcome]:
    """The fleet after so many rounds and a last one in which everyone is there and nothing is killed."""
    chance, began, kills = random.Random(seed), time.monotonic(), 0
    expected: dict[str, int] = {}
    hub = new_hub(folder)
    members = [Member(folder, hub, f"device-{number}") for number in range(devices)]
    for turn in range(rounds):
        present = [member for member in members if chance.random() >= AWAY]
        for index, member in enumerate(members):
            taught(member, turn * devices + index, chance, expected)
        for action in [
            *(member.push for member in present),
            lambda: hub.merge(MergeSettings()),
            lambda: hub.current()[0].number and hub.publish(),
        ]:
            kills += tried(action, chance)
        for member in present:
            kills += tried(partial(pulled, member), chance)
        say(
            f"round {turn + 1}: {len(present)} of {devices} there, {kills} kills so far, {len(expected)} labels, "
            f"{time.monotonic() - began:.0f} s"
        )
    one_round(hub, members)
    return hub, members, Outcome(kills, expected, time.monotonic() - began)


def pulled(member: Member) -> None:
    """A pull; before the first publication there is nothing to pull."""
    try:
        member.pull()
    except EdgeNusaError as error:
        assert "expected a published round in the store" in str(error)


def checked(hub: Hub, members: list[Member], outcome: Outcome) -> str:
    """The one round that all devices are on, with every picture of every label. Raises AssertionError."""
    marks = {member.knows.round for member in members}
    assert len(marks) == 1
    for member in members:
        assert member.labels == outcome.expected
    found = hub.current()[0].knowledge
    assert dict(zip(found.names, found.head.counts.tolist(), strict=True)) == outcome.expected
    assert hub.status().devices and all(row.refused == {} for row in hub.status().devices)
    states = {
        tuple(
            (member.model.state.current() or pytest.fail("no state")).files[name]
            for name in ("core.safetensors", "head.safetensors")
        )
        for member in members
    }
    assert len(states) == 1
    return marks.pop().sha256


def test_devices_that_are_away_and_killed_end_on_one_round_with_every_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_judge, "with_anchors", unjudged)
    hub, members, outcome = simulated(tmp_path, 5, 8, 1, lambda line: None)
    checked(hub, members, outcome)
    assert outcome.kills >= 5


def test_learning_and_syncing_at_once_lose_no_lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_judge, "with_anchors", unjudged)
    hub = new_hub(tmp_path)
    members = [Member(tmp_path, hub, name) for name in ("a", "b")]

    def learn(member: Member) -> None:
        for number in range(8):
            member.teach({f"thing of {member.name}": rows(number, 2)}, number)

    def exchange(member: Member) -> None:
        for _ in range(6):
            try:
                member.push()
                member.pull()
            except EdgeNusaError as error:
                assert "found one running" in str(error) or "expected a published round" in str(error), str(error)

    children = [in_child(partial(work, member)) for member in members for work in (learn, exchange, exchange)]
    for _ in range(4):
        if hub.merge(MergeSettings()).is_merged:
            hub.publish()
    assert [exit_status(child) for child in children] == [0] * len(children)
    for _ in range(2):
        one_round(hub, members)
    assert members[0].labels == members[1].labels == {"thing of a": 16, "thing of b": 16}


TIMES = 50
"""Of each of eight processes at one state."""


def test_eight_processes_at_one_state_lose_no_lesson_and_one_killed_with_the_lock_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # teach, forget and undo as they are, and answers by the head; the towers' runtime cannot be forked
    monkeypatch.setattr(round_judge, "with_anchors", unjudged)
    hub = new_hub(tmp_path)
    member, other = (Member(tmp_path, hub, name) for name in ("a", "b"))
    member.teach({"first": rows(0, 2)}, 0)
    one_round(hub, [member, other])

    def learn(name: str) -> None:
        for number in range(TIMES):
            # small cores: where the exchanges end first, one update brings a hundred lessons, and the sum of so many
            # random cores is more than the hub believes of lessons
            member.teach({f"thing {name}": rows(number, 2)}, number, core_size=0.002)

    def die_with_the_lock() -> None:
        for number in range(TIMES):
            if not was_killed(partial(dying, member, number)):
                raise AssertionError("a learner did not die")

    def ask() -> None:
        embedding = np.ones((2, bundle().manifest.text.embed_dim), np.float32) / 16
        views = PictureFeatures(embedding, embedding, rows(99, 2))
        for _ in range(TIMES):
            knowledge = member.knows
            none = np.zeros((0, views.frozen.shape[1]), np.float32)
            found = Answerer(knowledge, bundle().manifest.logit_scale, none, none)(views).probabilities
            assert found.shape == (2, len(knowledge.labels)) and (found.sum(axis=1) <= 1 + 1e-9).all()
            assert member.model.state.damaged() == []

    def push_and_pull() -> None:
        for _ in range(TIMES):
            exchanged(member)

    def merge_and_publish() -> None:
        for _ in range(TIMES):
            if hub.merge(MergeSettings()).is_merged:
                hub.publish()

    works = [
        lambda: learn("one"),
        lambda: learn("two"),
        die_with_the_lock,
        ask,
        ask,
        push_and_pull,
        push_and_pull,
        merge_and_publish,
    ]
    children = [in_child(work) for work in works]
    assert [exit_status(child) for child in children] == [0] * len(children)
    told = [one_round(hub, [member, other]).to_json() for _ in range(2)]
    expected = {"first": 2, "thing one": 2 * TIMES, "thing two": 2 * TIMES}
    assert member.labels == other.labels == expected, (told, hub.status().to_json())
    assert hub.status().devices[0].refused == {}


def dying(member: Member, number: int) -> None:
    """A learner that is killed while it holds the state's lock, its generation written in part."""
    with member.model.state.writer():
        (member.model.state.folder / "generations" / durable.temporary_name()).mkdir()
        os.kill(os.getpid(), signal.SIGKILL)


def was_killed(work: Callable[[], None]) -> bool:
    """Whether a forked process was killed by itself."""
    return exit_status(in_child(work)) == -signal.SIGKILL


def exchanged(member: Member) -> None:
    """A push and a pull, where another sync of the same state may be running, or learning goes on meanwhile."""
    try:
        member.push()
        member.pull()
    except EdgeNusaError as error:
        assert any(
            words in str(error) for words in ("found one running", "found it changed", "another process writing")
        ), str(error)


def main() -> None:
    """20 devices, 50 rounds; or as many as the two words say."""
    devices, rounds = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (20, 50)
    round_judge.with_anchors = unjudged
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        hub, members, outcome = simulated(Path(folder), devices, rounds, 0, lambda line: print(line, flush=True))
        sha256 = checked(hub, members, outcome)
        print(
            f"all {devices} devices on round {members[0].knows.round.number} {sha256[:16]}, {len(outcome.expected)} "
            "labels, "
            f"{sum(outcome.expected.values())} pictures, {outcome.kills} kills, {outcome.seconds:.0f} s"
        )


if __name__ == "__main__":
    main()
