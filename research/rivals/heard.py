"""How much of what a tower's matrices hear lies in the directions that null-space learning trains.

python -m edge_nusa.research.rivals.heard --bundle BUNDLE --data DIR --set NAME --cache CACHE

An update in the null space leaves a picture or a name alone only as far as its hidden states have nothing there. Beside
it stands the even share, that of directions drawn at random. Letters: B rows, E width, r trained rank.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_nusa.device.learning import tails
from edge_nusa.model import null_space
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.parameters import PROJECTIONS, Tower
from edge_nusa.research.data.datasets import find_sets, limit_test
from edge_nusa.research.data.views import Viewer

MOST = 40
"""Pictures that are looked at."""


def share(weight: np.ndarray, rows: np.ndarray, rank: int) -> float:
    """Of the energy of rows (B, E), the part in the r smallest right singular directions of a matrix (out, E)."""
    basis = null_space.split(weight, rank).right_basis
    return float(np.square(rows @ basis).sum() / np.square(rows, dtype=np.float64).sum())


def heard(tail: torch.nn.Module, matrices: list[str], given: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """The rows (B, E) that come into each matrix from what is given to the tail."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str) -> Any:
        def hook(module: torch.nn.Module, come: tuple[torch.Tensor, ...]) -> None:
            found[name] = come[0].flatten(0, -2).numpy()

        return hook

    hooks = [tails.linear(tail, name).register_forward_pre_hook(keep(name)) for name in matrices]
    with torch.no_grad():
        tail(*map(torch.from_numpy, given))
    for hook in hooks:
        hook.remove()
    return found


def shares(bundle: Bundle, tower: Tower, given: tuple[np.ndarray, ...]) -> dict[str, list[tuple[float, float]]]:
    """Of each projection, over the blocks of a tower's tail: the share in the trained directions, and the even one.

    given: tokens (P, N, E) float32 of the image tower; hidden (T, N, E) float32 and last (T,) int64 of the text tower.
    """
    method, matrices = bundle.manifest.method, list(bundle.matrices(tower))
    rows = heard(tails.build_tail(bundle, tower, {}), matrices, given)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for name in matrices:
        weight = bundle.matrix(name)
        values = np.linalg.svd(weight, compute_uv=False)
        rank = null_space.trained_rank(values, method.energy_threshold, method.max_rank[tower])
        if rank:
            found[name.rpartition(".")[2]].append((share(weight, rows[name], rank), rank / weight.shape[1]))
    return found


def main() -> None:
    """A line a projection of each tower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = Bundle.open(arguments.bundle)
    (dataset,) = find_sets(arguments.data, [arguments.set])
    pictures = limit_test(dataset, MOST, 0)
    viewer = Viewer(bundle, arguments.cache, 1, bundle.manifest.image.tail_blocks)
    view = viewer.view(dataset, pictures, lambda name, done, total: None)
    assert view.tokens is not None, "the viewer keeps tokens, since blocks can learn"
    tokens = view.tokens[view.place[view.readable(pictures)]].astype(np.float32)
    given: dict[Tower, tuple[np.ndarray, ...]] = {"image": (tokens,), "text": view.hidden[0]}
    for tower, inputs in given.items():
        found = shares(bundle, tower, inputs)
        for projection in PROJECTIONS:
            part, even = 100 * np.mean(found[projection], axis=0)
            print(f"{tower} {projection}: {part:.1f} % of what it hears, {even:.1f} % in random directions")


if __name__ == "__main__":
    main()
