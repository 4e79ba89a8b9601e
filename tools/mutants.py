"""Changes one decision of the code at a time and runs the tests that must notice: `make mutants`, `make mutants
MODULE=answer`.

Each mutant is one module with one change (`changes`), written into a copy of the tree, never here. Two copies work
beside
each other; each has a warm process that holds the large libraries and forks for every mutant, so that a mutant costs
what
its tests cost. What survives is told with its line; `mutants_equivalent.tsv` lists, with the reason, changes that
change nothing.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.tsv")
"""Lines of module, the function or `-`, the change, the reason; tabs between them."""
MODULES = {
    "answer": ("edge_nusa.device.asking.answer", ["test_decisions_answer"]),
    "fusion": ("edge_nusa.knowledge.fusion", ["test_decisions_fusion", "test_fusion"]),
    "lesson": ("edge_nusa.device.learning.train_head", ["test_decisions_lesson"]),
    "train": ("edge_nusa.device.learning.train_cores", ["test_decisions_train"]),
    "judge": ("edge_nusa.device.learning.judge", ["test_decisions_judge", "test_judge"]),
    "uptake": ("edge_nusa.device.fleet.judge", ["test_decisions_uptake"]),
    "inbox": ("edge_nusa.sync.hub.inbox", ["test_decisions_inbox"]),
    "head": ("edge_nusa.knowledge.head", ["test_head"]),
    "plausible": ("edge_nusa.sync.hub.plausible", ["test_decisions_plausible"]),
    "screen": ("edge_nusa.device.learning.screen", ["test_screen"]),
    "suspects": ("edge_nusa.sync.hub.suspects", ["test_decisions_suspects"]),
    "sync": ("edge_nusa.device.fleet.sync", ["test_decisions_sync"]),
    "task": ("edge_nusa.device.learning.task", ["test_decisions_task"]),
}
"""Name on the command line -> the module, and the test files that hold its decisions, the fastest first."""
USUAL = ("answer", "fusion", "lesson", "train", "judge", "uptake", "inbox")
"""What is run where none is named."""
WORKERS, LONGEST_SECONDS = 2, 60.0
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "build", "*.egg-info", "demo-out", "docs", "bench"
)
OTHER = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
PAIRS = (("min", "max"), ("minimum", "maximum"), ("argmin", "argmax"), ("any", "all"), ("zeros", "ones"))
SWAPPED = {**dict(PAIRS), **{b: a for a, b in PAIRS}}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change: the module's name here, the line and function it is in, what it was and became, the whole new
    source."""

    module: str
    line: int
    function: str
    change: str
    source: str


def changes(node: ast.AST) -> Iterator[tuple[object, str | int, Any]]:
    """(object, field or place, new value) of each change of this node alone."""
    if isinstance(node, ast.Compare):
        yield from ((node.ops, place, new()) for place, op in enumerate(node.ops) for new in OTHER[type(op)])
    elif isinstance(node, (ast.BoolOp, ast.BinOp, ast.AugAssign)):
        yield from ((node, "op", new()) for new in OTHER.get(type(node.op), ()))
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield node, "value", not node.value
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield from (
            (node, "value", new) for new in sorted({2 * node.value, node.value + 1, type(node.value)(0)} - {node.value})
        )
    elif isinstance(node, ast.Name) and node.id in SWAPPED and isinstance(node.ctx, ast.Load):
        yield node, "id", SWAPPED[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in SWAPPED:
        yield node, "attr", SWAPPED[node.attr]
    elif isinstance(node, ast.Return) and isinstance(node.value, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
        yield node, "value", ast.UnaryOp(ast.Not(), node.value)
    elif (
        isinstance(node, ast.If)
        and not node.orelse
        and isinstance(node.body[-1], (ast.Raise, ast.Return, ast.Continue, ast.Break))
    ):
        yield node, "test", ast.Constant(False)
    for field in (
        "operand",
        "value",
        "test",
        "left",
        "right",
        "elt",
        "slice",
    ):  # a `not`, `~` or `-` is left out where it stands
        inner = getattr(node, field, None)
        if isinstance(inner, ast.UnaryOp) and not isinstance(inner.operand, ast.Constant):
            yield node, field, inner.operand


def sites(node: ast.AST, function: str = "-", around: ast.AST | None = None) -> Iterator[tuple[ast.AST, ast.AST, str]]:
    """Each node that may be changed, what is shown of it and its function: no annotation, no text, nothing of what
    an error says."""
    if isinstance(node, (ast.JoinedStr, ast.Raise, ast.Import, ast.ImportFrom)):
        return
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        function = node.name
    is_small = isinstance(node, (ast.Constant, ast.Name, ast.Attribute)) and isinstance(
        around, (ast.expr, ast.Assign, ast.keyword)
    )
    yield node, around if is_small and around is not None else node, function
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from sites(child, function, node)


def mutants(name: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module's source."""
    tree = ast.parse(source)
    line = 1
    for node, shown, function in list(sites(tree)):
        line = getattr(node, "lineno", line)
        for owner, place, new in list(changes(node)):
            before = ast.unparse(shown)
            old = owner[place] if isinstance(owner, list) else getattr(owner, str(place))
            put(owner, place, new)
            yield Mutant(
                module=name,
                line=line,
                function=function,
                change=f"{short(before)} -> {short(ast.unparse(shown))}",
                source=ast.unparse(ast.fix_missing_locations(tree)),
            )
            put(owner, place, old)


def put(owner: Any, place: str | int, value: Any) -> None:
    """Sets a place of a list or a field of a node."""
    if isinstance(owner, list):
        owner[int(place)] = value
    else:
        setattr(owner, str(place), value)


def short(code: str) -> str:
    """Its first line, cut."""
    return code.splitlines()[0][:160]


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
            code = os.waitstatus_to_exitcode(status) if done else time.sleep(0.01)
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


def run_all(names: list[str], folder: Path) -> list[dict[str, Any]]:
    """What became of each mutant of these modules."""
    workers = [Worker(folder / str(number)) for number in range(WORKERS)]
    passed_over, jobs, found = listed_equivalent(), queue.SimpleQueue[tuple[Mutant, float]](), list[dict[str, Any]]()
    for name in names:
        missing = [test for test in MODULES[name][1] if not list((ROOT / "tests").rglob(f"{test}.py"))]
        if missing or not workers[0].path(name).is_file():
            raise SystemExit(
                f"mutants: {name}: expected the module {MODULES[name][0]} and the tests {MODULES[name][1]}, found none "
                f"of one; mend MODULES in {__file__}"
            )
        source, began = workers[0].path(name).read_text(), time.monotonic()
        code = workers[0].run(name, ast.unparse(ast.parse(source)), 10 * LONGEST_SECONDS)
        if code:
            raise SystemExit(
                f"mutants: expected the tests of {name} to pass before anything is changed, found pytest's exit code "
                f"{code}; run {MODULES[name][1]}"
            )
        seconds = min(LONGEST_SECONDS, 10 + 5 * (time.monotonic() - began))
        for one in mutants(name, source):
            if (name, one.function, one.change) not in passed_over:
                jobs.put((one, seconds))

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
    print(f"| all | {len(found)} | {score:.1f} % |\n{time.monotonic() - began:.0f} s")
    raise SystemExit(score < chosen.least)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["--serve"] else main()
