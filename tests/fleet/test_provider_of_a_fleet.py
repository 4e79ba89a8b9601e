"""Providers do not mix, by the real command line: what one taught, another neither answers nor merges."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import stand_in_trunk
from conftest import ROOT, environment, run_cli
from processes import one_line

from edge_nusa.cli import ending
from edge_nusa.cli.app import app
from edge_nusa.device.board.measure import write_pictures
from edge_nusa.model.bundle import embedded_bundle

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the stand-in's package installed, the embedded bundle, and none of this user's folders."""
    place = tmp_path_factory.mktemp("standin")
    path = os.pathsep.join([str(stand_in_trunk.package(place / "packages")), str(ROOT)])
    return {"PYTHONPATH": path, "EDGE_NUSA_BUNDLE": str(embedded_bundle()), "XDG_DATA_HOME": str(place / "data")}


@pytest.fixture(scope="module")
def real(variables: dict[str, str]) -> Run:
    """`edge-nusa` in a process of its own."""

    def run(*words: str | Path, **more: str) -> Done:
        return run_cli(*words, env={**variables, **more})

    return run


@pytest.fixture(scope="module")
def run(variables: dict[str, str]) -> Iterator[Run]:
    """The same commands to the same ends, in the process of the tests."""

    def run(*words: str | Path) -> Done:
        out, error = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(error):
            patched.syspath_prepend(variables["PYTHONPATH"].split(os.pathsep)[0])
            for name, value in environment(variables).items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["edge-nusa", *map(str, words)])
            code = ending.code_of(lambda: app([*map(str, words)], standalone_mode=False) or 0)
        return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())

    yield run
    sys.modules.pop("standin_trunk", None)  # its folder is on no path any more


def answer(done: Done) -> Any:
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), ("ash", "birch"), 6)


@pytest.fixture(scope="module")
def board(real: Run, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that the stand-in taught."""
    state = tmp_path_factory.mktemp("board") / "state"
    words = ("learn", "--dataset", pictures, "--head-only", "--force", "--state", state, "--provider", "standin")
    assert answer(real(*words))["generation"] == 1
    return state


def test_what_a_provider_taught_is_asked_by_it_and_by_auto_and_refused_by_another(
    real: Run, board: Path, pictures: Path
) -> None:
    ask = ("predict", pictures / "ash" / "0000.jpg", "--state", board)
    assert answer(real(*ask, "--provider", "standin"))["best"] == "ash"
    assert answer(real(*ask, "--provider", "auto"))["best"] == "ash"
    assert answer(real(*ask, EDGE_NUSA_PROVIDER="standin"))["best"] == "ash"
    told = one_line(real(*ask), 4)
    assert "this state belongs to another provider" in told
    assert "by another provider: standin, not cpu" in told and "at another precision: a8w8, not fp16" in told
    assert told.endswith("pass --provider standin, which taught it, or --provider auto, or another --state")


def test_looking_at_what_a_provider_taught_needs_neither_its_name_nor_its_package(
    real: Run, board: Path, pictures: Path
) -> None:
    without = {"PYTHONPATH": str(ROOT)}
    assert [row["label"] for row in answer(real("labels", "--state", board, **without))["labels"]] == [
        "ash",
        "birch",
    ]
    ask = ("predict", pictures / "ash" / "0000.jpg", "--state", board, "--provider")
    told = one_line(real(*ask, "auto", **without), 5)
    assert "was taught with the provider standin" in told and "no package here brings a trunk of that name" in told
    assert "begin anew with --provider cpu and another --state" in told
    assert "expected one of auto, cpu" in one_line(real(*ask, "standin", **without), 2)


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
