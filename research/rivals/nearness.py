"""How well the gate's limits tell pictures of taught labels from pictures of other sets: a row a rule and cap.

python research/rivals/nearness.py --data DIR --cache DIR [--bundle DIR] [--sets a,b,...] [--shots 5,16]

Each set is taught alone; its own held-out pictures, and pictures of all the other sets, are asked. A rule turns the
labels' limits (`edge_nusa.device.learning.train_head`) into one limit a picture: the widest, their mean, or that of the
nearest label, which is what `edge_nusa.device.asking.answer` takes.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from edge_nusa.device.learning.train_head import NOVELTY_QUANTILE
from edge_nusa.knowledge.head import Head
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.data.datasets import find_sets
from edge_nusa.research.data.views import View, Viewer

SETS = "caltech101,cifar10,flowers5,grocery,medical_mnist,mnist,pacs_photo,pacs_sketch,rsscn7,sign_digits,trashnet"
CAPS = (0.25, 0.35, 0.4, 0.5, 0.6)
ASKED, OTHERS, REPEATS, MOST = 15, 40, 2, 60
"""Held-out pictures a label, pictures of each other set, draws of shots, and pictures of a label that are looked at."""


def near(limits: np.ndarray, distances: np.ndarray, nearest: np.ndarray) -> dict[str, np.ndarray]:
    """Which pictures (B,) each rule calls near. limits (L,), distances (B,), nearest (B,) label numbers."""
    found: dict[str, np.ndarray] = {}
    for cap in CAPS:
        found[f"widest, at most {cap}"] = distances <= min(cap, limits.max())
        found[f"mean, at most {cap}"] = distances <= min(cap, limits.mean())
        found[f"nearest label's, at most {cap}"] = distances <= np.minimum(cap, limits)[nearest]
    return found


def measured(
    view: View, others: np.ndarray, shots: int, generator: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Of each rule how many per cent of a set's held-out pictures, and of `others` (B, F) int64, it calls near."""
    taught: list[int] = []
    asked: list[int] = []
    for label in range(len(view.labels)):
        order = generator.permutation(view.readable(np.flatnonzero(view.classes == label)))
        taught += order[:shots].tolist()
        asked += order[shots : shots + ASKED].tolist()
    rows, goals = view.features(np.array(taught)), view.classes[taught]
    solved = Head.empty(rows.shape[1]).added(rows, goals, len(view.labels)).solve()
    anything = rows.shape[1] / solved.variance
    left_out = solved.leave_one_out(solved.whitened(rows), goals)[1] / anything
    limits = np.array([np.quantile(left_out[goals == k], NOVELTY_QUANTILE) for k in range(len(view.labels))])
    shares = []
    for features in (view.features(np.array(asked)), others):
        whitened = solved.whitened(features)
        shares.append(near(limits, solved.distances(whitened) / anything, solved.scores(whitened).argmax(axis=1)))
    return {rule: (100 * shares[0][rule].mean(), 100 * shares[1][rule].mean()) for rule in shares[0]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--shots", default="5,16")
    arguments = parser.parse_args()
    viewer = Viewer(Bundle.open(arguments.bundle or embedded_bundle()), arguments.cache, 1, 0)
    generator = np.random.default_rng(0)
    views = []
    for one in find_sets(arguments.data, arguments.sets.split(",")):
        classes = np.array([one.classes[i] for i in range(len(one.pictures))])
        some = [generator.permutation(np.flatnonzero(classes == k))[:MOST] for k in range(len(one.labels))]
        views.append(viewer.view(one, np.concatenate(some), lambda name, done, total: None))
    rows = [view.features(view.readable(np.arange(len(view.place)))) for view in views]
    for shots in map(int, arguments.shots.split(",")):
        found: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for place, view in enumerate(views):
            for _ in range(REPEATS):
                drawn = [generator.permutation(each)[:OTHERS] for i, each in enumerate(rows) if i != place]
                for rule, pair in measured(view, np.concatenate(drawn), shots, generator).items():
                    found[rule].append(pair)
        for rule, pairs in found.items():
            (own, other), worst = np.mean(pairs, axis=0), np.array(pairs)
            print(
                f"{shots:2} pictures  {rule:30} own {own:5.1f} % (least {worst[:, 0].min():3.0f})  "
                f"others {other:4.1f} % (most {worst[:, 1].max():3.0f})"
            )


if __name__ == "__main__":
    main()
