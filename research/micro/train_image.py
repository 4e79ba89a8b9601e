"""Trains the image tower of `micro` against the fixed text targets; resumable, one checkpoint a pass.

The loss is cross-entropy of scale * cos(image, class targets), softened by the similarity of the targets, plus
1 - cos(image, own target), which places the embedding in the space of all nouns and not only between the classes.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.export.micro import configuration
from edge_nusa.research.micro import pictures


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how hard the image tower is trained. The cosine is made for `cosine_passes`; the passes after
    `passes`, in which every patch is seen, are those of train_joint."""

    passes: int = 24
    cosine_passes: int = 26
    batch: int = 128
    peak_rate: float = 1e-3
    patch_dropout: float = 0.6
    attention_decay: float = 0.5
    decay: float = 0.2
    smoothing: float = 0.15
    averaging: float = 0.9995


def soft_targets(targets: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """(B, classes) float32: 1 - smoothing on the label, the rest spread by the targets' own similarity."""
    similar = functional.softmax(targets @ targets.T / 0.1, dim=1)
    return (1 - smoothing) * functional.one_hot(labels, len(targets)).float() + smoothing * similar[labels]


def loss_of(embedding: Tensor, targets: Tensor, goal: Tensor, scale: Tensor) -> Tensor:
    """Cross-entropy between classes plus the pull towards the own target (module docstring)."""
    unit = functional.normalize(embedding.float(), dim=1)
    cosines = unit @ targets.T
    return functional.cross_entropy(scale.exp() * cosines, goal) + (1 - (cosines * goal).sum(dim=1)).mean()


@torch.no_grad()
def accuracy(tower: nn.Module, images: Tensor, labels: Tensor, targets: Tensor) -> float:
    """Percent of images whose nearest target is their label's."""
    tower.eval()
    hits = 0
    for start in range(0, len(images), 500):
        unit = functional.normalize(tower(pictures.normalise(images[start : start + 500])), dim=1)
        hits += int((unit @ targets.T).argmax(dim=1).eq(labels[start : start + 500]).sum())
    return 100.0 * hits / len(images)


class Trainer:
    """The image tower, its running average, its optimizer and where it is in the schedule."""

    def __init__(self, data: pictures.Pictures, targets: np.ndarray, folder: Path, schedule: Schedule) -> None:
        torch.manual_seed(0)
        np.random.seed(0)
        self.schedule, self.folder, self.data = schedule, folder, data
        self.train, self.test = pictures.split(data, held_out=20)
        self.targets = torch.from_numpy(targets)
        self.tower = configuration.build(schedule.patch_dropout).visual
        self.average = copy.deepcopy(self.tower)
        self.scale = nn.Parameter(torch.tensor(math.log(15.0)))
        groups = configuration.decay_groups(self.tower, schedule.attention_decay, schedule.decay)
        self.optimizer = torch.optim.AdamW(
            [*groups, {"params": [self.scale], "weight_decay": 0.0}], lr=schedule.peak_rate, betas=(0.9, 0.98)
        )
        self.step = 0
        self.steps_a_pass = len(self.train) // schedule.batch

    def rate(self) -> float:
        """Two passes of warm-up, then a cosine to a hundredth."""
        done, warm = self.step / (self.steps_a_pass * self.schedule.cosine_passes), 2 / self.schedule.cosine_passes
        return self.schedule.peak_rate * (
            done / warm if done < warm else 0.01 + 0.495 * (1 + math.cos(math.pi * (done - warm) / (1 - warm)))
        )

    def one_pass(self) -> float:
        """Train on every picture once; returns the mean loss."""
        self.tower.train()
        order, total = self.train[torch.randperm(len(self.train))], 0.0
        for start in range(0, self.steps_a_pass * self.schedule.batch, self.schedule.batch):
            total += self.one_step(order[start : start + self.schedule.batch])
        return total / self.steps_a_pass

    def one_step(self, chosen: Tensor) -> float:
        """One update of weights, scale and running average; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        images = pictures.augment(self.data.pixels[chosen], smallest_area=0.2)
        goal = soft_targets(self.targets, self.data.labels[chosen], self.schedule.smoothing)
        if np.random.rand() < 0.6:
            images, goal = pictures.mix(images, goal)
        with torch.autocast("cpu", torch.bfloat16):
            embedding = self.tower(images)
        loss = loss_of(embedding, self.targets, goal, self.scale)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.tower.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(self.schedule.averaging, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, current in zip(self.average.parameters(), self.tower.parameters(), strict=True):
                mean.lerp_(current, 1 - keep)
        return float(loss.detach())

    def run(self) -> None:
        """All passes that are still to do; a killed run goes on after its last whole pass."""
        for index in range(self.resume(), self.schedule.passes):
            began, loss = time.monotonic(), self.one_pass()
            score = accuracy(self.average, self.data.pixels[self.test], self.data.labels[self.test], self.targets)
            print(
                f"pass {index} loss {loss:.3f} held-out {score:.2f} % scale {self.scale.exp().item():.1f} "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
            self.save(index + 1)

    def save(self, done: int) -> None:
        """Write the checkpoint beside itself, then rename."""
        parts = {"tower": self.tower, "average": self.average, "optimizer": self.optimizer}
        state = {
            **{name: part.state_dict() for name, part in parts.items()},
            "scale": self.scale.detach(),
            "step": self.step,
            "done": done,
        }
        torch.save(state, self.folder / "image.tmp")
        (self.folder / "image.tmp").rename(self.folder / "image.ckpt")

    def resume(self) -> int:
        """The number of passes already done."""
        path = self.folder / "image.ckpt"
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        self.tower.load_state_dict(state["tower"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scale.data.copy_(state["scale"])
        self.step = int(state["step"])
        return int(state["done"])
