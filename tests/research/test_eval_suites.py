"""`edge-nusa eval` as a whole: which runs a command does, that it does each once, and what it says of a command that
it refuses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import command, environment, run_cli
from eval_pictures import SETS, draw_sets

from edge_nusa import __version__
from edge_nusa.cli.app import app
from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, UsageError
from edge_nusa.research.figures.metrics import frozen_transfer, last, matrix_of, transfer
from edge_nusa.research.figures.runs import Run, read_runs
from edge_nusa.research.learners.learners import Gradient
from edge_nusa.research.protocol import doing, sequence
from edge_nusa.research.protocol.material import Settings, Sources
from edge_nusa.research.protocol.orders import class_order
from edge_nusa.research.protocol.suites import evaluate, told

FILES = ["results.json", "results.csv", "results-metrics.csv", "results.md", "results.html"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sets")
    draw_sets(folder, SETS)
    return folder


@pytest.fixture
def settings(data: Path, tmp_path: Path) -> Settings:
    """Two learned sets and one that never is, with the two quickest learners."""
    return Settings(
        suite="mtil",
        data=data,
        out=tmp_path / "out",
        learners=("frozen", "ridge"),
        shots=(2,),
        seeds=1,
        sets=("stone", "cloth"),
        never="sky",
        steps=2,
        cache=data.parent / "cache",
    )


def done(settings: Settings) -> list[Run]:
    evaluate(settings, lambda what, count, total: None)
    return runs_of(settings)


def runs_of(settings: Settings) -> list[Run]:
    """The folder's runs without what two runs of one thing never share."""
    return [replace(found, seconds=(), peak_rss_bytes=0) for found in read_runs(settings.out / "runs")]


def test_a_command_does_every_learner_seed_shot_and_order_and_writes_the_report(settings: Settings) -> None:
    asked = replace(settings, shots=(1, 2), seeds=2, first_seed=3, order="random:2")
    files = evaluate(asked, lambda what, count, total: None)
    assert [file.name for file in files] == FILES and all(file.stat().st_size > 500 for file in files)
    found = runs_of(asked)
    keys = {(found.learner, found.shots, found.seed, found.order_name) for found in found}
    assert keys == {
        (learner, shots, seed, f"random:{i}")
        for learner in ("frozen", "ridge")
        for shots in (1, 2)
        for seed in (3, 4)
        for i in (0, 1)
    }
    assert len(found) == 16
    assert {found.order for found in found} == {("stone", "cloth"), ("cloth", "stone")}
    assert all(run.retention[0] is not None for run in found)
    assert not list((asked.out / "parts").iterdir())


def test_finished_runs_are_not_done_twice_and_further_ones_join_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = done(settings)
    ran: list[str] = []
    do = doing.do

    def counted(sources: Sources, plan: sequence.Plan) -> None:
        ran.append(plan.learner)
        do(sources, plan)

    monkeypatch.setattr(doing, "do", counted)
    (settings.out / "results.md").unlink()
    assert done(settings) == before and ran == []
    assert (settings.out / "results.md").exists(), "the report is written again"
    after = done(replace(settings, learners=("frozen", "head", "ridge")))
    assert ran == ["head"]
    assert [run for run in after if run.learner != "head"] == before and len(after) == 3


def test_a_command_that_stopped_goes_on_after_its_last_whole_task(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(settings, learners=("text-only",))
    whole = done(replace(asked, out=settings.out.parent / "whole"))
    learn, learned = Gradient.learn, []

    def stops(self: Gradient, view: Any, pictures: Any, seed: int) -> None:
        learned.append(view.name)
        if len(learned) == 2:
            raise MemoryError
        learn(self, view, pictures, seed)

    monkeypatch.setattr(Gradient, "learn", stops)
    with pytest.raises(MemoryError):
        done(asked)
    assert [path.name for path in (asked.out / "parts").iterdir()] == ["mtil-text-only-2shots-seed0-given.npz"]
    assert done(asked) == whole
    assert learned == ["stone", "cloth", "cloth"]
    assert not list((asked.out / "parts").iterdir())


def test_a_run_is_kept_before_its_part_is_removed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def checked(self: Path, missing_ok: bool = False) -> None:
        assert self.suffix != ".npz" or (settings.out / "runs" / f"{self.stem}.json").exists()
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", checked)
    assert len(done(settings)) == 2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("test_limit", 4, "begun with test_limit 0, now it is 4; take another --out"),
        ("steps", 3, "begun with steps 2, now it is 3"),
        ("rate", 0.5, "begun with rate None, now it is 0.5"),
        ("image_blocks", 1, "begun with image_blocks None, now it is 1"),
        ("never", "", "begun with never 'sky', now it is ''"),
        ("sets", ("stone",), r"begun with sets \['cloth', 'stone'\], now it is \['stone'\]"),
        (
            "sets",
            ("cloth", "stone"),
            r"frozen-2shots-seed0-given.json: expected the tasks cloth, stone, found stone, cloth; take another --out",
        ),
    ],
)
def test_other_settings_in_one_folder_are_refused(name: str, value: object, message: str, settings: Settings) -> None:
    before = done(settings)
    with pytest.raises(UsageError, match=message):
        done(replace(settings, **{name: value}))  # type: ignore[arg-type]
    assert runs_of(settings) == before == done(settings)


def test_another_suite_in_one_folder_is_refused(settings: Settings) -> None:
    done(replace(settings, sets=("stone",)))
    with pytest.raises(UsageError, match="begun with suite 'mtil', now it is 'cil'"):
        done(replace(settings, suite="cil", sets=("stone",), steps_of_classes=(2,)))


@pytest.mark.parametrize("content", ["", "[1]", "7"])
def test_damaged_settings_of_a_folder_are_named(content: str, settings: Settings) -> None:
    done(settings)
    (settings.out / "settings.json").write_text(content)
    with pytest.raises(DamagedError, match=r"settings\.json: expected the settings of the runs beside it"):
        done(settings)


def test_what_differs_from_command_to_command_is_no_other_setting(settings: Settings) -> None:
    before = done(settings)
    other = replace(settings, threads=2, cache=None, learners=("frozen",), seeds=1)
    assert done(other) == before


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"sets": ("stone", "cats")}, InputError, "expected sets out of cloth, sky, stone, found cats"),
        ({"never": "cats"}, InputError, "found cats"),
        ({"never": "cats", "sets": ()}, InputError, "--never: there is no set 'cats'"),
        ({"data": Path("/nowhere")}, InputError, "/nowhere: expected a folder"),
        ({"order": "backwards"}, UsageError, "--order: expected I, II, given"),
        ({"order": "I"}, UsageError, "--order I: expected only sets of aircraft"),
        (
            {"suite": "cil", "sets": ("stone",), "steps_of_classes": (4,)},
            UsageError,
            "--class-steps 4: there are 3 classes in stone; expected from 1 to as many",
        ),
        (
            {"suite": "cil", "sets": ("stone",), "steps_of_classes": (0,)},
            UsageError,
            "--class-steps 0: .* expected from 1",
        ),
    ],
)
def test_a_command_that_does_not_fit_is_refused_before_anything_is_computed(
    change: dict[str, Any], kind: type[EdgeNusaError], message: str, settings: Settings
) -> None:
    with pytest.raises(kind, match=message):
        done(replace(settings, **change, cache=None))
    assert [path.name for path in settings.out.rglob("*") if path.is_file()] == []


def test_cil_cuts_one_set_into_steps_of_all_its_classes(settings: Settings) -> None:
    asked = replace(
        settings, suite="cil", sets=("stone",), steps_of_classes=(3, 2), never="", learners=("ridge",), order="random:2"
    )
    found = done(asked)
    assert [(run.order, run.order_name) for run in found] == [
        (("step 1", "step 2"), "random:0"), (("step 1", "step 2"), "random:1"),
        (("step 1", "step 2", "step 3"), "random:0"), (("step 1", "step 2", "step 3"), "random:1"),
    ]  # fmt: skip
    for run in found:
        assert run.accuracy[0] == (None,) * len(run.order) and run.joint[0] is None
        assert all(
            (run.accuracy[t][j] is None) == (j >= t) for t in range(len(run.order) + 1) for j in range(len(run.order))
        )
        assert run.joint[1] == run.accuracy[1][0]
    # after all classes were seen, neither how they were cut nor their order matters to sums
    assert len({run.joint[-1] for run in found}) == 1


def test_cil_joins_the_classes_of_several_sets(settings: Settings) -> None:
    asked = replace(
        settings, suite="cil", sets=("stone", "cloth"), steps_of_classes=(5, 2), never="", learners=("ridge", "frozen")
    )
    found = {(run.learner, len(run.order)): run for run in done(asked)}
    assert set(found) == {("ridge", 2), ("ridge", 5), ("frozen", 2), ("frozen", 5)}
    assert found["ridge", 5].joint[-1] == found["ridge", 2].joint[-1]
    assert all(
        run.joint[-1] is not None and run.joint[-1] > 100 / 5 for run in found.values() if run.learner == "ridge"
    )
    with pytest.raises(UsageError, match="this folder was begun with sets"):
        done(replace(asked, sets=("cloth", "stone")))
    with pytest.raises(UsageError, match="--class-steps 6: there are 5 classes in stone, cloth; expected from 1"):
        done(replace(asked, steps_of_classes=(6,), out=settings.out.with_name("other")))


@pytest.mark.kernels
def test_runs_side_by_side_say_what_runs_one_by_one_say(settings: Settings) -> None:
    asked = replace(settings, learners=("text-only", "ridge", "default"))
    alone = done(asked)
    together = done(replace(asked, out=settings.out.parent / "together", jobs=2))
    assert together == alone and len(alone) == 3


def test_a_failure_in_one_of_several_processes_is_told(settings: Settings) -> None:
    asked = replace(settings, learners=("ridge", "frozen"), jobs=2)
    done(replace(asked, learners=("frozen",), jobs=1))
    (asked.out / "parts" / "mtil-ridge-2shots-seed0-given.npz").write_bytes(b"no zip")
    with pytest.raises(DamagedError, match="ridge-2shots-seed0-given.npz: not part of a run"):
        done(asked)


def test_the_order_of_classes_is_the_same_for_ever() -> None:
    assert class_order(8, "given").tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert class_order(8, "random:0").tolist() == [1, 0, 6, 3, 2, 7, 5, 4]
    assert class_order(8, "random:1").tolist() == [6, 5, 2, 1, 4, 0, 7, 3]
    assert sorted(class_order(100, "random:7").tolist()) == list(range(100))


def test_the_report_says_how_it_was_made_and_names_no_path(settings: Settings, data: Path) -> None:
    shown = told(replace(settings, bundle=Path("/secret/bundle")), "ab" * 32)
    assert shown["sets"] == "stone, cloth" and shown["learners"] == "frozen, ridge" and shown["never"] == "sky"
    assert (shown["basis"], shown["edge_nusa"]) == ("ab" * 32, __version__)
    done(settings)
    for file in FILES:
        assert str(data.parent) not in (settings.out / file).read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["all"], "eval: there is no suite 'all'; expected mtil, cil, orders"),
        (["mtil", "--learners", "frozen,magic"], "--learners: there is no magic; expected `all` or some of frozen"),
        (["mtil", "--shots", "5,x"], "--shots: expected whole numbers such as 5,16, got '5,x'"),
        (["mtil", "--shots", ""], "--shots: expected whole numbers"),
        (["cil", "--class-steps", "-1"], "--class-steps: expected whole numbers"),
    ],
)
def test_words_that_the_command_does_not_know_are_named(
    words: list[str], message: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        app(["eval", *words, "--data", str(data), "--out", str(tmp_path / "out")], standalone_mode=False)
    assert not (tmp_path / "out").exists()


def words(data: Path, out: Path, *more: str) -> list[str | Path]:
    return [
        "eval",
        "mtil",
        "--data",
        data,
        "--out",
        out,
        "--sets",
        "stone, cloth",
        "--never",
        "sky",
        "--shots",
        "2",
        *more,
    ]


@pytest.mark.slow
def test_eval_in_a_fresh_process_writes_all_its_files(data: Path, tmp_path: Path) -> None:
    ended = run_cli(
        *words(data, tmp_path / "out", "--learners", "frozen,ridge,default", "--steps", "2"), "--format", "json"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    printed = json.loads(ended.stdout)
    assert printed == json.loads((tmp_path / "out" / "results.json").read_text())
    assert [run["learner"] for run in printed["runs"]] == ["default", "frozen", "ridge"]
    assert {tuple(run["order"]) for run in printed["runs"]} == {("stone", "cloth")}
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["learner"], row["name"], row["labels"], row["taught"]) for row in rows] == [
        (learner, name, labels, taught)
        for learner in ("default", "frozen", "ridge")
        for name, labels, taught in (("stone", "3", "6"), ("cloth", "2", "4"))
    ]
    assert "| default |" in (tmp_path / "out" / "results.md").read_text()
    assert (tmp_path / "out" / "results.html").read_text().startswith("<!DOCTYPE html>")
    again = run_cli(*words(data, tmp_path / "out", "--learners", "frozen", "--steps", "2"), "--format", "human")
    assert again.returncode == 0 and "## " in again.stdout and "results.html" in again.stdout
    refused = run_cli(*words(data, tmp_path / "out", "--learners", "frozen", "--steps", "3"))
    assert (
        refused.returncode == 2
        and "begun with steps 2, now it is 3" in refused.stderr
        and refused.stderr.count("\n") == 1
    )


@pytest.mark.slow
def test_eval_killed_in_a_task_is_finished_by_the_same_command(data: Path, tmp_path: Path) -> None:
    more = ("--learners", "text-only,ridge", "--steps", "25")
    whole = run_cli(*words(data, tmp_path / "whole", *more))
    assert whole.returncode == 0, whole.stderr
    part = tmp_path / "out" / "parts" / "mtil-text-only-2shots-seed0-given.npz"
    running = subprocess.Popen(
        command(*words(data, tmp_path / "out", *more)), env=environment(), stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not part.exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert part.exists() and not list((tmp_path / "out" / "runs").iterdir())
    learned = part.stat().st_mtime_ns
    ended = run_cli(*words(data, tmp_path / "out", *more))
    assert ended.returncode == 0, ended.stderr
    one, other = (
        [replace(found, seconds=(), peak_rss_bytes=0) for found in read_runs(tmp_path / name / "runs")]
        for name in ("whole", "out")
    )
    assert one == other and len(one) == 2
    assert learned and not part.exists()


@pytest.mark.data
@pytest.mark.slow
def test_default_beats_ridge_on_real_pictures_and_keeps_what_the_untouched_model_knew(
    data_folder: Path, tmp_path: Path
) -> None:
    sets = ("caltech101", "mnist", "rsscn7")
    asked = Settings(
        suite="mtil",
        data=data_folder,
        out=tmp_path,
        learners=("frozen", "ridge", "default"),
        shots=(16,),
        seeds=1,
        sets=sets,
        steps=20,
        test_limit=50,
    )
    evaluate(asked, lambda what, count, total: None)
    accuracy = {found.learner: matrix_of(found.accuracy) for found in read_runs(tmp_path / "runs")}
    lasts = {learner: last(rows) or 0 for learner, rows in accuracy.items()}
    assert lasts["default"] > lasts["ridge"] > lasts["frozen"]
    assert transfer(accuracy["default"]) == transfer(accuracy["frozen"]) == frozen_transfer(accuracy["frozen"])


LEAVING = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from edge_nusa.research.protocol.doing import end_with_parent
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(0.5)
    os._exit(0)
"""


def test_a_worker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "leaving.py").write_text(LEAVING)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [sys.executable, str(tmp_path / "leaving.py")]
    worker = int(subprocess.run(words, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=120).stdout)
    ends = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < ends
        time.sleep(0.05)
