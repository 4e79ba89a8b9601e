"""What it costs a fleet to share less of its pictures: exact sums, groups of four, or one mean a label and device.

python research/rivals/sharing.py --data DIR --cache DIR [--bundle DIR] [--sets a,b,...] [--devices 5,20,100]
    [--shots 5,16] [--draws 2]

Every device of a fleet teaches all labels of a set, with so many pictures each, drawn for each device by itself out of
the label's pictures but HELD of them, so that with many devices the same picture comes more than once. Asked is a new
device that knows what the fleet shares and nothing else. `means` is the estimate of the scatter within labels from
devices' means (FedCOF, arXiv 2412.14326): sum n_k (m_k - m)(m_k - m)^T over its degrees of freedom, here pooled over
labels and shrunk as ever; `none` is the same without any scatter. Mixture sums are those of MIXING of the devices.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_nusa.device.asking.answer import Answerer, PictureFeatures
from edge_nusa.knowledge import fusion, private
from edge_nusa.knowledge.fit import UNIT
from edge_nusa.knowledge.groups import Formed
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.data.datasets import find_sets
from edge_nusa.research.data.views import View, Viewer
from edge_nusa.research.rivals.none_of_these import SETS, looked, taught

HELD, MIXING = 20, 5
"""Pictures of a label that are asked about, and devices whose mixture sums count."""


def halves(view: View, generator: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Of each label the pictures that may be taught, and those that are asked about."""
    orders = [
        generator.permutation(view.readable(np.flatnonzero(view.classes == label))) for label in range(len(view.labels))
    ]
    return [order[HELD:] for order in orders], np.concatenate([order[:HELD] for order in orders])


def shared(rows: np.ndarray, columns: np.ndarray, is_one: bool) -> Head:
    """What leaves a device that was taught these pictures: rows (B, F) int64, columns (B,)."""
    count = int(columns.max()) + 1
    none = private.nothing_private(Head.empty(rows.shape[1]))
    placed = private.placed(none, rows, columns, Formed(), is_one)
    exact = Head.empty(rows.shape[1]).added(placed.rows, columns, count)
    losses = np.zeros((len(rows), *none.settled.shape), np.int64)
    return placed.stays(none, losses, count).shared(exact)


def both(one: Head | None, other: Head) -> Head:
    """The sums of two devices that know the same labels."""
    if one is None:
        return other
    return Head(one.gram + other.gram, one.sums + other.sums, one.counts + other.counts, one.spare + other.spare)


def without_scatter(head: Head) -> Head:
    """The labels' means alone."""
    means = head.sums / np.maximum(head.counts, 1) / UNIT
    gram = np.rint((means * head.counts) @ means.T * UNIT**2).astype(np.int64)
    return Head(gram, head.sums, head.counts, -int(np.maximum(head.counts - 1, 0).sum()))


def fleets(
    bundle: Bundle, view: View, given: list[np.ndarray], sizes: tuple[int, int], generator: np.random.Generator
) -> dict[str, Knowledge]:
    """What a new device knows of a fleet of sizes[0] devices with sizes[1] pictures a label, by what they share."""
    chosen, known = np.arange(len(view.labels)), None
    heads: dict[str, Head | None] = {"exact": None, "groups": None, "means": None}
    for device in range(sizes[0]):
        pictures = np.concatenate([generator.choice(of, min(sizes[1], len(of)), replace=False) for of in given])
        rows, columns = looked(view, pictures).rows, view.classes[pictures]
        if device < MIXING:
            one = taught(bundle, view, chosen, pictures)
            known = one if known is None else replace(known, fusion=known.fusion + one.fusion - fusion.nothing_seen())
        own = {
            "exact": Head.empty(rows.shape[1]).added(rows, columns, len(chosen)),
            "groups": shared(rows, columns, False),
            "means": shared(rows, columns, True),
        }
        for name, head in own.items():
            heads[name] = both(heads[name], head)
    assert known is not None
    found = {name: replace(known, head=head) for name, head in heads.items() if head is not None}
    return {**found, "none": replace(known, head=without_scatter(found["exact"].head))}


def percent(bundle: Bundle, known: Knowledge, view: View, asked: np.ndarray) -> float:
    """Of these pictures, those whose label is the most probable one of the set."""
    none, seen = known.frozen_anchors[:0], looked(view, asked)
    answerer = Answerer(known, bundle.manifest.logit_scale, none, none)
    found = answerer(PictureFeatures(seen.embedding, seen.embedding, seen.rows)).probabilities
    return 100 * float((found.argmax(axis=1) == view.classes[asked]).mean())


def measured(bundle: Bundle, views: list[View], sizes: tuple[int, int], draws: int) -> Iterator[tuple[str, str, float]]:
    """(set, what is shared, percent right), the mean of the draws."""
    for view in views:
        figures = defaultdict(list)
        for draw in range(draws):
            generator = np.random.default_rng(draw)
            given, asked = halves(view, generator)
            for name, known in fleets(bundle, view, given, sizes, generator).items():
                figures[name].append(percent(bundle, known, view, asked))
        for name, found in figures.items():
            yield view.name, name, float(np.mean(found))


def main() -> None:
    """A line a fleet and set, and one with the mean over the sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--devices", default="5,20,100")
    parser.add_argument("--shots", default="5,16")
    parser.add_argument("--draws", type=int, default=2)
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.bundle or embedded_bundle())
    viewer = Viewer(bundle, arguments.cache, 1, 0)
    sets = find_sets(arguments.data, arguments.sets.split(","))
    views = [viewer.view(one, np.arange(len(one.pictures)), lambda name, done, total: None) for one in sets]
    for devices in map(int, arguments.devices.split(",")):
        for shots in map(int, arguments.shots.split(",")):
            rows: dict[str, dict[str, float]] = defaultdict(dict)
            for name, kind, found in measured(bundle, views, (devices, shots), arguments.draws):
                rows[name][kind] = found
            for name, figures in rows.items():
                told = ", ".join(f"{kind} {found:.1f}" for kind, found in figures.items())
                print(f"{devices} devices, {shots} pictures, {name}: {told}", flush=True)
            mean = {kind: np.mean([figures[kind] for figures in rows.values()]) for kind in next(iter(rows.values()))}
            told = ", ".join(f"{kind} {found:.1f}" for kind, found in mean.items())
            print(f"{devices} devices, {shots} pictures, mean of {len(rows)} sets: {told}", flush=True)


if __name__ == "__main__":
    main()
