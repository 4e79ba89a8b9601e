"""SIGKILL at random moments of `learn`: what is current afterwards is the old generation or the new one, whole."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from conftest import MICRO, answer_of
from state_chains import exit_status, in_child

from edge_nusa.cli.app import app
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.model import Model
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import FILES, load

pytestmark = pytest.mark.slow

KILLS = 50
ATTEMPTS = 400
"""A learn that ends before its kill is no kill, and is tried again; this many tries are far more than ever needed."""
SEED = 7


def learn_here(state: Path, folder: Path, seed: int) -> None:
    """`edge-nusa learn` inside this process, its output thrown away."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    words = [
        "learn",
        "--again",
        "--images",
        str(folder),
        "--label",
        "gravel",
        "--state",
        str(state),
        "--bundle",
        str(MICRO),
        "--steps",
        "5",
        "--threads",
        "1",
    ]
    app([*words, "--seed", str(seed)], standalone_mode=False)


def in_forked_learn(state: Path, folder: Path, seed: int) -> int:
    """The pid of a forked process that learns, in a session of its own."""
    return in_child(lambda: learn_here(state, folder, seed))


def killed_after(pid: int, seconds: float) -> tuple[int, float]:
    """Kill the process after so many seconds, or find that it ended: its exit status, and how long it ran."""
    began = time.monotonic()
    while (ran := time.monotonic() - began) < seconds:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return exit_status(pid), ran
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    return exit_status(pid), ran


@pytest.fixture(scope="module", autouse=True)
def _torch_is_imported_before_the_forks() -> None:
    """Only imported: a process that has run torch's or onnxruntime's threads must not fork."""
    from edge_nusa.device.learning import learn, train_cores  # noqa: F401


def test_a_killed_learn_leaves_the_old_generation_or_the_new_one(taught: Path, pictures: DemoPictures) -> None:
    folder, model, chance = pictures.taught["gravel"], Model.open(MICRO, taught, 1), random.Random(SEED)
    began = time.monotonic()
    assert exit_status(in_forked_learn(taught, folder, 0)) == 0
    whole = time.monotonic() - began
    number, known = load(model.bundle, model.state, DEVICE)
    assert known.tasks == 2
    killed, kept_old = 0, 0
    for attempt in range(1, ATTEMPTS):
        before = model.state.snapshot(FILES)
        # four in ten anywhere in the run, the others near its end, where the state is written
        share = chance.uniform(0, 1) if attempt % 5 < 2 else chance.uniform(0.85, 1.02)
        status, ran = killed_after(in_forked_learn(taught, folder, attempt), whole * share)
        assert status in (0, -signal.SIGKILL)
        was_killed = status != 0
        whole = ran if not was_killed else whole * 1.01  # runs get faster or slower with the machine's load
        after = model.state.snapshot(FILES)
        assert before is not None and after is not None
        found, knowledge = load(model.bundle, model.state, DEVICE)
        if found == number:
            assert was_killed and after == before
        else:
            assert found > number and knowledge.tasks == tasks_in(before[1]) + 1
        after[0].verify()
        assert model.state.damaged() == []
        killed, kept_old, number = killed + was_killed, kept_old + (found == number), found
        if killed == KILLS:
            break
    assert killed == KILLS and kept_old > 0
    report = answer_of("learn", "--images", folder, "--label", "gravel", "--state", taught, "--steps", "3", "--again")
    assert report["generation"] > number
    assert not [path for path in (taught / "generations").iterdir() if not path.name.isdecimal()], (
        "leftovers of killed writers"
    )


def tasks_in(files: dict[str, bytes]) -> int:
    """How many tasks these files say were learned."""
    import json

    return int(json.loads(files["labels.json"])["tasks"])
