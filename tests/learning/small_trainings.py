"""A training small enough to follow by hand: a text tower that passes its end token on, one adapter of 4 x 4, few
pictures.

Letters: B pictures, C classes, D = 4 the embedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hollow_bundles import hollow_manifest
from made_by_hand import SCALE, knowledge
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.device.learning import tails
from edge_nusa.device.learning import train_cores as train
from edge_nusa.device.learning.gaussian_replay import GaussianReplay
from edge_nusa.device.learning.task_data import TaskData
from edge_nusa.knowledge.recipes import DEVICE, Recipe

D, MATRIX = 4, "text.0.q"
PLAIN = replace(DEVICE, steps=4, batch=3, negatives=8, staying=0.0, recalled=0, label_smoothing=0.0, dropout=0.0)
"""The device's recipe without what makes a loss differ from plain cross-entropy."""


class Tower(nn.Module):
    """Stands for a tail: its token after the adapter, of length 1. calls: (hidden, last, prefix) as they came."""

    def __init__(self) -> None:
        super().__init__()
        self.adapter: nn.Module | None = None
        self.calls: list[tuple[np.ndarray, np.ndarray, int]] = []

    def after_prefix(self, hidden: Tensor, last: Tensor, prefix: int) -> Tensor:
        """Of texts."""
        self.calls.append((hidden.numpy().copy(), last.numpy().copy(), prefix))
        return self.embedded(hidden[torch.arange(len(last)), last])

    def forward(self, tokens: Tensor) -> Tensor:
        """Of pictures: the first token."""
        return self.embedded(tokens[:, 0])

    def embedded(self, rows: Tensor) -> Tensor:
        """(B, D) unit norm."""
        return functional.normalize(rows if self.adapter is None else rows + self.adapter(rows), dim=-1)


class Core(nn.Module):
    """The adapter: rows times a core that starts at zero. modes: whether it was training, at each use."""

    def __init__(self) -> None:
        super().__init__()
        self.core = nn.Parameter(torch.zeros(D, D))
        self.modes: list[bool] = []

    def forward(self, rows: Tensor) -> Tensor:
        self.modes.append(self.training)
        return rows @ self.core.T


class OneCore:
    """An `Adaptation` with one `Core` a tower; towers of the names in `without` have nothing to adapt."""

    def __init__(self, without: tuple[str, ...] = (), directions: Any = None) -> None:
        self.without, self.directions = without, directions

    def attach(self, tail: Any, tower: str, bundle: Any, known: Any) -> dict[str, Any]:
        if tower in self.without:
            return {}
        tail.adapter = Core()
        return {f"{tower}.0.q": SimpleNamespace(adapter=tail.adapter, directions=self.directions)}

    def folded(self, bundle: Any, known: Any, adapted: dict[str, Any]) -> dict[str, np.ndarray]:
        return {name: one.adapter.core.detach().numpy().copy() for name, one in adapted.items()}


def rows(seed: int, *shape: int) -> np.ndarray:
    """float32 numbers, of length 1 along the last axis where there are two."""
    drawn = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True))


def task(
    classes: list[int],
    held: list[int] | None = None,
    names: int = 3,
    nouns: int = 2,
    old: int = 0,
    tokens: bool = False,
) -> TaskData:
    """Pictures of these classes; `held` are held out; texts of `names` own classes, of `old` old labels, and of
    nouns."""
    count = len(classes)
    recalled = None
    if old:
        recalled = GaussianReplay(
            rows(1, count, D), rows(2, old, D), np.zeros((D, D), np.float32), np.eye(D, dtype=np.float32)
        )
    return TaskData(
        embedding=rows(3, count, D),
        tokens=rows(4, count, 2, D).astype(np.float16) if tokens else None,
        classes=np.array(classes),
        held_out=np.isin(np.arange(count), held or []),
        class_hidden=rows(5, names + old, 4, D),
        class_last=np.array([3, 2, 1] * (names + old))[: names + old],
        noun_hidden=rows(6, nouns, 3, D) if nouns else np.zeros((0, 1, D), np.float32),
        noun_last=np.array(([2, 1] * nouns)[:nouns], np.int64),
        noun_anchors=rows(7, nouns, D),
        gaussian_replay=recalled,
    )


def trainer(
    monkeypatch: Any,
    data: TaskData,
    recipe: Recipe = PLAIN,
    adaptation: OneCore | None = None,
    kind: type[train.Trainer] = train.Trainer,
    tail_blocks: int = 1,
    **parts: Any,
) -> Any:
    """A trainer of the task by the stand-ins above; parts: of the bundle."""
    monkeypatch.setattr(tails, "build_tail", lambda bundle, tower, merged: Tower())
    manifest = replace(hollow_manifest(), logit_scale=SCALE)
    manifest = replace(manifest, image=replace(manifest.vit, tail_blocks=tail_blocks))
    known = knowledge([], np.zeros((0, D), np.float32))
    return kind(SimpleNamespace(manifest=manifest, **parts), known, data, recipe, 3, adaptation or OneCore())  # type: ignore[arg-type]


def text_anchors(data: TaskData, core: Tensor) -> tuple[Tensor, Tensor]:
    """Anchors of all classes and of all nouns under a core."""
    found = []
    for hidden, last in ((data.class_hidden, data.class_last), (data.noun_hidden, data.noun_last)):
        ends = torch.from_numpy(hidden[np.arange(len(last)), last])
        found.append(functional.normalize(ends + ends @ core.T, dim=-1))
    return found[0], found[1]


def numbered(monkeypatch: Any, bad: dict[int, float] | None = None) -> list[float]:
    """Puts in AdamW's place what writes the number of the step (or `bad` of it) into every core; returns the shares
    it was given."""
    shares: list[float] = []

    class Numbered:
        def __init__(self, parameters: list[Any], rates: list[float], weight_decay: float) -> None:
            self.parameters = parameters
            shares.extend([])

        def step(self, share: float) -> None:
            shares.append(share)
            for parameter in self.parameters:
                parameter.data.fill_((bad or {}).get(len(shares), float(len(shares))))
                parameter.grad = None

    monkeypatch.setattr(train, "AdamW", Numbered)
    return shares


def scripted(losses: list[float]) -> type[train.Trainer]:
    """A trainer whose held-out losses are these, one after another."""
    told: Iterator[float] = iter(losses)

    class Scripted(train.Trainer):
        def _held_out_loss(self) -> float:
            return next(told)

    return Scripted
