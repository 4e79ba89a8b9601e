"""The null space after a task: one exact R x R SVD inside the pool against a fresh SVD of every adapted matrix.

python research/rivals/basis.py [--sizes 768:48,512:48] [--json FILE]      # ViT-B/16: 48 matrices in each tower
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import edge_nusa.device  # noqa: F401 - its thread settings, before numpy

# isort: split
import numpy as np

from edge_nusa.device.board.measure import in_turn, median
from edge_nusa.model import null_space


def main() -> None:
    """Measure one matrix of each size in turn, and print the sums over all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="768:48,512:48", help="width:matrices, with commas")
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    totals: dict[str, float] = {}
    generator = np.random.default_rng(0)
    for width, count in (map(int, size.split(":")) for size in arguments.sizes.split(",")):
        weight = generator.normal(size=(width, width)) / np.sqrt(width)
        for name, rank in (("r x r", arguments.rank), ("R x R (the pool, R = 2 r)", 2 * arguments.rank)):
            pool = null_space.split(weight, rank)
            core = 0.01 * generator.normal(size=(rank, rank))
            fold = partial(null_space.directions, pool, core, arguments.rank)
            totals[name] = totals.get(name, 0) + count * median(in_turn({name: fold}, arguments.rounds)[name])
        fresh = in_turn({"fresh": partial(np.linalg.svd, weight)}, arguments.rounds)["fresh"]
        totals["fresh SVD"] = totals.get("fresh SVD", 0) + count * median(fresh)
    print(f"| basis update, {arguments.sizes} | seconds | fresh SVD takes |\n|---|---|---|")
    for name, seconds in totals.items():
        print(f"| {name} | {seconds:.2f} | {totals['fresh SVD'] / seconds:.0f} times |")
    if arguments.json:
        arguments.json.write_text(json.dumps(totals, indent=1, allow_nan=False))


if __name__ == "__main__":
    main()
