"""Phase two of learning: trains the small cores M of one task from spooled features and text hidden states.

Loss: cross-entropy of exp(log logit_scale) * cos(picture, anchor) over the task's class texts (paper, section 3.3), with
vocabulary nouns as further wrong answers under the device recipe. Letters: B pictures, C classes, V nouns, T tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.bundle import Bundle
from edge_nusa.device import tails
from edge_nusa.device.adamw import AdamW
from edge_nusa.device.task_data import TaskData as TaskData
from edge_nusa.device.task_data import Trained as Trained
from edge_nusa.errors import InputError
from edge_nusa.knowledge import Knowledge
from edge_nusa.null_space import directions
from edge_nusa.recipes import Recipe

CLASSES_A_STEP = 64
"""A step's texts: the batch's own classes, then others up to this many, so that memory does not grow with the labels."""


class Trainer:
    """Holds the tails, their adapters and the task's data; `run` trains and folds."""

    def __init__(self, bundle: Bundle, knowledge: Knowledge, data: TaskData, recipe: Recipe, seed: int, adaptation: tails.Adaptation | None = None) -> None:
        torch.manual_seed(seed)
        self.bundle, self.knowledge, self.data, self.recipe = bundle, knowledge, data, recipe
        self.adaptation = adaptation or tails.NullSpace()
        self.generator = np.random.default_rng(seed)
        merged = knowledge.merged(bundle)
        self.text = tails.build_tail(bundle, "text", merged)
        self.adapted: dict[str, Any] = dict(self.adaptation.attach(self.text, "text", bundle, knowledge)) if "text" in recipe.towers else {}
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
        """Train, keep the best cores on held-out pictures where there are any, fold. Raises InputError when it diverges."""
        optimizer = AdamW(self.parameters, self.recipe.learning_rate, self.recipe.weight_decay)
        trainable = np.flatnonzero(~self.data.held_out)
        best, best_step, best_cores, loss_value = math.inf, self.recipe.steps, None, math.nan
        for step in range(self.recipe.steps):
            self._train_mode(True)
            loss = self._loss(self.generator.choice(trainable, min(self.recipe.batch, len(trainable)), replace=False))
            loss_value = float(loss.detach())
            if not math.isfinite(loss_value):
                raise InputError(f"training diverged at step {step + 1} (loss {loss_value}); nothing was changed: try fewer --steps or check the pictures")
            loss.backward()
            optimizer.step(self._rate(step))
            progress(step + 1, self.recipe.steps)
            if self.recipe.has_head and self.data.held_out.any() and (step + 1) % max(1, self.recipe.steps // 10) == 0:
                score = self._held_out_loss()
                if score < best:
                    best, best_step, best_cores = score, step + 1, [p.detach().clone() for p in self.parameters]
        self._train_mode(False)
        if best_cores is not None:
            with torch.no_grad():
                for parameter, kept in zip(self.parameters, best_cores, strict=True):
                    parameter.copy_(kept)
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.parameters):
            raise InputError("training diverged in its last step (cores are not finite); nothing was changed: try fewer --steps or check the pictures")
        cores = self.adaptation.folded(self.bundle, self.knowledge, self.adapted)
        crossings = {n: directions(self.bundle.pools[n], cores[n], 1).crossings for n, one in self.adapted.items() if one.directions is not None}
        return Trained(cores, loss_value, best_step, crossings)

    def gradients(self) -> dict[str, np.ndarray]:
        """Of every core the loss's gradient (r, r) over all pictures that are trained on, before the first step, without dropout."""
        self._train_mode(False)
        self._loss(np.flatnonzero(~self.data.held_out)).backward()
        return {matrix: one.adapter.core.grad.numpy() for matrix, one in self.adapted.items()}

    def _rate(self, step: int) -> float:
        warm = max(1, round(self.recipe.warm_up * self.recipe.steps))
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.recipe.steps - warm)))

    def _train_mode(self, is_training: bool) -> None:
        for one in self.adapted.values():
            one.adapter.train(is_training)

    def _loss(self, rows: np.ndarray) -> Tensor:
        classes = self._classes_for(rows)
        anchors = self._anchors(self.data.class_hidden, self.data.class_last, classes)
        if self.recipe.negatives and len(self.data.noun_last):
            nouns = self.generator.choice(len(self.data.noun_last), min(self.recipe.negatives, len(self.data.noun_last)), replace=False)
            anchors = torch.cat([anchors, self._anchors(self.data.noun_hidden, self.data.noun_last, nouns)])
        position = {int(c): i for i, c in enumerate(classes)}
        goal = torch.tensor([position[int(c)] for c in self.data.classes[rows]])
        logits = self.bundle.manifest.logit_scale * self._pictures(rows) @ anchors.T
        return functional.cross_entropy(logits, goal, label_smoothing=self.recipe.label_smoothing)

    def _classes_for(self, rows: np.ndarray) -> np.ndarray:
        count = len(self.data.class_last)
        if count <= CLASSES_A_STEP or not self.recipe.negatives:  # the published recipe takes all of the task's classes
            return np.arange(count)
        own = np.unique(self.data.classes[rows])
        others = self.generator.permutation(np.setdiff1d(np.arange(count), own))
        return np.concatenate([own, others[: CLASSES_A_STEP - len(own)]])

    def _anchors(self, hidden: np.ndarray, last: np.ndarray, rows: np.ndarray) -> Tensor:
        longest = int(last[rows].max()) + 1
        anchors: Tensor = self.text(torch.from_numpy(hidden[rows, :longest]), torch.from_numpy(last[rows]))
        return anchors

    def _pictures(self, rows: np.ndarray) -> Tensor:
        if self.image is None or self.data.tokens is None:
            return torch.from_numpy(self.data.embedding[rows])
        embedding: Tensor = self.image(torch.from_numpy(self.data.tokens[rows].astype(np.float32)))
        return embedding

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        self._train_mode(False)
        rows = np.flatnonzero(self.data.held_out)
        parts = np.array_split(np.arange(len(self.data.class_last)), -(-len(self.data.class_last) // CLASSES_A_STEP))
        anchors = torch.cat([self._anchors(self.data.class_hidden, self.data.class_last, part) for part in parts])
        if len(self.data.noun_last):
            nouns = np.arange(min(len(self.data.noun_last), CLASSES_A_STEP))
            anchors = torch.cat([anchors, self._anchors(self.data.noun_hidden, self.data.noun_last, nouns)])
        logits = self.bundle.manifest.logit_scale * self._pictures(rows) @ anchors.T
        return float(functional.cross_entropy(logits, torch.from_numpy(self.data.classes[rows])))
