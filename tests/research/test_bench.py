"""`bench`: measures with real commands, and advises only where its own figures say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import MICRO, ROOT, run_cli

from edge_nusa.cli.bench import _words
from edge_nusa.device.board import bench
from edge_nusa.device.board import linux as board
from edge_nusa.device.board.bench import advice, bench_board
from edge_nusa.device.board.costs import ColdCost, Costs, LearnCost, WarmCost
from edge_nusa.device.board.measure import child, in_turn
from edge_nusa.errors import EdgeNusaError, ResourceError
from edge_nusa.model.bundle import Bundle

LEARN = LearnCost(seconds=1.0, peak_rss_bytes=1, images=16, steps=5)


def test_programs_get_the_costs_by_their_documented_names() -> None:
    parts: dict[str, Any] = {
        "bundle": "micro",
        "precision": "fp32",
        "provider": "cpu",
        "threads": {"1": 5.0},
        "advice": ["more"],
    }
    costs = Costs(learn=LEARN, cold=ColdCost(0.5, 2), warm=WarmCost(9.0, 8.0, 12.5), **parts)
    assert costs.to_json() == {
        **parts,
        "learn": {"seconds": 1.0, "peak_rss_bytes": 1, "images": 16, "steps": 5, "text_left_out": ""},
        "cold": {"seconds": 0.5, "peak_rss_bytes": 2},
        "warm": {"milliseconds_an_image": 9.0, "trunk_milliseconds": 8.0, "overhead_percent": 12.5},
    }


@pytest.mark.slow
def test_the_short_form_measures_every_part() -> None:
    done = run_cli("bench", "--steps", "5", "--format", "json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["bundle"] == "micro"
    assert found["learn"]["images"] == 16
    assert 1 <= found["learn"]["steps"] <= 5
    assert found["learn"]["peak_rss_bytes"] > found["cold"]["peak_rss_bytes"] > 20 << 20
    assert found["warm"]["milliseconds_an_image"] > 0 < found["warm"]["trunk_milliseconds"]
    assert "1" in found["threads"]


def without(module: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every child finds no such package."""
    (folder / "sitecustomize.py").write_text(
        "import importlib.util, sys\n"
        f"sys.modules[{module!r}] = None\n"
        "real = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *words: None if name == {module!r} else real(name, *words)\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.slow
def test_without_torch_predict_is_measured_and_the_lesson_by_the_head_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without("torch", tmp_path, monkeypatch)
    found = bench_board(MICRO, 1, None, lambda line: None)
    assert found.cold.seconds > 0 and found.warm.milliseconds_an_image > 0
    assert found.learn is not None and found.learn.steps == 0 and "torch is not installed" in found.learn.text_left_out
    assert any(line.startswith("the lesson was the head's alone: torch is not installed") for line in found.advice)
    assert "by the head alone" in _words(found)


def test_a_lesson_that_fails_is_measured_by_the_head_and_where_that_fails_too_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    tried: list[tuple[str, ...]] = []

    def learned(pictures: Path, wanted: Sequence[str], common: Sequence[str | Path]) -> LearnCost:
        tried.append(tuple(wanted))
        if "--head-only" in wanted and len(tried) < 3:
            return LEARN
        raise EdgeNusaError("torch is broken")

    monkeypatch.setattr(bench, "_learned", learned)
    cost, failed = bench.lesson_cost(Path(), 7, [], said.append)
    assert (cost, failed) == (replace(LEARN, text_left_out="torch is broken"), [])
    assert tried == [("--steps", "7"), ("--head-only", "--again")]
    assert said == ["learning again, by the head alone: torch is broken"]
    cost, failed = bench.lesson_cost(Path(), None, [], said.append)
    assert (cost, failed) == (None, ["learning fails here (torch is broken); see `edge-nusa doctor`"])
    parts: dict[str, Any] = {"bundle": "b", "precision": "p", "provider": "cpu", "threads": {}, "advice": failed}
    costs = Costs(learn=cost, cold=ColdCost(0.5, 2), warm=WarmCost(9.0, 8.0, 12.5), **parts)
    assert costs.to_json()["learn"] is None and "learn " in _words(costs) and "failed" in _words(costs)
    assert advice(None, {"1": 5.0}, Bundle.open(MICRO), 1) == advice(LEARN, {"1": 5.0}, Bundle.open(MICRO), 1)


def test_fewer_threads_are_advised_only_where_they_are_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "processor", lambda: ("old", frozenset()))
    bundle = Bundle.open(MICRO)
    slower = [line for line in advice(LEARN, {"1": 5.0, "2": 9.0}, bundle, 0) if "--threads" in line]
    assert slower == ["--threads 1 is faster here: 5.0 ms a picture in the trunk instead of 9.0 ms"]
    assert not [line for line in advice(LEARN, {"1": 9.0, "2": 5.0}, bundle, 0) if "--threads" in line]
    assert not [line for line in advice(LEARN, {"1": 5.0, "2": 9.0}, bundle, 1) if "--threads" in line]


def test_int8_is_advised_where_the_processor_has_dot_products(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(MICRO)
    for flags, expected in ((frozenset({"asimddp"}), 1), (frozenset({"asimd"}), 0)):
        monkeypatch.setattr(board, "processor", lambda flags=flags: ("board", flags))
        assert sum("--precision int8" in line for line in advice(LEARN, {"1": 5.0}, bundle, 1)) == expected


def test_the_bound_of_memory_of_a_setting_holds_in_what_is_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_NUSA_CONFIG", "")
    monkeypatch.delenv("EDGE_NUSA_MAX_MEMORY", raising=False)
    assert bench._bound() == []
    monkeypatch.setenv("EDGE_NUSA_MAX_MEMORY", "512M")
    assert bench._bound() == ["--max-memory", "512M"]


def test_a_child_that_fails_or_is_killed_is_said() -> None:
    assert child([sys.executable, "-c", "print(1)"]).output == "1\n"
    told = "import os; print([(n, os.environ[n]) for n in os.environ if n.startswith('EDGE_NUSA_')])"
    assert child([sys.executable, "-c", told]).output == "[('EDGE_NUSA_CONFIG', '')]\n"  # no table of the user's
    with pytest.raises(EdgeNusaError, match="ended with 3: broken"):
        child([sys.executable, "-c", "import sys; print('broken', file=sys.stderr); sys.exit(3)"])
    with pytest.raises(ResourceError, match="killed by signal 9"):
        child([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])


def test_calls_are_taken_in_turn() -> None:
    order: list[str] = []
    taken = in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 3
    assert {name: len(values) for name, values in taken.items()} == {"a": 3, "b": 3}


@pytest.mark.slow
def test_the_benches_without_opponents_run(tmp_path: Path) -> None:
    basis: list[str | Path] = [
        sys.executable,
        ROOT / "research/rivals/basis.py",
        "--sizes",
        "96:2",
        "--rank",
        "8",
        "--rounds",
        "1",
        "--json",
        tmp_path / "basis.json",
    ]
    assert "times |" in subprocess.run(basis, capture_output=True, text=True, check=True).stdout
    assert json.loads((tmp_path / "basis.json").read_text())["fresh SVD"] > 0
    growth: list[str | Path] = [
        sys.executable,
        ROOT / "research/rivals/growth.py",
        "--images",
        "2",
        "--tasks",
        "1",
        "--labels",
        "2",
        "--steps",
        "2",
        "--json",
        tmp_path / "growth.json",
    ]
    subprocess.run(growth, capture_output=True, text=True, check=True)
    assert {name: len(rows) for name, rows in json.loads((tmp_path / "growth.json").read_text()).items()} == {
        "tasks": 1,
        "images": 1,
        "labels": 1,
    }
    micro = MICRO
    learn: list[str | Path] = [
        sys.executable,
        ROOT / "research/rivals/learn.py",
        "--bundle",
        micro,
        "--paper-bundle",
        micro,
        "--opponents",
        "none",
        "--opponent-steps",
        "2",
        "--steps",
        "3",
        "--shots",
        "2",
    ]
    subprocess.run([*learn, "--json", tmp_path / "learn.json"], capture_output=True, text=True, check=True)
    rows = json.loads((tmp_path / "learn.json").read_text())
    assert rows["--recipe paper (steps multiplied)"]["peak_rss_bytes"] > 0 < rows["edge-nusa learn"]["seconds"]


@pytest.mark.parametrize("name", ["learn", "predict", "basis", "growth", "opponents"])
def test_every_bench_says_how_it_is_called(name: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "research" / "rivals" / f"{name}.py", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--" in done.stdout
