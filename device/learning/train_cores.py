"""Phase two of learning: trains the small cores M of one task from spooled features and text hidden states.

Loss: cross-entropy of exp(log logit_scale) * cos(picture, anchor) over the task's class texts (paper, section 3.3).
Under the device recipe old labels take part by drawn pictures (`edge_nusa.device.learning.gaussian_replay`), and
vocabulary nouns are further wrong answers whose anchors are held where they were. Letters: B pictures, C classes, V
nouns, T tokens, D embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.device.learning import tails
from edge_nusa.device.learning.adamw import AdamW
from edge_nusa.device.learning.task_data import TaskData as TaskData
from edge_nusa.device.learning.task_data import Trained as Trained
from edge_nusa.errors import InputError
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.recipes import Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.null_space import directions
from edge_nusa.model.towers import TextTail

HELD_OUT_CHUNK = 64
"""Texts at once where held-out pictures are asked about, so that memory does not grow with the labels."""

SAME = 1e-4
"""Hidden states that differ by at most this share of their largest value are of the same tokens: a graph may add in
another order."""

MOST_DRAWN = 8
"""Drawn pictures of old labels in a step are at most so many times the task's own."""


def shared_prefix(data: TaskData) -> int:
    """How many tokens all texts of the task begin with, at most up to the earliest end; their hidden states are the
    same (causal)."""
    longest = min([*data.class_last, *data.noun_last])
    first = data.class_hidden[0]
    for position in range(longest):
        bound = SAME * np.abs(first[position]).max()
        if any(
            len(texts) and np.abs(texts[:, position] - first[position]).max() > bound
            for texts in (data.class_hidden, data.noun_hidden)
        ):
            return position
    return int(longest)


class Trainer:
    """Holds the tails, their adapters and the task's data; `run` trains and folds."""

    def __init__(
        self,
        bundle: Bundle,
        knowledge: Knowledge,
        data: TaskData,
        recipe: Recipe,
        seed: int,
        adaptation: tails.Adaptation | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.bundle, self.knowledge, self.data, self.recipe = bundle, knowledge, data, recipe
        self.adaptation = adaptation or tails.NullSpace()
        self.generator = np.random.default_rng(seed)
        merged = knowledge.merged(bundle)
        self.text = cast("TextTail", tails.build_tail(bundle, "text", merged))
        self.prefix = shared_prefix(data)
        self.adapted: dict[str, Any] = (
            dict(self.adaptation.attach(self.text, "text", bundle, knowledge)) if "text" in recipe.towers else {}
        )
        self.image: nn.Module | None = None
        if "image" in recipe.towers and bundle.manifest.image.tail_blocks:
            self.image = tails.build_tail(bundle, "image", merged)
            self.adapted |= self.adaptation.attach(self.image, "image", bundle, knowledge)
        if not self.adapted:
            raise InputError(
                "no adapted matrix has a null space left at this energy threshold (rank 0 everywhere); "
                "export the bundle again with a smaller --energy and at least one --text-blocks"
            )
        self.parameters = [parameter for one in self.adapted.values() for parameter in one.adapter.parameters()]

    def run(self, progress: Callable[[int, int], None]) -> Trained:
        """Train, keep the best cores on held-out pictures where there are any, fold. Raises InputError when it
        diverges."""
        optimizer = AdamW(
            self.parameters, [self._rate_of(parameter) for parameter in self.parameters], self.recipe.weight_decay
        )
        trainable = np.flatnonzero(~self.data.held_out)
        best, best_step, best_cores, loss_value = math.inf, self.recipe.steps, None, math.nan
        for step in range(self.recipe.steps):
            self._train_mode(True)
            loss = self._loss(self.generator.choice(trainable, min(self.recipe.batch, len(trainable)), replace=False))
            loss_value = float(loss.detach())
            if not math.isfinite(loss_value):
                raise InputError(
                    f"training diverged at step {step + 1} (loss {loss_value}); nothing of it is kept: try fewer "
                    "--steps or check the pictures"
                )
            loss.backward()
            optimizer.step(self._share(step))
            progress(step + 1, self.recipe.steps)
            if self.recipe.has_head and self.data.held_out.any() and (step + 1) % max(1, self.recipe.steps // 10) == 0:
                score = self._held_out_loss()
                if score < best:
                    best, best_step, best_cores = score, step + 1, [p.detach().clone() for p in self.parameters]
        self._train_mode(False)
        return self._folded(best_cores, best_step, loss_value)

    def _folded(self, best_cores: list[Tensor] | None, best_step: int, loss_value: float) -> Trained:
        """What is kept: the best cores, or the last where none were held out for. Raises InputError where they are
        not finite."""
        if best_cores is not None:
            with torch.no_grad():
                for parameter, kept in zip(self.parameters, best_cores, strict=True):
                    parameter.copy_(kept)
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.parameters):
            raise InputError(
                "training diverged in its last step (cores are not finite); nothing of it is kept: try fewer --steps "
                "or check the pictures"
            )
        cores = self.adaptation.folded(self.bundle, self.knowledge, self.adapted)
        crossings = {
            n: directions(self.bundle.pools[n], cores[n], 1).crossings
            for n, one in self.adapted.items()
            if one.directions is not None
        }
        return Trained(cores, loss_value, best_step, crossings)

    def gradients(self) -> dict[str, np.ndarray]:
        """Of every core the loss's gradient (r, r) over all pictures that are trained on, before the first step,
        without dropout."""
        self._train_mode(False)
        self._loss(np.flatnonzero(~self.data.held_out)).backward()
        return {matrix: one.adapter.core.grad.numpy() for matrix, one in self.adapted.items()}

    def _rate_of(self, parameter: nn.Parameter) -> float:
        rank = self.recipe.rate_rank
        return self.recipe.learning_rate * (1.0 if rank is None else min(1.0, rank / len(parameter)))

    def _share(self, step: int) -> float:
        """Of the rate, by the schedule."""
        warm = max(1, round(self.recipe.warm_up * self.recipe.steps))
        return (
            (step + 1) / warm
            if step < warm
            else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.recipe.steps - warm)))
        )

    def _train_mode(self, is_training: bool) -> None:
        for one in self.adapted.values():
            one.adapter.train(is_training)

    def _loss(self, rows: np.ndarray) -> Tensor:
        data = self.data
        recalled = self._recalled(len(rows))
        goals = np.concatenate([data.classes[rows], data.own_count + recalled])
        # the published recipe takes all of the task's classes, the device recipe those that this step has pictures of
        classes = np.unique(goals) if self.recipe.negatives else np.arange(len(data.class_last))
        nouns = self.generator.choice(
            len(data.noun_last), min(self.recipe.negatives, len(data.noun_last)), replace=False
        )
        anchors = self._anchors(classes, nouns)
        staying = torch.zeros(())
        if len(nouns):
            moved = anchors[len(classes) :]
            staying = self.recipe.staying * (1 - (moved * torch.from_numpy(data.noun_anchors[nouns])).sum(dim=1)).mean()
        logits = self.bundle.manifest.logit_scale * self._pictures(rows, recalled) @ anchors.T
        goal = torch.from_numpy(np.searchsorted(classes, goals))
        return functional.cross_entropy(logits, goal, label_smoothing=self.recipe.label_smoothing) + staying

    def _recalled(self, count: int) -> np.ndarray:
        """(K,) int64: old labels of which a picture is drawn in a step of `count` pictures, each about as often as
        one of the task's own classes."""
        own = self.data.own_count
        chosen = self.generator.permutation(len(self.data.class_last) - own)[: self.recipe.recalled]
        drawn = min(MOST_DRAWN * count, round(count * len(chosen) / own))
        return np.resize(chosen, max(len(chosen), drawn) if len(chosen) else 0)

    def _anchors(self, classes: np.ndarray, nouns: np.ndarray) -> Tensor:
        """(K + N, D): of classes, then of nouns, in one pass."""
        data = self.data
        last = np.concatenate([data.class_last[classes], data.noun_last[nouns]])
        whole = self.bundle.manifest.text.is_whole
        tokens = data.class_hidden.shape[1] if whole else int(last.max()) + 1
        hidden = np.zeros((len(last), tokens, data.class_hidden.shape[2]), np.float32)
        for rows, texts in (
            (slice(len(classes)), data.class_hidden[classes]),
            (slice(len(classes), None), data.noun_hidden[nouns]),
        ):
            hidden[rows, : texts.shape[1]] = texts[:, : hidden.shape[1]]
        anchors: Tensor = self.text.after_prefix(torch.from_numpy(hidden), torch.from_numpy(last), self.prefix)
        return anchors

    def _pictures(self, rows: np.ndarray, recalled: np.ndarray) -> Tensor:
        gaussian_replay = self.data.gaussian_replay
        if gaussian_replay is not None:
            drawn = (
                gaussian_replay.of_pictures(rows, self.generator),
                gaussian_replay.of_labels(recalled, self.generator),
            )
            return torch.from_numpy(np.concatenate(drawn))
        if self.image is None or self.data.tokens is None:
            return torch.from_numpy(self.data.embedding[rows])
        embedding: Tensor = self.image(torch.from_numpy(self.data.tokens[rows].astype(np.float32)))
        return embedding

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        self._train_mode(False)
        data, rows = self.data, np.flatnonzero(self.data.held_out)
        classes = np.arange(len(data.class_last))
        chunks = np.array_split(classes, len(classes) // HELD_OUT_CHUNK + 1)
        nouns = np.arange(min(len(data.noun_last), HELD_OUT_CHUNK))
        parts = [self._anchors(chunk, nouns[:0]) for chunk in chunks]
        anchors = torch.cat([*parts, *([self._anchors(nouns[:0], nouns)] if len(nouns) else [])])
        logits = self.bundle.manifest.logit_scale * torch.from_numpy(data.embedding[rows]) @ anchors.T
        return float(functional.cross_entropy(logits, torch.from_numpy(data.classes[rows])))
