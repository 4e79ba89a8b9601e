"""What a board in no fleet pays for: the base install, `--help`, `predict` and `learn`, of two checkouts side by side.

    python tests/board/measure_lone_board.py BEFORE AFTER [--rounds 15]

Each is installed without extras' packages into a folder of its own from its own wheel, over the packages of this
interpreter. Commands run in pairs, one of each checkout, the first of a pair by turns, on one thread and in fresh
processes, so that a busy machine hits both. Prints a table: of times and memory the medians, and the median of the
pairs' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path
from statistics import median

from edge_nusa.device.board.measure import write_pictures

RUN = """
import json, resource, sys
sys.argv[0] = "edge-nusa"
from edge_nusa.cli.main import run
try:
    run()
except SystemExit as end:
    assert not end.code, end.code
used = [resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
ours = [name for name in sys.modules if name.split(".")[0] == "edge_nusa"]
with open("/proc/self/status") as file:
    [peak] = [line.split()[1] for line in file if line.startswith("VmHWM")]
with open(FOUND, "w") as file:
    json.dump({"modules": len(sys.modules), "own modules": len(ours), "MiB": int(peak) / 1024,
               "user seconds": sum(used)}, file)
"""
"""Its own largest memory: what the kernel counts for a child begins with what the parent had."""
LEAST_PAIRS = 5


def dependencies(checkout: Path) -> dict[str, Distribution]:
    """The packages of the base install, by name, as this interpreter has them; what a marker leaves out is left out
    where it is not installed."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    found: dict[str, Distribution] = {}
    waiting = list(project["dependencies"])
    while waiting:
        line = waiting.pop()
        name = re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-")
        if name in found or "extra ==" in line:
            continue
        try:
            found[name] = distribution(name)
        except ImportError:
            continue
        waiting += found[name].requires or []
    return found


def installed_bytes(found: Mapping[str, Distribution]) -> int:
    """Of all their files, without what Python compiled of them."""
    files = [str(each.locate_file(file)) for each in found.values() for file in each.files or []]
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file) and not file.endswith(".pyc"))


def install(checkout: Path, target: Path) -> Path:
    """The checkout's wheel, unpacked. It is built from a copy of what git tracks: a build folder of earlier days would
    be in it else."""
    copy = target.with_name(f"{target.name}-source")
    copy.mkdir(parents=True)
    tracked = subprocess.run(["git", "-C", checkout, "archive", "HEAD"], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", copy], input=tracked, check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--target", target, copy], check=True)
    shutil.rmtree(copy)
    return target


def commands(folder: Path, name: str) -> dict[str, list[str]]:
    """What is measured, over a state of the checkout's own."""
    common = ["--state", str(folder / name / "state"), "--threads", "1", "--format", "json", "--quiet"]
    pictures = folder / "pictures"
    return {
        "first": ["learn", "--dataset", str(pictures), "--head-only", "--force", *common],
        "--help": ["--help"],
        "predict": ["predict", str(pictures / "ash" / "0000.jpg"), *common],
        "learn": ["learn", str(pictures / "birch"), "birch", "--head-only", "--again", "--dry-run", "--force", *common],
    }


def ran(words: list[str], installed: Path, folder: Path) -> dict[str, float]:
    """One command in a fresh process over an installed checkout."""
    place = folder / "found.json"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EDGE_NUSA_", "PYTHON"))}
    own = {"PYTHONPATH": str(installed), "EDGE_NUSA_CONFIG": "", "HOME": str(folder), "OPENBLAS_NUM_THREADS": "1"}
    words = [sys.executable, "-c", RUN.replace("FOUND", repr(str(place))), *words]
    done = subprocess.run(words, env={**kept, **own}, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[3:])}: {done.stderr}")
    return dict(json.loads(place.read_text()))


def measured(folder: Path, installed: Mapping[str, Path], rounds: int) -> Iterator[list[str]]:
    """A row for each command and each of its costs."""
    for name, place in installed.items():
        ran(commands(folder, name)["first"], place, folder)
    for command in ("--help", "predict", "learn"):
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in installed}
        for index in range(rounds):
            for name in (list(installed), list(installed)[::-1])[index % 2]:
                taken[name].append(ran(commands(folder, name)[command], installed[name], folder))
        for cost in ("modules", "own modules", "MiB", "user seconds"):
            before, after = ([one[cost] for one in taken[name]] for name in installed)
            ratio = median(b / a for a, b in zip(before, after, strict=True))
            form = "{:.0f}" if "modules" in cost else "{:.1f}" if cost == "MiB" else "{:.3f}"
            yield [f"`{command}`: {cost}", form.format(median(before)), form.format(median(after)), f"{ratio:.3f}"]


def own_bytes(installed: Path) -> int:
    """Of the installed edge-nusa."""
    return sum(path.stat().st_size for path in installed.rglob("*") if path.is_file() and path.suffix != ".pyc")


def base(checkouts: Mapping[str, Path], installed: Mapping[str, Path]) -> Iterator[list[str]]:
    """Rows of the install."""
    found = [dependencies(checkout) for checkout in checkouts.values()]
    parts = {
        "packages of the base install": [len(one) for one in found],
        "their bytes": [installed_bytes(one) for one in found],
        "edge-nusa's own bytes": [own_bytes(place) for place in installed.values()],
    }
    yield from ([what, f"{a:,}", f"{b:,}", f"{b / a:.3f}"] for what, (a, b) in parts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    checkouts = {"before": arguments.before.resolve(), "after": arguments.after.resolve()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "pictures", ("ash", "birch"), 8)
        installed = {one: install(checkout, folder / one / "installed") for one, checkout in checkouts.items()}
        rows = [*base(checkouts, installed), *measured(folder, installed, max(LEAST_PAIRS, arguments.rounds))]
    print("| | before | after | ratio |\n|---|--:|--:|--:|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
