"""`eval --cluster` on a real scheduler of Dask with two real workers: who takes part, and that every run is done once
whatever happens to them.

The tests follow one another: the last ones end a worker, then the other, then the scheduler.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import MICRO, environment
from eval_pictures import SETS, draw_sets

from edge_nusa.cli.app import app
from edge_nusa.errors import EdgeNusaError, InputError, MissingPackageError, ResourceError, UsageError
from edge_nusa.files import durable
from edge_nusa.research.data.datasets import find_sets
from edge_nusa.research.figures.runs import Run, read_runs
from edge_nusa.research.protocol import cluster, remote
from edge_nusa.research.protocol.material import Settings
from edge_nusa.research.protocol.shards import Shard
from edge_nusa.research.protocol.suites import evaluate

pytest.importorskip("distributed")
BOUND = 120.0
"""Seconds that anything here may take on a busy machine."""
SLOW = "eval_own_slow:Slow"


@dataclass
class Cluster:
    """folder: what the slow learner says; workers: by process."""

    address: str
    folder: Path
    scheduler: subprocess.Popen[bytes]
    workers: dict[int, subprocess.Popen[bytes]]


def until(is_so: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + BOUND
    while not is_so():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("cluster")
    here = Path(__file__).parent
    path = os.pathsep.join([str(here.parents[1]), str(here)])
    env = environment(
        {"SWEEP_TESTS": str(folder), "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": "65536"}
    )  # as a nanny says
    at, log = folder / "scheduler.json", (folder / "log").open("wb")
    plain = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(at)]
    started: list[subprocess.Popen[bytes]] = []

    def start(kind: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *plain, *words]
        started.append(subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log))
        return started[-1]

    try:
        scheduler = start("scheduler", "--port", "0", "--no-show")
        each = [("--nthreads", "1", "--no-nanny", "--local-directory", str(folder / name)) for name in ("one", "two")]
        workers = [start("worker", *words) for words in each]
        until(lambda: at.exists() and at.stat().st_size, "a scheduler")
        yield Cluster(json.loads(at.read_text())["address"], folder, scheduler, {one.pid: one for one in workers})
    finally:
        for process in started:
            process.kill()
            process.wait(30)
        log.close()


@pytest.fixture
def told(running: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, with the slow learner's notes of this test alone, which may end at once after it."""
    monkeypatch.setenv("SWEEP_TESTS", str(running.folder))
    yield running
    (running.folder / "release").touch()
    until(lambda: len(notes(running, "begun")) <= len(notes(running, "ended")) + killed(running), "the runs' end")
    for path in [*notes(running, "begun"), *notes(running, "ended"), running.folder / "release"]:
        path.unlink()


def notes(running: Cluster, kind: str) -> list[Path]:
    return sorted(running.folder.glob(f"{kind}-*"))


def killed(running: Cluster) -> int:
    return sum(worker.poll() is not None for worker in running.workers.values())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    draw_sets(folder, {name: SETS[name] for name in ("stone", "cloth")})
    return folder


@pytest.fixture
def settings(running: Cluster, data: Path, tmp_path: Path) -> Settings:
    """A shard, so that no report is drawn; its runs are all."""
    return Settings(
        suite="mtil",
        data=data,
        out=tmp_path / "out",
        learners=("frozen",),
        shots=(2,),
        seeds=1,
        cache=data.parent / "cache",
        bundle=MICRO,
        cluster=running.address,
        shard=Shard(0, 1),
    )


def quiet(what: str, count: int, total: int) -> None: ...


def timeless(folder: Path) -> list[Run]:
    return [replace(run, seconds=(), peak_rss_bytes=0) for run in read_runs(folder / "runs")]


def test_runs_of_a_cluster_say_what_runs_at_home_say_and_the_cluster_computes_the_features(
    settings: Settings, told: Cluster
) -> None:
    settings = replace(settings, learners=("ridge", "ncm"), cache=settings.out.with_name("new"))
    seen: list[tuple[str, int, int]] = []
    evaluate(settings, lambda *each: seen.append(each))
    assert {("features", 2, 2), ("running", 2, 2)} <= set(seen)
    assert not list(settings.out.glob(".sweep-*")) and not list((settings.out.with_name("new")).glob(".sweep-*"))
    home = replace(settings, cluster="", out=settings.out.with_name("home"))
    evaluate(home, quiet)
    assert timeless(settings.out) == timeless(home.out) and len(timeless(home.out)) == 2


def test_a_worker_keeps_the_room_of_its_arrays(running: Cluster) -> None:
    import distributed

    def faults() -> int:
        import resource

        import numpy as np

        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(100):
            np.empty(1 << 20, np.float32).fill(1)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with distributed.Client(running.address, set_as_default=False) as client:
        client.run(faults)
        found = client.run(faults)
    assert len(found) == 2 and max(found.values()) < 50  # else one an array and more


def test_sets_in_memory_and_the_command_line_use_it_too(
    settings: Settings, told: Cluster, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [stone] = find_sets(data, ["stone"])
    evaluate(replace(settings, data=[replace(stone, name="rock")]), quiet)
    assert [run.order for run in read_runs(settings.out / "runs")] == [("rock",)]
    out = settings.out.with_name("line")
    words = ["eval", "mtil", "--data", data, "--out", out, "--sets", "stone", "--learners", "frozen", "--shots", "2"]
    app([*map(str, words), "--bundle", str(MICRO), "--cluster", told.address, "--shard", "0/1"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["shard"] == "0/1" and len(read_runs(out / "runs")) == 1


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"basis": "ab" * 32}, "worker tcp://127.*: expected the bundle of the machine that began the sweep .'abab"),
        (
            {"edge_nusa": "0.0.9"},
            "expected the version of edge-nusa of the machine that began .*'0.0.9'.*make them the",
        ),
        ({"sets": {"stone": "cd" * 32}}, "expected the pictures, labels and templates of the machine that began"),
        ({"learners": {"mine": "ef" * 32}}, "expected the code of the learners of the machine that began"),
    ],
)
def test_a_worker_with_something_else_is_refused(
    facts: dict[str, object], message: str, settings: Settings, told: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = remote.facts_of
    monkeypatch.setattr(remote, "facts_of", lambda sources: {**known(sources), **facts})
    with pytest.raises(UsageError, match=message):
        evaluate(settings, quiet)
    assert not list((settings.out / "runs").iterdir()) and not list(settings.out.glob(".sweep-*"))


def test_a_worker_of_another_version_is_refused_before_it_is_asked_more(
    settings: Settings, told: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "__version__", "9.9")
    with pytest.raises(
        UsageError, match=r"worker tcp://127\.0\.0\.1:\d+: expected edge-nusa 9\.9, found 0\.1\.0; inst"
    ):
        evaluate(settings, quiet)


def test_a_worker_that_does_not_see_the_folders_is_refused(
    settings: Settings, told: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = durable.write_file
    monkeypatch.setattr(durable, "write_file", lambda path, data: ".sweep-" in str(path) or write(path, data))
    with pytest.raises(
        UsageError, match="worker .*: expected to see .*out as the machine does that began the sweep, fo"
    ):
        evaluate(settings, quiet)


def test_a_learner_that_workers_cannot_import_is_named(
    settings: Settings, told: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_here.py").write_text("from eval_own_frozen import Mine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="worker .*: --learners own_here:Mine: expected a module that can be imported"):
        evaluate(replace(settings, learners=("own_here:Mine",)), quiet)
    (tmp_path / "own_class.py").write_text("from eval_own_frozen import Mine\nclass Other(Mine): ...\n")
    from own_class import Other  # type: ignore[import-not-found]

    with pytest.raises(UsageError, match="worker .*: .*own_class"):
        evaluate(replace(settings, learners=(Other,), out=tmp_path / "more"), quiet)


class OneWorker:
    """A client of a cluster whose worker has four threads."""

    async def nthreads(self) -> dict[str, int]:
        return {"tcp://10.0.0.9:4": 4}

    def sync(self, ask: Callable[[], Any], callback_timeout: float) -> Any:
        return asyncio.run(asyncio.wait_for(ask(), callback_timeout))


def test_a_worker_with_several_threads_is_refused() -> None:
    job: Any = None
    with pytest.raises(UsageError, match=r"tcp://10\.0\.0\.9:4: expected one thread, .* found 4; .* --nthreads 1 --nw"):
        cluster._check_workers(OneWorker(), job)


def test_a_cluster_that_is_silent_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(OneWorker):
        async def nthreads(self) -> dict[str, int]:
            await asyncio.sleep(60)
            return {}

    monkeypatch.setattr(cluster, "ASK_SECONDS", 0.1)
    with pytest.raises(ResourceError, match="expected the scheduler and each worker to answer within 0 seconds"):
        cluster._bounded(silent := Silent(), silent.nthreads)


class Ended:
    """A future of a run that ended well."""

    status = "finished"


def test_a_run_that_ends_shows_that_there_was_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is shorter than PAUSE_SECONDS, so for a minute the cluster is never looked at."""
    clock, runs = iter([0.0, 30, 61, 121, 121.1]), [Ended(), Ended(), Ended()]
    ends = iter([{runs[0]}, {runs[1]}, set(), set()])
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(cluster._Work, "_first", lambda self, waiting: next(ends))
    seen = cluster._Work(SimpleNamespace(status="closed"), "tcp://10.0.0.5:8786")._ended(runs)
    assert [next(seen), next(seen), next(seen)] == [1, 2, 2], "a minute after the last end"
    with pytest.raises(ResourceError, match="expected a worker, found none for 60 seconds"):
        next(seen)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"jobs": 2}, UsageError, "--cluster: expected no --jobs beside it, as its workers are the jobs"),
        (
            {"cluster": "tcp://127.0.0.1:9"},
            InputError,
            "--cluster 'tcp://127.0.0.1:9': expected the scheduler of a Dask",
        ),
        (
            {"cluster": "nonsense://x"},
            InputError,
            "--cluster 'nonsense://x': expected the scheduler of a Dask cluster, su",
        ),
    ],
)
def test_a_command_that_finds_no_cluster_says_so(
    change: dict[str, Any], kind: type[EdgeNusaError], message: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(kind, match=message):
        evaluate(replace(settings, **change), quiet)


def test_without_distributed_what_to_install_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        MissingPackageError, match=r'--cluster needs .* install them with `pip install "edge-nusa\[clus'
    ):
        evaluate(settings, quiet)


def test_ctrl_c_ends_what_was_handed_out(settings: Settings, told: Cluster) -> None:
    """What learns ends at its next task and goes on from there later; what waits never begins."""

    def stopped(what: str, done: int, total: int) -> None:
        if len(notes(told, "begun")) == 2:
            raise KeyboardInterrupt

    asked = replace(settings, learners=(SLOW,), seeds=3)
    with pytest.raises(KeyboardInterrupt):
        evaluate(asked, stopped)
    (told.folder / "release").touch()
    until(lambda: len(notes(told, "ended")) == 2, "both runs at their next task")
    parts = asked.out / "parts"
    until(lambda: len(list(parts.glob("*.npz"))) == 2, "what both have so far")
    time.sleep(0.5)
    assert len(notes(told, "begun")) == 2 and not list((asked.out / "runs").iterdir())
    evaluate(asked, quiet)
    assert len(read_runs(asked.out / "runs")) == 3 and not list(parts.glob("*.npz"))
    assert len(notes(told, "ended")) == 6, "each task was learned once"


def test_a_worker_killed_in_a_run_leaves_every_run_done_once(settings: Settings, told: Cluster) -> None:
    asked = replace(settings, learners=(SLOW, "frozen"), seeds=2)
    failed: list[BaseException] = []

    def sweep() -> None:
        try:
            evaluate(asked, quiet)
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    thread = threading.Thread(target=sweep, daemon=True)
    thread.start()
    until(lambda: len(notes(told, "begun")) == 2 or failed, "two workers that learn")
    victim = int(notes(told, "begun")[0].name.rpartition("-")[2])
    os.kill(victim, signal.SIGKILL)
    told.workers[victim].wait(30)
    (told.folder / "release").touch()
    thread.join(BOUND)
    assert not thread.is_alive() and not failed
    assert len(read_runs(asked.out / "runs")) == 4 and not list((asked.out / "parts").iterdir())
    ended = [path.name.rsplit("-", 1)[0] for path in notes(told, "ended")]
    assert len(ended) == len(set(ended)) == 4, "two runs of two tasks, each once"
    assert str(victim) not in {path.name.rpartition("-")[2] for path in notes(told, "ended")}


def test_a_cluster_whose_workers_are_gone_ends_the_command(
    settings: Settings, told: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "NO_WORKER_SECONDS", 0.5)

    def gone(what: str, done: int, total: int) -> None:
        for pid, worker in told.workers.items():
            if notes(told, "begun") and worker.poll() is None:
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(
        ResourceError, match="expected a worker, found none for 0 seconds; start some; the runs that are"
    ):
        evaluate(replace(settings, learners=(SLOW,)), gone)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(InputError, match=r"expected at least one worker, found none within 0 seconds; .*--nthreads 1"):
        evaluate(settings, quiet)


def test_a_scheduler_that_is_lost_in_the_middle_ends_the_command(running: Cluster) -> None:
    """What was handed out is in no hurry, with workers or without."""
    with cluster._hushed("distributed"), cluster._connected(running.address) as client:
        futures = [client.submit(time.sleep, BOUND + number) for number in (1, 2)]
        work = cluster._Work(client, running.address)
        assert next(seen := work._ended(futures)) == 0
        os.kill(running.scheduler.pid, signal.SIGKILL)
        running.scheduler.wait(30)
        with pytest.raises(
            ResourceError, match="expected the scheduler to keep what was handed out, found it gone or begun anew; loo"
        ):
            list(seen)
