"""The shape of `micro`: open_clip's own CLIP class with a small custom configuration, and its fresh weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

EMBED_DIM = 128
VISION: dict[str, Any] = {"image_size": 64, "layers": 6, "width": 192, "head_width": 32, "patch_size": 8}
TEXT: dict[str, Any] = {"context_length": 32, "vocab_size": 4096, "width": 128, "heads": 4, "layers": 4}
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""The channel mean and standard deviation that every open_clip model without its own uses."""
TEMPLATES = (
    "a photo of a {}.",
    "a {}.",
    "a picture of the {}.",
    "a blurry photo of a {}.",
    "a close-up photo of a {}.",
    "a photo of {}, a thing.",
)
"""What a class name is put into while training; the first is used for zero-shot tests."""


def build(patch_dropout: float = 0.0) -> Any:
    """A CLIP of this shape with fresh weights; attention starts small so that learned structure shows in its
    spectrum."""
    from open_clip.model import CLIP

    model: Any = CLIP(embed_dim=EMBED_DIM, vision_cfg={**VISION, "patch_dropout": patch_dropout}, text_cfg=TEXT)
    width, layers = VISION["width"], VISION["layers"]
    with torch.no_grad():
        for name, parameter in model.visual.named_parameters():
            if name.endswith("in_proj_weight"):
                parameter.normal_(std=0.5 * width**-0.5)
            elif name.endswith(("out_proj.weight", "c_proj.weight")):
                parameter.normal_(std=0.5 * width**-0.5 * (2 * layers) ** -0.5)
            elif name.endswith("c_fc.weight"):
                parameter.normal_(std=(2 * width) ** -0.5)
        nn.init.trunc_normal_(model.visual.conv1.weight, std=0.06)
    return model


def decay_groups(module: nn.Module, attention_decay: float, decay: float) -> list[dict[str, Any]]:
    """AdamW groups: attention matrices, other matrices, and everything that is not decayed."""
    groups: dict[float, list[nn.Parameter]] = {attention_decay: [], decay: [], 0.0: []}
    for name, parameter in module.named_parameters():
        is_matrix = parameter.ndim >= 2 and "positional" not in name and "token_embedding" not in name
        key = 0.0 if not is_matrix else attention_decay if ".attn." in name else decay
        groups[key].append(parameter)
    return [{"params": parameters, "weight_decay": value} for value, parameters in groups.items()]
