"""The learners that `eval` compares with the product's own: frozen and gradient methods; ridge heads are in `ridge.py`.

Each sees views (`edge_nusa.research.data.views`) and never a test picture before it is asked about it.
Letters: B pictures, C classes of a task, L learned labels, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edge_nusa.device.asking.answer import softmax
from edge_nusa.device.learning import tails
from edge_nusa.device.learning.lesson import as_kept
from edge_nusa.device.learning.train_cores import TaskData, Trainer
from edge_nusa.knowledge import knowledge
from edge_nusa.knowledge.recipes import Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.data.views import View
from edge_nusa.research.learners import subspaces
from edge_nusa.threads import one_blas_thread

CHUNK = 64
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Answer:
    """probabilities (B, C) over the offered labels, rows summing to 1; novelty (B,): larger for what looks unlike
    what was learned."""

    probabilities: np.ndarray
    novelty: np.ndarray


class Learner(Protocol):
    """What the protocols ask of a learner."""

    @property
    def trained_numbers(self) -> int:
        """Parameters that one task trains."""

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """Learn a task from pictures (B,) int64 of its view."""

    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        """Answers about pictures of `asked` among all labels of `offered`, in their order."""

    def arrays(self) -> Arrays:
        """All that is kept between tasks, by name; its bytes are the learner's state."""

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """Go on from `arrays`, given the views of the tasks learned so far."""


def anchors_of(views: Sequence[View]) -> np.ndarray:
    """(C, D) frozen anchors of all labels of the views."""
    return np.concatenate([view.anchors for view in views])


class Frozen:
    """The untouched model: zero-shot, learns nothing."""

    trained_numbers = 0

    def __init__(self, bundle: Bundle) -> None:
        self.scale = bundle.manifest.logit_scale

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """Nothing."""

    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        """softmax(logit_scale * cos)."""
        with one_blas_thread:
            probabilities = softmax(self.scale * asked.embeddings(pictures) @ anchors_of(offered).T)
        return Answer(probabilities, 1 - probabilities.max(axis=1))

    def arrays(self) -> Arrays:
        """Nothing."""
        return {}

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """Nothing."""


class Gradient:
    """Adapts matrices by the published objective and merges after each task; the recipe says which towers, how long
    and by which rule."""

    def __init__(self, bundle: Bundle, recipe: Recipe, adaptation: tails.Adaptation) -> None:
        self.bundle, self.recipe, self.adaptation = bundle, recipe, adaptation
        self.known = knowledge.nothing(bundle, recipe)
        self.trained_numbers = 0
        self._text: nn.Module | None = None
        self._image: nn.Module | None = None
        self._seen: dict[tuple[str, bytes], np.ndarray] = {}
        self._anchors: dict[str, np.ndarray] = {}

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """Train on all of the pictures, merge."""
        trainer = Trainer(self.bundle, self.known, self._data(view, pictures), self.recipe, seed, self.adaptation)
        self.trained_numbers = sum(parameter.numel() for parameter in trainer.parameters)
        self.adopt(trainer.run(lambda done, total: None).cores)

    def _data(self, view: View, pictures: np.ndarray) -> TaskData:
        hidden, last = view.hidden[0]
        tokens = (
            np.asarray(view.tokens[view.place[pictures]])
            if view.tokens is not None and "image" in self.recipe.towers
            else None
        )
        nothing = np.zeros(0, np.int64)
        return TaskData(
            embedding=view.embeddings(pictures),
            tokens=tokens,
            classes=view.classes[pictures],
            held_out=np.zeros(len(pictures), bool),
            class_hidden=hidden,
            class_last=last,
            noun_hidden=hidden[:0],
            noun_last=nothing,
            noun_anchors=view.anchors[:0],
        )

    def adopt(self, cores: Mapping[str, np.ndarray]) -> None:
        """Answer by these cores from now on, in float32, which is how a state keeps them between tasks."""
        self.known = replace(self.known, cores=as_kept(cores))
        self._text, self._image, self._seen, self._anchors = None, None, {}, {}

    @torch.no_grad()
    def adapted_anchors(self, view: View) -> np.ndarray:
        """(C, D) float32 anchors by the adapted text tower, the mean over the task's templates."""
        if "text" not in self.recipe.towers:
            return view.anchors
        if self._text is None:
            self._text = tails.build_tail(self.bundle, "text", self.known.merged(self.bundle, ("text",)))
        if view.name not in self._anchors:
            total = sum(self._text(torch.from_numpy(hidden), torch.from_numpy(last)) for hidden, last in view.hidden)
            self._anchors[view.name] = functional.normalize(total, dim=1).numpy()
        return self._anchors[view.name]

    @torch.no_grad()
    def embeddings(self, view: View, pictures: np.ndarray) -> np.ndarray:
        """(B, D) float32 by the adapted image tower."""
        if (
            "image" not in self.recipe.towers
            or view.tokens is None
            or not any(name.startswith("image.") for name in self.known.cores)
        ):
            return view.embeddings(pictures)
        if self._image is None:
            self._image = tails.build_tail(self.bundle, "image", self.known.merged(self.bundle, ("image",)))
        key = view.name, pictures.tobytes()
        if key not in self._seen:
            rows = view.place[pictures]
            parts = [
                self._image(torch.from_numpy(view.tokens[rows[i : i + CHUNK]].astype(np.float32)))
                for i in range(0, len(rows), CHUNK)
            ]
            self._seen[key] = torch.cat(parts).numpy()
        return self._seen[key]

    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        """softmax(logit_scale * cos) of the adapted towers."""
        anchors = np.concatenate([self.adapted_anchors(view) for view in offered])
        embeddings = self.embeddings(asked, pictures)
        with one_blas_thread:
            probabilities = softmax(self.bundle.manifest.logit_scale * embeddings @ anchors.T)
        return Answer(probabilities, 1 - probabilities.max(axis=1))

    def arrays(self) -> Arrays:
        """Merged matrices, or cores under rule `pool`."""
        return {name: core.astype(np.float32) for name, core in self.known.cores.items()}

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """Go on from merged matrices or cores."""
        kind = np.float64 if self.recipe.rule == "pool" else np.float32
        self.adopt({name: array.astype(kind) for name, array in arrays.items()})


class Guided(Gradient):
    """Before each task, the r of 2 r smallest directions that carry most of the task's first gradient."""

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """Look at the gradient, choose, train, merge."""
        scout = Trainer(
            self.bundle, self.known, self._data(view, pictures), self.recipe, seed, subspaces.Chosen(subspaces.doubled)
        )
        wide = {
            matrix: (one.adapter.left_basis.numpy(), one.adapter.right_basis.numpy())
            for matrix, one in scout.adapted.items()
        }
        self.adaptation = subspaces.Chosen(subspaces.by_gradient(scout.gradients(), wide))
        super().learn(view, pictures, seed)


class Columns:
    """Which columns of a head belong to which learned task."""

    def __init__(self) -> None:
        self.learned: list[View] = []

    def add(self, view: View) -> np.ndarray:
        """The new task's columns (C,) int64."""
        start = sum(len(old.labels) for old in self.learned)
        self.learned.append(view)
        return start + np.arange(len(view.labels))

    def of(self, view: View) -> np.ndarray | None:
        """A task's columns, None where it is not learned."""
        start = 0
        for old in self.learned:
            if old.name == view.name:
                return start + np.arange(len(view.labels))
            start += len(old.labels)
        return None

    @property
    def count(self) -> int:
        """L."""
        return sum(len(old.labels) for old in self.learned)


def state_bytes(arrays: Mapping[str, Any]) -> int:
    """Bytes of all arrays."""
    return int(sum(array.nbytes for array in arrays.values()))
