"""A fleet in this process over real files: the model `micro`, a hub, and devices that learn by their head from real
scans.

`Member.teach` adds real features to the head and moves the cores at random by about what a real lesson moves them; what
training would do to them is measured elsewhere. Everything else is the product's own code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from conftest import MICRO

from edge_nusa.device.asking.answer import Answerer, PictureFeatures
from edge_nusa.device.fleet.joining import join
from edge_nusa.device.fleet.pull import Pulled, pull
from edge_nusa.device.fleet.push import Pushed, push
from edge_nusa.device.model import Model
from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load, to_files
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.preprocessing import pixels
from edge_nusa.state.state import State
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.folder import RootKeys
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.report import MergeReport
from edge_nusa.sync.trust.repository import Expiry


@cache
def bundle() -> Bundle:
    """The model `micro`, opened once."""
    return Bundle.open(MICRO)


@cache
def scans() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings (B, D), features (B, F) and classes (B,) of scikit-learn's 1,797 scanned digits through the real
    trunk."""
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    session = sessions.open_session(bundle(), "image_trunk", 1)
    grey = [np.kron(255 - np.round(scan * 15.9), np.ones((8, 8))).astype(np.uint8) for scan in found.images]
    batch = np.stack([pixels(Image.fromarray(one).convert("RGB"), bundle().manifest.preprocessing) for one in grey])
    parts = [session.run(None, {"pixels": batch[i : i + 64]})[:2] for i in range(0, len(batch), 64)]
    embeddings, taps = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return embeddings, heads.features(taps), found.target


class Member:
    """One device: a state, and its part in the fleet."""

    def __init__(self, folder: Path, hub: Hub, name: str) -> None:
        self.name = name
        self.model = Model(bundle(), State(folder / name, bundle().identity), threads=1)
        made = join(self.model, hub.settings.store, hub.folder / "root.json")
        hub.enrolled.add(Path(made.public_key).read_bytes(), name, name)
        self.key = made.device

    @property
    def part(self) -> Path:
        """The device's own folder of the fleet."""
        return self.model.state.folder / "sync"

    @property
    def knows(self) -> Knowledge:
        return load(self.model.bundle, self.model.state, DEVICE)[1]

    def teach(self, lessons: Mapping[str, np.ndarray], seed: int, core_size: float = 0.02) -> None:
        """Labels with their features (B, F) int64, committed as a generation."""
        with self.model.state.writer():
            knowledge = after_lessons(self.knows, lessons, seed, core_size).with_lesson()
            self.model.state.commit(to_files(knowledge), "learn")

    def forget(self, name: str) -> None:
        with self.model.state.writer():
            self.model.state.commit(to_files(self.knows.without(name).with_lesson()), "forget")

    def undo(self) -> None:
        with self.model.state.writer():
            self.model.state.undo()

    def redo(self) -> None:
        with self.model.state.writer():
            self.model.state.redo()

    def push(self) -> Pushed:
        return push(self.model)

    def pull(self, is_forced: bool = False) -> Pulled:
        return pull(self.model, is_forced)

    @property
    def labels(self) -> dict[str, int]:
        return {label_names.key(label.name): label.images for label in self.knows.labels}


def after_lessons(knowledge: Knowledge, lessons: Mapping[str, np.ndarray], seed: int, core_size: float) -> Knowledge:
    """A knowledge that was also taught these labels."""
    rng = np.random.default_rng(seed)
    names, labels, dim = list(knowledge.names), list(knowledge.labels), bundle().manifest.text.embed_dim
    head = knowledge.head
    for name, rows in lessons.items():
        known = [label_names.key(one) for one in names]
        if label_names.key(name) not in known:
            names.append(name)
            labels.append(Label(name, 0))
            known.append(label_names.key(name))
        column = known.index(label_names.key(name))
        labels[column] = replace(labels[column], images=labels[column].images + len(rows))
        head = head.added(rows, np.full(len(rows), column), len(names))
    # a file's names come in any order: the same seed moves the same core everywhere
    cores = {name: knowledge.cores[name] for name in sorted(knowledge.cores)}
    cores = {name: core + core_size * rng.normal(size=core.shape) for name, core in cores.items()}
    fresh = rng.normal(size=(len(names) - len(knowledge.names), dim)).astype(np.float32)
    fresh /= np.maximum(np.linalg.norm(fresh, axis=1, keepdims=True), 1e-9)
    return replace(
        knowledge,
        labels=tuple(labels),
        head=head,
        cores=cores,
        tasks=knowledge.tasks + 1,
        frozen_anchors=np.concatenate([knowledge.frozen_anchors, fresh]),
        adapted_anchors=np.concatenate([knowledge.adapted_anchors, fresh]),
    )


def new_hub(folder: Path) -> Hub:
    """A hub with its store beside it."""
    hub_folder.create(folder / "hub", str(folder / "store"), bundle(), RootKeys(folder / "root-keys"), Expiry())
    return Hub(folder / "hub", bundle())


def one_round(hub: Hub, members: Sequence[Member], settings: MergeSettings | None = None) -> MergeReport:
    """Everyone pushes, the hub merges and publishes, everyone pulls; the hub's report."""
    for member in members:
        member.push()
    report = hub.merge(settings or MergeSettings())
    if report.is_merged:
        hub.publish()
    for member in members:
        member.pull()
    return report


def accuracy(knowledge: Knowledge, rows: np.ndarray, name_of: Mapping[int, str]) -> float:
    """Percent of these scans (indices) that a knowledge names right, among its labels, by the product's own answer."""
    embeddings, features, classes = scans()
    views = PictureFeatures(embeddings[rows], embeddings[rows], features[rows])
    none = np.zeros((0, embeddings.shape[1]), np.float32)
    found = Answerer(knowledge, bundle().manifest.logit_scale, none, none)(views).probabilities.argmax(axis=1)
    return 100 * float(
        np.mean(
            [knowledge.names[column] == name_of[int(classes[row])] for column, row in zip(found, rows, strict=True)]
        )
    )
