"""Answers pictures with what was learned, by onnxruntime and numpy alone; nothing here imports torch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from edge_nusa.device.asking.ahead import Decode, decode_here
from edge_nusa.device.asking.answer import Answerer
from edge_nusa.device.asking.features import Features, Trunk, extracted, image_tail, limits, picture_features
from edge_nusa.device.opened import Opened
from edge_nusa.errors import InputError
from edge_nusa.files.node import Node
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load_to_ask
from edge_nusa.memory import give_back
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.pictures.picture import Source, name_of
from edge_nusa.pictures.pictures import Quarantined


class Ranked(NamedTuple):
    """A label and how probable it is, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer to one picture. image: its name as it was asked; best: the label that answers, None for none of them;
    labels: most probable first, what is missing to 1 is "something else"; known: how probably the picture shows any
    taught label, 0 to 1 (None under a recipe without a head, which cannot tell); unknown: a taught label is the most
    probable one, but more probably it is none; node: the file that was opened (None: not known); seconds: what it took,
    a part of the time of the pictures that were asked together (None: nobody looked at the clock)."""

    image: str
    best: str | None
    labels: tuple[Ranked, ...]
    known: float | None
    unknown: bool
    node: Node | None = None
    seconds: float | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """A line of `predict --format json` (docs/programs.md)."""
        labels = [label._asdict() for label in self.labels]
        return {"image": self.image, "best": self.best, "labels": labels, "known": self.known, "unknown": self.unknown}

    def words(self, most: int) -> str:
        """The answer as people read it, with at most so many labels."""
        named = ", ".join(
            f"{label_names.in_list(label)} {100 * probability:.1f} %" for label, probability in self.labels[:most]
        )
        if self.best is not None or self.known is None:
            return named
        return f"something else {100 * (1 - self.known):.1f} % ({named})"


class Predictor:
    """The graphs and anchors for one state and one list of offered labels, made once and used for many pictures."""

    def __init__(
        self, opened: Opened, others: Sequence[str] = (), decode: Decode = decode_here, beside: int = 0
    ) -> None:
        """others: labels offered beside the learned ones; decode: who decodes, in a child that takes `beside` bytes.
        Raises InputError where there is nothing to choose from."""
        self.generation, self.knowledge = load_to_ask(opened.bundle, opened.state, DEVICE)
        known = self.knowledge.columns
        self.names = [*self.knowledge.names, *(name for name in others if label_names.key(name) not in known)]
        if not self.names:
            raise InputError(
                "nothing was learned yet and no labels were offered; pass --label NAME, or teach one with `edge-nusa "
                "learn`"
            )
        self.opened = opened
        self._answerer = make_answerer(opened, self.knowledge, self.names[len(known) :])
        self._tail = image_tail(opened.bundle, self.knowledge.merged(opened.bundle, ("image",)), opened.threads)
        if self._answerer.solved is not None:
            self._answerer.solved = self._answerer.solved.for_asking()
        if self.knowledge.recipe.has_head:  # it is fitted: its sums are needed no more, 25 MiB on ViT-B
            self.knowledge = self._answerer.knowledge = replace(self.knowledge, head=Head.empty(0))
        give_back()
        self.trunk = opened.image_trunk()
        self._limits, self._decode = limits(opened.bundle, opened.max_memory_bytes, beside=beside), decode

    def __call__(self, sources: Sequence[Source], top: int | None = None) -> Iterator[Prediction | Quarantined]:
        """One prediction a readable picture in the order given, a Quarantined for each other; streams in chunks."""
        done = 0
        trunk = Trunk(self.trunk, self.opened.bundle, self._decode)
        coming = extracted(trunk, sources, self._limits, self._tail is not None, lambda done, total: None)
        began = time.monotonic()
        with closing(coming) as chunks:
            for features in chunks:
                answers = self.answers(features, [str(name_of(sources[i])) for i in features.kept], top)
                quarantined, kept = iter(features.quarantined), set(features.kept)
                chunk = range(done, done + len(features.kept) + len(features.quarantined))
                took = (time.monotonic() - began) / len(chunk)
                predictions = (replace(answer, seconds=took) for answer in answers)
                for index in chunk:
                    yield next(predictions) if index in kept else next(quarantined)
                done, began = chunk.stop, time.monotonic()

    def answers(self, features: Features, images: Sequence[str], top: int | None = None) -> list[Prediction]:
        """Predictions of extracted pictures; `images` are their names in the answer."""
        if not len(features.embedding):
            return []
        answers = self._answerer(picture_features(features, self._tail))
        predictions = []
        nodes: Sequence[Node | None] = features.nodes or [None for _ in images]
        rows = zip(images, nodes, answers.probabilities, answers.known.tolist(), answers.unknown.tolist(), strict=True)
        for image, node, row, known, unknown in rows:
            order = row.argsort()[::-1][:top]
            labels = tuple(Ranked(self.names[i], round(float(row[i]), 6)) for i in order)
            shown = None if np.isnan(known) else round(known, 6)
            best = None if unknown else self.names[int(row.argmax())]
            predictions.append(
                Prediction(image=image, best=best, labels=labels, known=shown, unknown=unknown, node=node)
            )
        return predictions


def make_answerer(opened: Opened, knowledge: Knowledge, others: Sequence[str]) -> Answerer:
    """The answerer for learned labels and `others`; the text graphs are opened only where others are offered."""
    bundle: Bundle = opened.bundle
    if not others:
        none = knowledge.frozen_anchors[:0]
        return Answerer(knowledge, bundle.manifest.logit_scale, none, none)
    text = TextEncoder(bundle, opened.threads)
    frozen = text.anchors(text.tail({}), others, None)
    adapted = (
        frozen
        if knowledge.recipe.has_head
        else text.anchors(text.tail(knowledge.merged(bundle, ("text",))), others, None)
    )
    return Answerer(knowledge, bundle.manifest.logit_scale, frozen, adapted)
