"""How well the product says "none of these": own pictures and strangers, by labels taught and pictures a label.

python research/rivals/none_of_these.py --data DIR --cache DIR [--bundle DIR] [--sets a,b,...] [--labels 1,2,5,20]
    [--shots 1,2,5,16] [--photographs tin_vehicles,tin_objects]

Of each set some labels are taught, alone and by the product's own functions; asked are held-out pictures of them (own),
and pictures of (a) the other sets, (b) the set's other labels, (c) ordinary photographs, and (d) what shows nothing:
black, white, noise, and pictures blurred beyond recognition, which the script makes. For each it prints the area under
the curve of novelty, how many strangers are nearer than 95 of 100 own pictures, and how many are called known.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from edge_nusa.device.asking.answer import Answerer, PictureFeatures
from edge_nusa.device.learning.train_head import with_head
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge, Label, nothing
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.data.datasets import DataSet, find_sets, open_picture
from edge_nusa.research.data.views import View, Viewer
from edge_nusa.research.figures.metrics import auroc

SETS = "caltech101,cifar10,flowers5,grocery,medical_mnist,mnist,pacs_photo,pacs_sketch,rsscn7,sign_digits,trashnet"
ALIKE = ({"pacs_photo", "pacs_sketch"},)
"""Sets with the same labels, which are no strangers to each other."""
ASKED, STRANGERS, OTHERS, REPEATS, MOST = 15, 30, 100, 4, 60
"""Held-out pictures a label, pictures of each other set, pictures of other labels, draws, pictures of a label looked
at."""
BLURRED, SIDE, BLUR = 5, 128, 12.0
"""Blurred pictures of each set, pixels a side, and the blur's radius in pixels."""


class Asked(NamedTuple):
    """B pictures: embedding (B, D) float32 and features (B, F) int64 of the head."""

    embedding: np.ndarray
    rows: np.ndarray


class Told(NamedTuple):
    """One kind of stranger beside own pictures: area under the curve, strangers within 95 % of own ones, own and
    strangers called known, all in percent."""

    area: float
    within: float
    own: float
    strangers: float


def looked(view: View, pictures: np.ndarray) -> Asked:
    """Pictures (B,) of a view."""
    return Asked(view.embeddings(pictures), view.features(pictures))


def joined(parts: list[Asked]) -> Asked:
    """All of them in one."""
    return Asked(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def taught(bundle: Bundle, view: View, chosen: np.ndarray, pictures: np.ndarray) -> Knowledge:
    """What the product knows after a lesson of these labels (K,) from `pictures` (B,), without training the text."""
    goals = np.searchsorted(chosen, view.classes[pictures])
    seen, anchors = looked(view, pictures), view.anchors[chosen]
    counts = np.bincount(goals, minlength=len(chosen))
    empty = nothing(bundle, DEVICE)
    labels = tuple(Label(view.labels[k], int(count)) for k, count in zip(chosen, counts, strict=True))
    candidate = Knowledge(
        recipe=DEVICE,
        labels=labels,
        frozen_anchors=anchors,
        adapted_anchors=anchors,
        cores={},
        head=empty.head,
        tasks=1,
    )
    text = bundle.manifest.logit_scale * seen.embedding @ anchors.T
    head = Head.empty(seen.rows.shape[1])
    return with_head(candidate, head, seen.rows, text, goals, np.zeros(len(goals), bool))[1]


def told(answerer: Answerer, own: Asked, strangers: Asked) -> Told:
    """The figures of one kind of stranger."""
    found = [answerer(PictureFeatures(one.embedding, one.embedding, one.rows)) for one in (own, strangers)]
    edge = np.quantile(found[0].novelty, 0.95)
    shares = [100 * float((one.known >= 0.5).mean()) for one in found]
    area = auroc(found[0].novelty, found[1].novelty)
    assert area is not None, "pictures of both kinds were asked"
    return Told(area, 100 * float((found[1].novelty <= edge).mean()), *shares)


def measured(
    bundle: Bundle, view: View, labels: int, shots: int, strangers: dict[str, Asked], generator: np.random.Generator
) -> dict[str, Told]:
    """One draw of labels and pictures of a set. strangers: by kind, pictures that are none of the set's."""
    order = generator.permutation(len(view.labels))
    chosen, other = np.sort(order[:labels]), order[labels:]
    given: list[int] = []
    asked: list[int] = []
    for label in chosen:
        pictures = generator.permutation(view.readable(np.flatnonzero(view.classes == label)))
        given += pictures[:shots].tolist()
        asked += pictures[shots : shots + ASKED].tolist()
    known = taught(bundle, view, chosen, np.array(given))
    none = known.frozen_anchors[:0]
    answerer, own = Answerer(known, bundle.manifest.logit_scale, none, none), looked(view, np.array(asked))
    kinds = dict(strangers)
    if len(other):
        pictures = generator.permutation(view.readable(np.flatnonzero(np.isin(view.classes, other))))[:OTHERS]
        kinds["b"] = looked(view, pictures)
    return {kind: told(answerer, own, asked_of) for kind, asked_of in kinds.items()}


def showing_nothing(folder: Path, sets: list[DataSet], generator: np.random.Generator) -> None:
    """Pictures of kind (d) as the set "nothing" below `folder`."""
    made = folder / "nothing" / "nothing"
    made.mkdir(parents=True)
    for level in (0, 255):
        Image.new("RGB", (SIDE, SIDE), (level, level, level)).save(made / f"flat-{level}.png")
    for index in range(5):
        noise = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(made / f"noise-{index}.png")
    for one in sets:
        for index in generator.permutation(len(one.pictures))[:BLURRED]:
            image = open_picture(one.pictures[index]).convert("RGB").resize((SIDE, SIDE))
            image.filter(ImageFilter.GaussianBlur(BLUR)).save(made / f"blurred-{one.name}-{index}.png")


def views_of(viewer: Viewer, sets: list[DataSet], generator: np.random.Generator) -> list[View]:
    """At most MOST pictures of each label of each set, through the trunk or out of the cache."""
    found = []
    for one in sets:
        classes = np.array([one.classes[i] for i in range(len(one.pictures))])
        some = [generator.permutation(np.flatnonzero(classes == k))[:MOST] for k in range(len(one.labels))]
        found.append(viewer.view(one, np.sort(np.concatenate(some)), lambda name, done, total: None))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--photographs", default="tin_vehicles,tin_objects")
    parser.add_argument("--labels", default="1,2,5,20")
    parser.add_argument("--shots", default="1,2,5,16")
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.bundle or embedded_bundle())
    viewer, generator = Viewer(bundle, arguments.cache, 1, 0), np.random.default_rng(0)
    sets = find_sets(arguments.data, arguments.sets.split(","))
    views = views_of(viewer, sets, generator)
    photographs = views_of(viewer, find_sets(arguments.data, arguments.photographs.split(",")), generator)
    with tempfile.TemporaryDirectory() as folder:
        showing_nothing(Path(folder), sets, generator)
        (nothing_shown,) = views_of(viewer, find_sets(Path(folder), None), generator)
    fixed = {
        "c": joined([some(view, OTHERS, generator) for view in photographs]),
        "d": some(nothing_shown, 200, generator),
    }
    for labels in map(int, arguments.labels.split(",")):
        for shots in map(int, arguments.shots.split(",")):
            table(bundle, views, (labels, shots), fixed, generator)


def some(view: View, count: int, generator: np.random.Generator) -> Asked:
    """So many pictures of a view."""
    return looked(view, generator.permutation(view.readable(np.arange(len(view.place))))[:count])


def table(
    bundle: Bundle,
    views: list[View],
    asked: tuple[int, int],
    fixed: dict[str, Asked],
    generator: np.random.Generator,
) -> None:
    """Print the rows of so many labels and pictures a label (`asked`), over all sets that have so many labels."""
    labels, shots = asked
    found: dict[str, list[Told]] = defaultdict(list)
    for view in (one for one in views if len(one.labels) >= labels):
        twins = next((pair for pair in ALIKE if view.name in pair), {view.name})
        for _ in range(REPEATS):
            others = joined([some(one, STRANGERS, generator) for one in views if one.name not in twins])
            for kind, one in measured(bundle, view, labels, shots, {"a": others, **fixed}, generator).items():
                found[kind].append(one)
    for kind in sorted(found):
        rows = np.array(found[kind])
        mean, least = rows.mean(axis=0), rows[:, 2].min()
        print(
            f"{labels:2} labels {shots:2} pictures ({kind})  AUROC {mean[0]:5.1f}  within 95 % of own {mean[1]:5.1f} %"
            f"  known: own {mean[2]:5.1f} % (least {least:3.0f}), strangers {mean[3]:4.1f} % "
            f"(most {rows[:, 3].max():3.0f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
