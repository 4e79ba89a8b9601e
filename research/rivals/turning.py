"""What it costs old labels that their anchors turn with every later lesson.

python research/rivals/turning.py --data DIR --cache DIR [--bundle DIR] [--sets a,b,...] [--shots 5,16] [--seed 0]

The product's default is taught the sets one after the other. After each lesson the pictures of the earlier sets are
asked three times, by the same head, weights and gate, with the anchors of old labels (a) as they have turned by now,
(b) held as their own lesson left them, (c) as the untouched text tower has them; once among a set's own labels, once
among all labels taught so far, and once by the text alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from edge_nusa.device.asking.answer import Answerer, PictureFeatures
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.data.datasets import find_sets, limit_test, take_shots
from edge_nusa.research.data.views import View, Viewer
from edge_nusa.research.learners.catalogue import CATALOGUE
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.product import AnchorsAlone, Default

SETS = "sign_digits,mnist,cifar10,grocery,flowers5,caltech101,rsscn7,trashnet"
KINDS = ("as they turn", "as first taught", "untouched")


@dataclass(frozen=True)
class Set:
    """A view with the pictures to learn from and to be asked about, (B,) int64."""

    view: View
    shots: np.ndarray
    tests: np.ndarray


def percent(learner: Default, anchors: np.ndarray, asked: Set, columns: np.ndarray, kind: type[Answerer]) -> float:
    """Right answers about the set's test pictures among the labels `columns` (K,), with these anchors (L, D)."""
    known = replace(learner.known, adapted_anchors=anchors)
    nothing = known.frozen_anchors[:0]
    answerer = kind(known, learner.bundle.manifest.logit_scale, nothing, nothing, columns)
    embedding = asked.view.embeddings(asked.tests)
    found = answerer(PictureFeatures(embedding, embedding, asked.view.features(asked.tests))).probabilities
    own = learner.columns.of(asked.view)
    assert own is not None
    return 100 * float((columns[found.argmax(axis=1)] == own[asked.view.classes[asked.tests]]).mean())


def of_old(learner: Default, anchors: np.ndarray, old: Sequence[Set]) -> tuple[float, float, float]:
    """Mean percent of the earlier sets: among each one's own labels, among all, and by text alone among its own."""
    everything = np.arange(learner.columns.count)
    found = []
    for asked in old:
        own = learner.columns.of(asked.view)
        assert own is not None
        found.append(
            (
                percent(learner, anchors, asked, own, Answerer),
                percent(learner, anchors, asked, everything, Answerer),
                percent(learner, anchors, asked, own, AnchorsAlone),
            )
        )
    one, all_labels, text = np.mean(found, axis=0)
    return float(one), float(all_labels), float(text)


def sequence(bundle: Bundle, sets: Sequence[Set], seed: int, steps: int | None) -> None:
    """Teach all sets and print a row a lesson and kind of anchors."""
    learner = CATALOGUE["default"].make(bundle, Options(steps=steps, seed=seed))
    assert isinstance(learner, Default)
    first = np.zeros((0, bundle.manifest.image.embed_dim), np.float32)
    for count, one in enumerate(sets):
        learner.learn(one.view, one.shots, seed)
        now = learner.known.adapted_anchors
        if count:
            old = len(first)
            turned = (now[:old] * first).sum(axis=1)
            told: Mapping[str, np.ndarray] = {
                KINDS[0]: now,
                KINDS[1]: np.concatenate([first, now[old:]]),
                KINDS[2]: np.concatenate([learner.known.frozen_anchors[:old], now[old:]]),
            }
            for kind, anchors in told.items():
                own, joint, text = of_old(learner, anchors, sets[:count])
                print(
                    f"lesson {count + 1} {one.view.name:12} cos to first {np.median(turned):.3f}  {kind:16} own labels "
                    f"{own:5.2f}  all labels {joint:5.2f}  text alone {text:5.2f}",
                    flush=True,
                )
        first = np.concatenate([first, now[len(first) :]])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--shots", default="5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = Bundle.open(arguments.bundle or embedded_bundle())
    viewer = Viewer(bundle, arguments.cache, 1, 0)
    found = find_sets(arguments.data, arguments.sets.split(","))
    for shots in map(int, arguments.shots.split(",")):
        sets = []
        for each in found:
            taught, asked = take_shots(each, shots, arguments.seed), limit_test(each, 200, 0)
            view = viewer.view(each, np.union1d(taught, asked), lambda what, done, total: None)
            sets.append(Set(view, view.readable(taught), view.readable(asked)))
        print(f"{shots} pictures a label, seed {arguments.seed}", flush=True)
        sequence(bundle, sets, arguments.seed, arguments.steps)


if __name__ == "__main__":
    main()
