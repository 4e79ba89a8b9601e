"""Providers do not mix, by the real command line: what one taught, another neither answers nor merges."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stand_in_trunk
from conftest import ROOT, command, environment
from processes import one_line

from edge_nusa.device.board.measure import write_pictures
from edge_nusa.model.bundle import embedded_bundle

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`edge-nusa` with the stand-in's package installed, over the embedded bundle, without this user's folders."""
    place = tmp_path_factory.mktemp("standin")
    path = os.pathsep.join([str(stand_in_trunk.package(place / "packages")), str(ROOT)])
    own = {"PYTHONPATH": path, "EDGE_NUSA_BUNDLE": str(embedded_bundle()), "XDG_DATA_HOME": str(place / "data")}

    def run(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        env = environment({**own, **variables})
        return subprocess.run(command(*words), env=env, cwd=place, capture_output=True, text=True, timeout=120)

    return run


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), ("ash", "birch"), 6)


@pytest.fixture(scope="module")
def board(run: Run, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that the stand-in taught."""
    state = tmp_path_factory.mktemp("board") / "state"
    words = ("learn", "--dataset", pictures, "--head-only", "--force", "--state", state, "--provider", "standin")
    assert answer(run(*words))["generation"] == 1
    return state


def test_what_a_provider_taught_is_asked_by_it_and_by_auto_and_refused_by_another(
    run: Run, board: Path, pictures: Path
) -> None:
    ask = ("predict", pictures / "ash" / "0000.jpg", "--state", board)
    assert answer(run(*ask, "--provider", "standin"))["best"] == "ash"
    assert answer(run(*ask, "--provider", "auto"))["best"] == "ash"
    assert answer(run(*ask, EDGE_NUSA_PROVIDER="standin"))["best"] == "ash"
    told = one_line(run(*ask), 4)
    assert "this state belongs to another provider" in told
    assert "by another provider: standin, not cpu" in told and "at another precision: a8w8, not fp16" in told
    assert told.endswith("pass --provider standin, which taught it, or --provider auto, or another --state")


def test_looking_at_what_a_provider_taught_needs_neither_its_name_nor_its_package(
    run: Run, board: Path, pictures: Path
) -> None:
    without = {"PYTHONPATH": str(ROOT)}
    assert [row["label"] for row in answer(run("labels", "--state", board, **without))["labels"]] == ["ash", "birch"]
    ask = ("predict", pictures / "ash" / "0000.jpg", "--state", board, "--provider")
    told = one_line(run(*ask, "auto", **without), 5)
    assert "was taught with the provider standin" in told and "no package here brings a trunk of that name" in told
    assert "begin anew with --provider cpu and another --state" in told
    assert "expected one of auto, cpu" in one_line(run(*ask, "standin", **without), 2)


def test_the_doctor_compares_a_trunk_with_the_cpus_and_says_what_taught_the_state(run: Run, board: Path) -> None:
    done = run("doctor", "--state", board, "--provider", "standin", "--format", "json")
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert (found["provider"]["status"], found["provider"]["found"]) == ("ok", "standin is asked for")
    compared = found["provider standin"]
    assert compared["status"] == "ok"
    assert re.match(r"works: [5-8] of 8 drawn pictures get the CPU's answer, its features differ a", compared["found"])
    assert found["state's current generation"]["status"] == "ok"
    done = run("doctor", "--state", board, "--format", "json")
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["provider"] == {
        "name": "provider",
        "status": "warning",
        "found": "cpu is asked for, and this state was taught with standin",
        "next_step": "edge-nusa config provider standin, or another --state",
    }
    assert "provider standin" not in found


@pytest.fixture(scope="module")
def by_cpu(run: Run, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that the CPU taught."""
    state = tmp_path_factory.mktemp("cpu") / "state"
    answer(run("learn", "--dataset", pictures, "--head-only", "--force", "--state", state))
    return state


def test_what_the_cpu_taught_is_neither_asked_nor_taught_by_another(run: Run, by_cpu: Path, pictures: Path) -> None:
    picture = pictures / "ash" / "0000.jpg"
    teach = ("learn", picture, "ash", "--head-only", "--again", "--state", by_cpu, "--provider", "standin")
    told = one_line(run(*teach), 4)
    assert "by another provider: cpu, not standin" in told and "pass --provider cpu" in told
    assert answer(run("predict", picture, "--state", by_cpu, "--provider", "auto"))["best"] == "ash"


def test_a_hub_merges_its_own_provider_alone_and_its_rounds_go_to_no_other(
    run: Run, board: Path, by_cpu: Path, tmp_path: Path
) -> None:
    hub, store = tmp_path / "hub", tmp_path / "store"
    answer(run("hub", "init", store, "--hub", hub, "--provider", "standin:a8w8"))
    for state in (board, by_cpu):
        answer(run("sync", "init", store, "--root", hub / "root.json", "--state", state))
        answer(run("hub", "enroll", state / "sync" / "device.pub", "--hub", hub))
        answer(run("sync", "push", "--state", state))
    merged = json.loads(run("hub", "merge", "--hub", hub).stdout)
    answer(run("hub", "publish", "--hub", hub))
    assert merged["round"] == 1 and "it was learned with another provider" in json.dumps(merged)
    assert "by another provider: cpu, not standin" in json.dumps(merged)
    assert answer(run("sync", "pull", "--state", board))["round"] == 1
    told = one_line(run("sync", "pull", "--state", by_cpu), 4)
    assert "a round of another provider" in told and told.endswith(
        "use the provider that the fleet was made with (`edge-nusa config provider standin`), and join with a state "
        "that nothing else taught"
    )
