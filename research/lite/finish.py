"""Writes the weights of `lite`: both towers and the logit scale as one open_clip checkpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

LOGIT_SCALE = 15.0
"""The one that makes the softmax of cosines most honest (least cross-entropy, the mean of cifar10, caltech101 and
trashnet, whose pictures nothing here was trained on): python -m edge_nusa.research.lite.figures says it."""


def rounded(model: Any, logit_scale: float = LOGIT_SCALE) -> dict[str, torch.Tensor]:
    """The state under open_clip's names without masks, floating numbers rounded to float16 values, float32 stored."""
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items() if "attn_mask" not in name}
    state["logit_scale"] = torch.tensor(math.log(logit_scale))
    return {
        name: tensor.half().float().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def write(model: Any, path: Path, logit_scale: float = LOGIT_SCALE) -> None:
    """Write the checkpoint beside its name, then rename."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    save_file(rounded(model, logit_scale), str(beside))
    beside.rename(path)
