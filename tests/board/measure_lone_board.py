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
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
ours = [name for name in sys.modules if name.split(".")[0] == "edge_nusa"]
with open(FOUND, "w") as file:
    json.dump({"modules": len(sys.modules), "own modules": len(ours), "MiB": used[0].ru_maxrss / 1024,
               "user seconds": sum(one.ru_utime for one in used)}, file)
"""
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
    own = []
    for place in installed.values():
        own.append(sum(path.stat().st_size for path in place.rglob("*") if path.is_file() and path.suffix != ".pyc"))
    parts = [
        ("packages of the base install", *(len(one) for one in found.values())),
        ("their bytes", *(installed_bytes(one) for one in found.values())),
        ("edge-nusa's own bytes", *own),
    ]
    yield from ([what, f"{a:,}", f"{b:,}", f"{b / a:.3f}"] for what, a, b in parts)


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
