"""Changes one decision of the code at a time and runs the tests that must notice: `make mutants`, `make mutants
MODULE=answer`.

Each mutant is one module with one change (`mutations.py`), written into a copy of the tree, never here. Two copies work
beside each other; each has a warm process that holds the large libraries and forks for every mutant, so that a mutant
costs what its tests cost. What survives is told with its line; `mutants_equivalent.tsv` lists, with the reason, changes
that change nothing.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mutations import Mutant, mutants

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.tsv")
"""Lines of module, the function or `-`, the change, the reason; tabs between them."""
MODULES = {
    "answer": ("edge_nusa.device.asking.answer", ["test_decisions_answer"]),
    "known": ("edge_nusa.device.asking.known", ["test_decisions_answer"]),
    "fit": ("edge_nusa.knowledge.fit", ["test_head", "test_decisions_answer"]),
    "fusion": ("edge_nusa.knowledge.fusion", ["test_decisions_fusion", "test_fusion"]),
    "lesson": ("edge_nusa.device.learning.lesson", ["test_lesson", "test_decisions_text"]),
    "text_trial": ("edge_nusa.device.learning.text_trial", ["test_decisions_text"]),
    "train_head": ("edge_nusa.device.learning.train_head", ["test_decisions_train_head"]),
    "train_cores": ("edge_nusa.device.learning.train_cores", ["test_decisions_train_cores"]),
    "judge": ("edge_nusa.device.learning.judge", ["test_decisions_judge", "test_judge"]),
    "judgement": ("edge_nusa.device.learning.judgement", ["test_lesson"]),
    "round_judge": ("edge_nusa.device.fleet.round_judge", ["test_decisions_round_judge"]),
    "inbox": ("edge_nusa.sync.hub.inbox", ["test_decisions_inbox"]),
    "head": ("edge_nusa.knowledge.head", ["test_head"]),
    "plausible": ("edge_nusa.sync.hub.plausible", ["test_decisions_plausible"]),
    "screen": ("edge_nusa.device.learning.screen", ["test_screen"]),
    "suspects": ("edge_nusa.sync.hub.suspects", ["test_decisions_suspects"]),
    "push": ("edge_nusa.device.fleet.push", ["test_decisions_sync"]),
    "pull": ("edge_nusa.device.fleet.pull", ["test_decisions_sync"]),
    "sealing": ("edge_nusa.sync.trust.sealing", ["test_sealing"]),
    "sealing_keys": ("edge_nusa.sync.trust.sealing_keys", ["test_sealing"]),
    "sealed_rounds": ("edge_nusa.sync.trust.sealed_rounds", ["test_sealed_rounds", "test_sync_trust"]),
    "own_rounds": ("edge_nusa.sync.trust.own_rounds", ["test_sealed_rounds"]),
    "announced": ("edge_nusa.sync.bundles.announced", ["test_bundle_formats"]),
    "index": ("edge_nusa.sync.bundles.index", ["test_bundle_formats"]),
    "fetching": ("edge_nusa.sync.bundles.fetching", ["test_bundle_pull"]),
    "bundle_pull": ("edge_nusa.sync.bundles.pull", ["test_bundle_pull"]),
    "web": ("edge_nusa.sync.stores.web", ["test_web_store"]),
    "own_targets": ("edge_nusa.sync.trust.own_targets", ["test_sealed_rounds"]),
    "device_keys": ("edge_nusa.sync.trust.device_keys", ["test_sealed_rounds"]),
    "kept_list": ("edge_nusa.sync.hub.kept_list", ["test_kept_list"]),
    "tokens": ("edge_nusa.sync.hub.tokens", ["test_join_tokens"]),
    "admission": ("edge_nusa.sync.hub.admission", ["test_join_tokens"]),
    "join_token": ("edge_nusa.sync.trust.join_token", ["test_join_tokens"]),
    "shards": ("edge_nusa.research.protocol.shards", ["test_eval_shards"]),
    "collecting": ("edge_nusa.research.protocol.collecting", ["test_eval_collect"]),
    "providers": ("edge_nusa.model.providers", ["test_providers"]),
    "task": ("edge_nusa.device.learning.task", ["test_decisions_task"]),
    "records": ("edge_nusa.research.figures.records", ["test_eval_records"]),
    "results": ("edge_nusa.research.figures.results", ["test_eval_records", "test_eval_report"]),
    "classes": ("edge_nusa.research.figures.classes", ["test_eval_records"]),
    "class_tables": ("edge_nusa.research.figures.class_tables", ["test_eval_class_tables"]),
    "counting": ("edge_nusa.research.protocol.counting", ["test_eval_sequence"]),
    "checked": ("edge_nusa.research.learners.checked", ["test_own_learners"]),
    "own": ("edge_nusa.research.learners.own", ["test_own_learners"]),
    "arrays": ("edge_nusa.research.data.arrays", ["test_eval_arrays"]),
    "access": ("edge_nusa.device.teaching.access", ["test_http_access"]),
    "why": ("edge_nusa.device.teaching.why", ["test_why"]),
    "words": ("edge_nusa.device.teaching.words", ["test_page_words"]),
    "drawer": ("edge_nusa.device.teaching.drawer", ["test_page_words", "test_http_bounds"]),
    "review": ("edge_nusa.device.teaching.review", ["test_page_camera"]),
}
"""Name on the command line -> the module, and the test files that hold its decisions, the fastest first."""
USUAL = (
    "answer",
    "known",
    "fusion",
    "lesson",
    "text_trial",
    "train_head",
    "train_cores",
    "judge",
    "judgement",
    "round_judge",
    "inbox",
)
"""What is run where none is named."""
WORKERS, LONGEST_SECONDS = 2, 60.0
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "build", "*.egg-info", "demo-out", "docs", "bench"
)


def serve() -> None:
    """The warm process: for each line {"tests", "seconds"} on stdin forks, runs pytest, and says its exit code, or
    -1 after the time."""
    import hypothesis  # noqa: F401
    import onnxruntime  # noqa: F401
    import PIL.Image  # noqa: F401
    import pytest
    import securesystemslib.signer  # noqa: F401
    import torch  # noqa: F401

    out, quiet = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    for line in sys.stdin:
        job, began = json.loads(line), time.monotonic()
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            sys.path[:0] = [os.getcwd(), str(Path("tests").absolute())]
            os._exit(
                int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=line", *job["tests"]]))
            )
        code = None
        while code is None and time.monotonic() - began < job["seconds"]:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        if code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.write(out, f"{-1 if code is None else code}\n".encode())


class Worker:
    """A copy of the tree and its warm process."""

    def __init__(self, folder: Path) -> None:
        self.tree = Path(shutil.copytree(ROOT, folder, symlinks=True, ignore=NOT_COPIED))
        kept = {
            **os.environ,
            "PYTHONPATH": str(self.tree),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        words = [sys.executable, str(self.tree / "tools" / "mutants.py"), "--serve"]
        self.process = subprocess.Popen(
            words,
            cwd=self.tree,
            env=kept,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, name: str, source: str, seconds: float) -> int:
        """pytest's exit code over the module's tests with this source, -1 where they take longer."""
        path = self.path(name)
        whole = path.read_text()
        found = [str(file) for test in MODULES[name][1] for file in sorted((self.tree / "tests").rglob(f"{test}.py"))]
        try:
            path.write_text(source)
            assert self.process.stdin is not None and self.process.stdout is not None
            self.process.stdin.write(json.dumps({"tests": found, "seconds": seconds}) + "\n")
            self.process.stdin.flush()
            return int(self.process.stdout.readline())
        finally:
            path.write_text(whole)

    def path(self, name: str) -> Path:
        """The module's file in the copy."""
        return self.tree / (MODULES[name][0].replace(".", "/") + ".py")


def listed_equivalent() -> set[tuple[str, str, str]]:
    """(module, function, change) of the listed changes that change nothing."""
    rows = [line.split("\t") for line in EQUIVALENT.read_text().splitlines() if line and not line.startswith("#")]
    return {(module, function, change) for module, function, change, _ in rows}


def jobs_of(names: list[str], worker: Worker) -> Iterator[tuple[Mutant, float]]:
    """Each mutant of these modules with its seconds, after their tests have passed unchanged. Ends the program where
    they do not."""
    passed_over = listed_equivalent()
    for name in names:
        missing = [test for test in MODULES[name][1] if not list((ROOT / "tests").rglob(f"{test}.py"))]
        if missing or not worker.path(name).is_file():
            raise SystemExit(
                f"mutants: {name}: expected {MODULES[name]}, found {missing or 'no such module'} missing; mend MODULES "
                f"in {__file__}"
            )
        source, began = worker.path(name).read_text(), time.monotonic()
        code = worker.run(name, ast.unparse(ast.parse(source)), 10 * LONGEST_SECONDS)
        if code:
            raise SystemExit(
                f"mutants: {name}: expected its tests to pass before a change, found pytest's exit code {code}; run "
                f"{MODULES[name][1]}"
            )
        seconds = min(LONGEST_SECONDS, 10 + 5 * (time.monotonic() - began))
        yield from (
            (one, seconds) for one in mutants(name, source) if (name, one.function, one.change) not in passed_over
        )


def run_all(names: list[str], folder: Path) -> list[dict[str, Any]]:
    """What became of each mutant of these modules."""
    workers, found = [Worker(folder / str(number)) for number in range(WORKERS)], list[dict[str, Any]]()
    jobs: queue.SimpleQueue[tuple[Mutant, float]] = queue.SimpleQueue()
    for job in jobs_of(names, workers[0]):
        jobs.put(job)

    def work(worker: Worker) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                one, seconds = jobs.get_nowait()
                code = worker.run(one.module, one.source, seconds)
                record = {name: value for name, value in asdict(one).items() if name != "source"}
                found.append({**record, "result": {0: "survived", -1: "timeout"}.get(code, "killed")})

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.process.kill()
        worker.process.wait()
    return sorted(found, key=lambda row: (names.index(row["module"]), row["line"], row["change"]))


def tell(found: list[dict[str, Any]], names: list[str], seconds: float) -> float:
    """Prints the survivors and a table; returns percent killed."""
    for row in found:
        if row["result"] == "survived":
            print(f"survived: {row['module']}:{row['line']} in {row['function']}: {row['change']}")
    all_of, left = (
        Counter(row["module"] for row in found),
        Counter(row["module"] for row in found if row["result"] == "survived"),
    )
    print("| module | mutants | killed |\n|---|--:|--:|")
    for name in names:
        print(f"| {name} | {all_of[name]} | {100 * (1 - left[name] / max(all_of[name], 1)):.1f} % |")
    score = 100 * (1 - left.total() / max(len(found), 1))
    print(f"| all | {len(found)} | {score:.1f} % |\n{seconds:.0f} s")
    return score


def main() -> None:
    """Runs, prints a table and the survivors, writes JSON; ends with 1 where fewer than --least percent were killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)}; where none is named: {', '.join(USUAL)}"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "mutants.json")
    parser.add_argument("--least", type=float, default=90.0, help="percent that must be killed over all")
    chosen = parser.parse_args()
    if strange := set(chosen.modules) - set(MODULES):
        parser.error(f"expected modules among {', '.join(MODULES)}, found {', '.join(sorted(strange))}")
    names, began = chosen.modules or list(USUAL), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edge-nusa-mutants-") as folder:
        found = run_all(names, Path(folder))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    raise SystemExit(tell(found, names, time.monotonic() - began) < chosen.least)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["--serve"] else main()
