"""The last passes of `micro`: both towers together, pictures against the text tower's own anchors; resumable by pass.

Loss: cross-entropy of scale * cos(picture, class anchors in a random template), plus the text tower's distillation on
random nouns, so that words without pictures keep their place.
"""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.export.micro import configuration
from edge_nusa.research.micro import pictures, train_image, train_text

PASSES = 2
BATCH = 128
PEAK_RATE = 1.5e-4
TEXTS = 192
AVERAGING = 0.99


def class_tokens(names: list[str], merges: Path) -> list[Tensor]:
    """Of each template: (C, T) int64 tokens of all class names."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(str(merges), context_length=train_text.LONGEST)
    tokens = [tokenizer([template.format(name) for name in names]) for template in configuration.TEMPLATES]
    return [rows[:, : int(rows.argmax(dim=1).max()) + 1] for rows in tokens]


def train(model: Any, data: pictures.Pictures, texts: train_text.Sentences, merges: Path, folder: Path) -> Any:
    """Run what is left of the passes; returns the running average of the model."""
    path, first = folder / "joint.ckpt", 0
    train_rows, test_rows = pictures.split(data, held_out=20)
    average = copy.deepcopy(model)
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        first = int(state["done"])
    torch.manual_seed(first)
    scale = nn.Parameter(torch.tensor(math.log(16.0)))
    groups = [*configuration.decay_groups(model, 0.1, 0.05), {"params": [scale], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))
    prompts, steps = class_tokens(data.names, merges), len(train_rows) // BATCH
    for done in range(first, PASSES):
        began, order, total = time.monotonic(), train_rows[torch.randperm(len(train_rows))], 0.0
        for step in range(steps):
            progress = (done * steps + step) / (PASSES * steps)
            for group in optimizer.param_groups:
                group["lr"] = PEAK_RATE * min(1.0, 20 * progress + 0.05) * 0.5 * (1 + math.cos(math.pi * progress))
            loss = step_loss(model, data, texts, prompts, order[step * BATCH : (step + 1) * BATCH], scale)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                for mean, current in zip(average.parameters(), model.parameters(), strict=True):
                    mean.lerp_(current, 1 - AVERAGING)
            total += float(loss.detach())
        anchors = train_text.encode(average, prompts[0]).detach()
        score = train_image.accuracy(average.visual, data.pixels[test_rows], data.labels[test_rows], anchors)
        print(
            f"joint pass {done} loss {total / steps:.3f} held-out {score:.2f} % {time.monotonic() - began:.0f} s",
            flush=True,
        )
        _save(path, model, average, done + 1)
    return average


def _save(path: Path, model: Any, average: Any, done: int) -> None:
    """Write the checkpoint beside itself, then rename."""
    torch.save({"model": model.state_dict(), "average": average.state_dict(), "done": done}, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


def step_loss(
    model: Any, data: pictures.Pictures, texts: train_text.Sentences, prompts: list[Tensor], rows: Tensor, scale: Tensor
) -> Tensor:
    """The loss of one batch of pictures and one batch of texts (module docstring)."""
    images = pictures.augment(data.pixels[rows], smallest_area=0.35)
    goal = functional.one_hot(data.labels[rows], len(data.names)).float() * 0.9 + 0.1 / len(data.names)
    if torch.rand(1) < 0.3:
        images, goal = pictures.mix(images, goal)
    chosen = torch.randint(len(texts.tokens), (TEXTS,))
    with torch.autocast("cpu", torch.bfloat16):
        unit = functional.normalize(model.visual(images).float(), dim=1)
        anchors = train_text.encode(model, prompts[int(torch.randint(len(prompts), (1,)))])
        words = train_text.encode(model, texts.tokens[chosen, : int(texts.lengths[chosen].max())])
    contrast = functional.cross_entropy(scale.exp() * unit @ anchors.T, goal)
    return contrast + 2 * (1 - (words * texts.targets[texts.rows[chosen]]).sum(dim=1)).mean()
