"""Trains the vocabulary and the text tower of `micro` to say what the sentence encoder says; resumable.

The tower sees nouns in prompt templates and WordNet's gloss sentences. The loss is 1 - cos(text, target) plus
cross-entropy of the text against the targets of other texts, so that near meanings stay apart.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.export.micro import configuration

RIVALS = 2048
"""Random targets that a text is told apart from in each step, beside those of its batch."""
GLOSS_SHARE = 0.25
"""Steps that read gloss sentences; the others read nouns in prompts, which are half as long."""
LONGEST = 20
"""Tokens of a training text; the few longer glosses are cut by the tokenizer."""


class Sentences(NamedTuple):
    """tokens (S, context) int64, their lengths (S,), their row in `targets` (S,), targets (T, D) float32 unit-norm."""

    tokens: Tensor
    lengths: Tensor
    rows: Tensor
    targets: Tensor


def sentences(
    names: list[str], glosses: list[str], targets: np.ndarray, gloss_targets: np.ndarray, merges: Path
) -> Sentences:
    """Every noun in every template and every gloss, as tokens."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(str(merges), context_length=LONGEST)
    texts = [t.format(n) for t in configuration.TEMPLATES for n in names] + names + glosses
    count = len(names)
    rows = [i for _ in range(len(configuration.TEMPLATES) + 1) for i in range(count)] + list(range(count, 2 * count))
    tokens = torch.cat([tokenizer(texts[i : i + 1000]) for i in range(0, len(texts), 1000)])
    stacked = torch.from_numpy(np.concatenate([targets, gloss_targets]))
    return Sentences(tokens, tokens.argmax(dim=1) + 1, torch.tensor(rows), stacked)


def encode(model: Any, tokens: Tensor) -> Tensor:
    """(B, n) int64 -> (B, D) float32 unit-norm; n may be shorter than the context, since attention is causal."""
    length = tokens.shape[1]
    hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    pooled = hidden[torch.arange(len(tokens)), tokens.argmax(dim=1)] @ model.text_projection
    return functional.normalize(pooled.float(), dim=1)


def _loss(model: Any, data: Sentences, chosen: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The loss of the chosen texts, and the mean cosine with their own targets."""
    goal = data.rows[chosen]
    with torch.autocast("cpu", torch.bfloat16):
        unit = encode(model, data.tokens[chosen, : int(data.lengths[chosen].max())])
    rivals = torch.randint(len(data.targets), (RIVALS,), generator=generator)
    cosines = unit @ torch.cat([data.targets[goal], data.targets[rivals]]).T
    twins = torch.cat([goal, rivals])[None] == goal[:, None]
    twins.fill_diagonal_(False)
    own = cosines.diagonal()
    loss = (
        functional.cross_entropy(20 * cosines.masked_fill(twins, -1), torch.arange(len(chosen))) + 4 * (1 - own).mean()
    )
    return loss, own.mean()


def train(model: Any, data: Sentences, steps: int, folder: Path, batch: int = 256, peak: float = 2e-3) -> None:
    """Run or go on with `steps` updates; prints a line and writes a checkpoint every 500."""
    parameters = [p for n, p in model.named_parameters() if not n.startswith(("visual", "logit_scale"))]
    optimizer = torch.optim.AdamW(parameters, lr=peak, betas=(0.9, 0.98), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.05)
    first, path = 0, folder / "text.ckpt"
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = int(state["step"])
    is_gloss = data.rows >= len(data.targets) // 2
    glosses, prompts = torch.nonzero(is_gloss).flatten(), torch.nonzero(~is_gloss).flatten()
    began, generator = time.monotonic(), torch.Generator().manual_seed(first)
    for step in range(first, steps):
        kind = glosses if torch.rand(1, generator=generator) < GLOSS_SHARE else prompts
        chosen = kind[torch.randint(len(kind), (batch,), generator=generator)]
        loss, own = _loss(model, data, chosen, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 500 == 0:
            print(
                f"step {step + 1} loss {loss.item():.3f} cosine {own.item():.3f} {time.monotonic() - began:.0f} s",
                flush=True,
            )
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "step": step + 1,
            }
            torch.save(state, path.with_suffix(".tmp"))
            path.with_suffix(".tmp").rename(path)
