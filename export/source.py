"""A loaded model as the export sees it: its module, its parts, their shapes, and its weights by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from edge_nusa.errors import UsageError
from edge_nusa.model.preprocessing import Preprocessing
from edge_nusa.model.shapes import Activation, ImageShape, TextShape, VitShape


@dataclass(frozen=True, kw_only=True)
class Source:
    """A loaded model: its name, where the weights came from, open_clip's module (float32, eval) and its parts.

    origin: a paragraph on training data and terms for the model card, or "".
    """

    name: str
    weights: str
    model: nn.Module
    image: ImageShape
    text: TextShape
    vocab_size: int
    preprocessing: Preprocessing
    tokenizer: Any
    bpe_path: Path
    origin: str = ""


def shapes(model: nn.Module, config: dict[str, Any]) -> tuple[VitShape, TextShape, int]:
    """Both towers' shapes without tails, read off the weights, and the size of the token table."""
    state = {name.removeprefix("text."): tensor for name, tensor in model.state_dict().items()}
    vision, text = config["vision_cfg"], config["text_cfg"]
    conv = state["visual.conv1.weight"].shape
    activation: Activation = "quick_gelu" if config.get("quick_gelu", False) else "gelu"
    image_mlp = state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
    text_mlp = state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
    embed = state["text_projection"].shape[1]
    heads = vision["width"] // vision.get("head_width", 64)
    image_shape = VitShape(
        width=vision["width"],
        layers=vision["layers"],
        heads=heads,
        mlp_width=image_mlp,
        embed_dim=embed,
        tail_blocks=0,
        activation=activation,
        size=vision["image_size"],
        patch=conv[-1],
    )
    text_shape = TextShape(
        width=text["width"],
        layers=text["layers"],
        heads=text["heads"],
        mlp_width=text_mlp,
        embed_dim=embed,
        tail_blocks=0,
        activation=activation,
        size=text["context_length"],
    )
    return image_shape, text_shape, state["token_embedding.weight"].shape[0]


def preprocessing(settings: dict[str, Any]) -> Preprocessing:
    """What open_clip's settings describe. Raises UsageError for a resize mode that the board lacks."""
    size = settings["size"] if isinstance(settings["size"], int) else settings["size"][0]
    if settings["resize_mode"] not in ("shortest", "squash"):
        raise UsageError(
            f"the resize mode {settings['resize_mode']!r} is not supported; expected 'shortest' or 'squash'"
        )
    return Preprocessing(
        size=size,
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        interpolation=settings["interpolation"],
        resize_mode=settings["resize_mode"],
    )


def checkpoint_tensors(model: nn.Module) -> dict[str, np.ndarray]:
    """The model's state dict as float32 numpy under open_clip's plain names (no `text.` prefix, no masks)."""
    state = {
        name.removeprefix("text."): tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith("attn_mask")
    }
    return {name: tensor.detach().float().contiguous().numpy() for name, tensor in state.items()}
