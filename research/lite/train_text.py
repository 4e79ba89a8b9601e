"""Trains the text tower of `lite`: a phrase's embedding is to lie where its target lies; resumable.

It begins as a bag of words that already means something: a token's vector is the sentence encoder's view of the token
(its first principal components), and the first block passes on the mean of what came before. The loss is 1 - cos with
the target, plus the divergence between the two softmaxes over all known places, so that near kinds stay apart.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.export.lite import configuration

TEMPLATES = (
    "{}",
    "a photo of a {}.",
    "a picture of the {}.",
    "a close-up photo of a {}.",
    "a blurry photo of a {}.",
)
"""A bare name and the bundle's four templates."""
RARER = (
    "a {}.",
    "a photo of {}.",
    "a photo of the {}.",
    "an image of a {}.",
    "a drawing of a {}.",
    "a sketch of a {}.",
    "a painting of a {}.",
    "a photo of a {}, a type of thing.",
    "a photo of {} in a shop.",
    "a satellite photo of {}.",
    "a photo of many {}.",
    "this is a {}",
    "the {}",
)
"""What else people write around a name."""
KINDS = (0.65, 0.27, 0.08)
"""Of the steps: bare names, which are the shortest to read, the bundle's templates, the rarer ones."""
SCALE = 20.0
BATCH, PEAK, DECAY, AVERAGING = 512, 2e-3, 0.05, 0.998
PART = 128
"""Texts that are padded to the same length: those of a batch are sorted by length first."""
SHARES = (0.6, 0.28, 0.12)
"""Of a batch: names that have a place and their spellings, all other names, longer phrases."""
EVERY = 100
"""Steps between two checkpoints."""


class Lesson(NamedTuple):
    """texts and their targets' rows in each of three groups (SHARES), and targets (T, D), places (P, D): unit norm."""

    groups: list[tuple[list[str], np.ndarray]]
    targets: Tensor
    places: Tensor


def encode(model: Any, tokens: Tensor) -> Tensor:
    """(B, n) int64 -> (B, D) float32 unit-norm; n may be shorter than the context, since attention is causal."""
    length = int(tokens.argmax(dim=1).max()) + 1
    hidden = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    pooled = hidden[torch.arange(len(tokens)), tokens.argmax(dim=1)] @ model.text_projection
    return functional.normalize(pooled.float(), dim=1)


def begin(model: Any, meanings: np.ndarray) -> None:
    """Put token meanings (vocabulary, width) into the table, and a plain mean of them into the first block."""
    block, width = model.transformer.resblocks[0], meanings.shape[1]
    with torch.no_grad():
        model.token_embedding.weight.copy_(torch.from_numpy(meanings))
        model.positional_embedding.normal_(std=0.002)
        block.attn.in_proj_weight[: 2 * width].mul_(0.1)
        block.attn.in_proj_weight[2 * width :].copy_(torch.eye(width))
        block.attn.out_proj.weight.copy_(torch.eye(width))


def rates(step: int, steps: int) -> float:
    """Share of the peak rate: it rises for 50 steps, stays, and falls to nothing over the last 40 %."""
    return min(1.0, (step + 1) / 50, (steps - step) / (0.4 * steps))


def sample(lesson: Lesson, generator: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """One batch: texts in one template, and the rows of their targets."""
    texts: list[str] = []
    rows: list[np.ndarray] = []
    for share, (group, goals) in zip(SHARES, lesson.groups, strict=True):
        chosen = generator.integers(len(group), size=round(share * BATCH))
        texts += [group[i] for i in chosen]
        rows.append(goals[chosen])
    kind = generator.choice(3, p=KINDS)
    templates = (TEMPLATES[:1], TEMPLATES[1:], RARER)[kind]
    template = templates[int(generator.integers(len(templates)))]
    return [template.format(text) for text in texts], np.concatenate(rows)


def loss_of(model: Any, tokens: Tensor, goals: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The loss (module docstring) and the mean cosine with the targets."""
    order = tokens.argmax(dim=1).argsort()
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.cat([encode(model, tokens[part]) for part in order.split(PART)])
    goals = goals[order]
    own = (found * goals).sum(dim=1).mean()
    wanted = functional.log_softmax(SCALE * goals @ places.T, dim=1)
    given = functional.log_softmax(SCALE * found @ places.T, dim=1)
    return 4 * (1 - own) + functional.kl_div(given, wanted, log_target=True, reduction="batchmean"), own


def train(model: Any, lesson: Lesson, steps: int, folder: Path) -> Any:
    """Run or go on with `steps` updates; prints a line and writes a checkpoint now and then. Returns the average."""
    average = copy.deepcopy(model)
    parameters = [p for n, p in model.named_parameters() if not n.startswith(("visual", "logit_scale"))]
    averages = [p for n, p in average.named_parameters() if not n.startswith(("visual", "logit_scale"))]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK, betas=(0.9, 0.98), weight_decay=DECAY)
    path, first = folder / "text.ckpt", 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        for whole, name in ((model, "model"), (average, "average"), (optimizer, "optimizer")):
            whole.load_state_dict(state[name])
        first = int(state["step"])
    tokenizer, generator = configuration.tokenizer(), np.random.default_rng(first)
    began, total = time.monotonic(), 0.0
    for step in range(first, steps):
        texts, rows = sample(lesson, generator)
        loss, own = loss_of(model, tokenizer(texts), lesson.targets[torch.from_numpy(rows)], lesson.places)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = PEAK * rates(step, steps)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 1 - min(AVERAGING, (1 + step) / (10 + step)))
        total += float(own.detach())
        if (step + 1) % EVERY == 0:
            print(
                f"step {step + 1} loss {float(loss.detach()):.3f} cosine {total / EVERY:.3f} "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
            total = 0.0
            state = {"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "step": step + 1}, path.with_suffix(".tmp"))
            path.with_suffix(".tmp").rename(path)
    return average
