"""What the frozen model makes of each data set, computed once and cached by content and trunk: the learners' only
input.

Letters: P pictures of a set, C its classes, D embedding, F features of the head, N tokens, E width, T text tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_nusa.device.learning import tails
from edge_nusa.errors import InputError
from edge_nusa.knowledge import head
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.preprocessing import pixels
from edge_nusa.model.shapes import VitShape
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.pictures.pictures import printable
from edge_nusa.research.data.datasets import DataSet, content_digest, open_picture
from edge_nusa.research.data.rows import Rows, RowStore

CHUNK = 32
_log = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """One task as the frozen model sees it.

    classes (P,) int64; place (P,) int64: the row of each picture in the arrays, -1 where it was not needed or not
    readable;
    embedding (rows, D) float32; taps (rows, taps) float32; tokens (rows, N, E) float16 or None; anchors (C, D) float32
    frozen;
    hidden: of each template the text tower's hidden states at the cut (C, T, E) and end positions (C,).
    """

    name: str
    labels: tuple[str, ...]
    classes: np.ndarray
    place: np.ndarray
    embedding: np.ndarray | Rows
    taps: np.ndarray | Rows
    tokens: np.ndarray | Rows | None
    anchors: np.ndarray
    hidden: tuple[tuple[np.ndarray, np.ndarray], ...]

    def embeddings(self, pictures: np.ndarray) -> np.ndarray:
        """(B, D) float32 of pictures (B,) int64."""
        return np.asarray(self.embedding[self.place[pictures]])

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """(B, F) int64 of the head."""
        return head.features(np.asarray(self.taps[self.place[pictures]]))

    def readable(self, pictures: np.ndarray) -> np.ndarray:
        """Those of `pictures` that have a row."""
        return np.asarray(pictures[self.place[pictures] >= 0])

    def part(self, name: str, chosen: np.ndarray) -> View:
        """A task of some classes alone, renumbered from 0. chosen (K,) int64. Pictures of others have class -1."""
        number = np.full(len(self.labels), -1, np.int64)
        number[chosen] = np.arange(len(chosen))
        hidden = tuple((states[chosen], last[chosen]) for states, last in self.hidden)
        labels = tuple(self.labels[i] for i in chosen)
        return replace(
            self,
            name=name,
            labels=labels,
            classes=np.where(self.classes < 0, -1, number[self.classes]),
            anchors=self.anchors[chosen],
            hidden=hidden,
        )


def _tell_lost(dataset: DataSet, lost: Sequence[int], needed: int) -> None:
    """A warning where pictures have no row."""
    if lost:
        first = dataset.pictures[lost[0]]
        called = printable(first) if isinstance(first, Path) else f"picture {lost[0]}"
        text = "%s: %d of %d pictures cannot be read and are left out, such as %s"
        _log.warning(text, dataset.name, len(lost), needed, called)


class Viewer:
    """Makes views with one bundle; `cache` is a folder that any number of runs share.

    image_blocks: how many of the last image blocks a learner may change; the tokens are those in front of them, 0:
    none.
    """

    def __init__(self, bundle: Bundle, cache: Path, threads: int, image_blocks: int) -> None:
        self.bundle, self.cache, self.threads = bundle, cache, threads
        self.image_blocks = min(image_blocks, bundle.manifest.image.tail_blocks)
        self.text = TextEncoder(bundle, threads)

    @cached_property
    def _trunk(self) -> sessions.Graph:
        return sessions.open_session(self.bundle, "image_trunk", self.threads)

    @cached_property
    def _frozen(self) -> Any:
        return self.text.tail({})

    def view(self, dataset: DataSet, needed: np.ndarray, progress: Progress) -> View:
        """The set's view with rows for the pictures `needed` (B,) int64. Raises InputError where none is readable."""
        store = self._store(dataset.name)
        digests = self._digests([dataset.pictures[i] for i in needed])
        by_digest = {digest: int(index) for index, digest in zip(needed, digests, strict=True) if digest}
        if store.missing(list(by_digest)):
            with store.writer():
                self._compute(
                    dataset, store, {digest: by_digest[digest] for digest in store.missing(list(by_digest))}, progress
                )
        place = np.full(len(dataset.pictures), -1, np.int64)
        for index, digest in zip(needed, digests, strict=True):
            place[index] = store.place.get(digest, -1)
        _tell_lost(dataset, [int(index) for index in needed if place[index] < 0], len(needed))
        if not (place >= 0).any():
            raise InputError(f"{dataset.name}: none of its {len(needed)} pictures could be read; check the folder")
        hidden = tuple(
            self.text.hidden([template.replace("{}", label) for label in dataset.labels])
            for template in dataset.templates
        )
        total = np.sum(
            [sessions.run(self._frozen, {"hidden": states, "last": last}, chunk=64)[0] for states, last in hidden],
            axis=0,
        )
        anchors = (total / np.linalg.norm(total, axis=1, keepdims=True)).astype(np.float32)
        tokens = store.read("tokens") if self.image_blocks else None
        return View(
            name=dataset.name,
            labels=dataset.labels,
            classes=dataset.classes,
            place=place,
            embedding=store.read("embedding"),
            taps=store.read("taps"),
            tokens=tokens,
            anchors=anchors,
            hidden=hidden,
        )

    def _store(self, name: str) -> RowStore:
        shape, files = self.bundle.manifest.image, self.bundle.manifest.files
        columns: dict[str, tuple[str, tuple[int, ...]]] = {
            "embedding": ("<f4", (shape.embed_dim,)),
            "taps": ("<f4", (shape.taps,)),
        }
        if self.image_blocks and isinstance(shape, VitShape):
            columns["tokens"] = ("<f2", (shape.tokens, shape.width))
        trunk = f"{files['weights.safetensors'].sha256[:16]}-{files['image_trunk.onnx'].sha256[:16]}"
        return RowStore(self.cache / trunk / f"{self.image_blocks}-blocks" / name, columns)

    def _digests(self, pictures: Sequence[object]) -> list[str]:
        found = []
        for picture in pictures:
            try:
                found.append(content_digest(picture))  # type: ignore[arg-type]
            except (InputError, OSError):
                found.append("")
        return found

    def _compute(self, dataset: DataSet, store: RowStore, wanted: dict[str, int], progress: Progress) -> None:
        batch: list[tuple[str, np.ndarray]] = []
        for count, (digest, index) in enumerate(wanted.items(), start=1):
            try:
                batch.append(
                    (digest, pixels(open_picture(dataset.pictures[index]), self.bundle.manifest.preprocessing))
                )
            except InputError:
                progress(f"{dataset.name}: unreadable", count, len(wanted))
            if batch and (len(batch) == CHUNK or count == len(wanted)):
                store.append([digest for digest, _ in batch], self._outputs(np.stack([row for _, row in batch])))
                batch.clear()
            progress(dataset.name, count, len(wanted))

    def _outputs(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """The trunk's outputs for normalised pixels, its tokens taken on through the blocks that no learner changes."""
        found = dict(zip(("embedding", "taps", "tokens"), self._trunk.run(None, {"pixels": batch}), strict=False))
        fixed = self.bundle.manifest.image.tail_blocks - self.image_blocks
        if self.image_blocks and fixed:
            with torch.inference_mode():
                tokens = torch.from_numpy(found["tokens"])
                for block in list(self._tail.blocks.values())[:fixed]:
                    tokens = block(tokens)
                found["tokens"] = tokens.numpy()
        return found

    @cached_property
    def _tail(self) -> Any:
        return tails.build_tail(self.bundle, "image", {})
