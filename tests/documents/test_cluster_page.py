"""The recipes of docs/cluster.md: those of this machine are run; of those of SLURM and Kubernetes the inner command is,
with the variable set as those systems set it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MICRO, ROOT, environment
from eval_pictures import SETS, draw_sets

from edge_nusa.research.figures.runs import read_runs
from edge_nusa.research.protocol import cluster, collecting, remote
from edge_nusa.research.protocol.shards import Shard

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
REAL = (
    '#!/bin/sh\n[ "$2" = mtil ] && set -- "$@" --learners frozen,ncm --shots 2 --seeds 2\nexec {} -m edge_nusa "$@"\n'
)
"""`edge-nusa` of a small sweep: of the recipe's own words nothing is changed."""
SAYS = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


def recipe(title: str) -> str:
    """The first block of code below a heading."""
    found = re.search(rf"^### {title}\n.*?^```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def shell(line: str, folder: Path, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run by sh in `folder`, where edge-nusa is `program`."""
    script = folder / "bin" / "edge-nusa"
    script.parent.mkdir(exist_ok=True)
    script.write_text(program)
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    env = environment({"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables})
    return subprocess.run(["sh", "-c", line], cwd=folder, env=env, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("xargs") is None, reason="needs xargs")
def test_the_recipe_of_xargs_does_every_run_once_and_collects_them(tmp_path: Path) -> None:
    draw_sets(tmp_path / "sets", {"stone": SETS["stone"]})
    divided, collected = recipe("GNU parallel, xargs").splitlines()
    ended = shell(divided, tmp_path, REAL.format(sys.executable))
    assert ended.returncode == 0, ended.stderr
    assert len(read_runs(tmp_path / "results" / "runs")) == 4 and not list((tmp_path / "results").glob("results*"))
    ended = shell(collected, tmp_path, REAL.format(sys.executable), EDGE_NUSA_BUNDLE=str(MICRO))
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "results" / "results.html").exists()


def inner(title: str, form: str) -> str:
    found = re.search(form, recipe(title))
    assert found, title
    return found[1]


@pytest.mark.parametrize(
    ("title", "form", "count", "variable"),
    [
        ("SLURM", r"--wrap '([^']+)'", r"--array=(\d+)-(\d+)", "SLURM_ARRAY_TASK_ID"),
        ("Kubernetes", r"command: \[sh, -c, '([^']+)'\]", r"completions: ()(\d+)", "JOB_COMPLETION_INDEX"),
    ],
)
def test_each_element_of_a_job_array_does_its_own_part(
    title: str, form: str, count: str, variable: str, tmp_path: Path
) -> None:
    """SLURM numbers elements as --array says, Kubernetes from 0 to completions - 1."""
    found = re.search(count, recipe(title))
    assert found
    first, last = (0, int(found[2]) - 1) if title == "Kubernetes" else (int(found[1]), int(found[2]))
    shards = []
    for number in (first, 7, last):
        words = shell(inner(title, form), tmp_path, SAYS, **{variable: str(number)}).stdout.splitlines()
        assert words[:2] == ["eval", "mtil"] and {"--data", "--out"} <= set(words)
        shards.append(Shard.parsed(words[words.index("--shard") + 1]))
    of = last + 1
    assert shards == [Shard(0, of), Shard(7, of), Shard(of - 1, of)]


def test_the_recipe_of_kubernetes_is_an_indexed_job_with_as_many_parts_as_it_divides_into() -> None:
    job = recipe("Kubernetes")
    assert "completionMode: Indexed" in job and "completions: 16" in job and "/16'" in job


def test_what_the_page_says_of_waits_and_refusals_is_so() -> None:
    waits = (cluster.CONNECT_SECONDS, cluster.ASK_SECONDS, cluster.NO_WORKER_SECONDS)
    assert waits == (15, 120, 60)
    first, asked, gone = (f"{seconds:.0f}" for seconds in waits)
    assert f"{first} seconds for the scheduler and the first worker, {asked} for the workers' answers" in PAGE
    assert f"{gone} without any worker" in PAGE
    assert set(remote.CALLED) == {"edge_nusa", "basis", "sets", "learners"} and set(collecting.CALLED) <= {
        *remote.CALLED
    }
