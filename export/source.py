"""A loaded model as the export sees it: its module, its parts, their shapes, and its weights by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from edge_nusa.errors import UsageError
from edge_nusa.export import image_towers
from edge_nusa.export.text_tower import text_shape
from edge_nusa.model.preprocessing import FILTERS, MAX_SIZE, RESIZE_MODES, Preprocessing
from edge_nusa.model.shapes import ImageShape, TextShape, VitShape
from edge_nusa.model.tokenizer import TokenizerSpec


@dataclass(frozen=True, kw_only=True)
class Source:
    """A loaded model: its name, where the weights came from, open_clip's module (float32, eval) and its parts.

    image_module: a frozen image tower of its own making (`edge_nusa.export.image_towers.OwnTower`), which computes what
    `model.encode_image` does and has taps of its own; None takes the image tower of `model`. tokenizer: open_clip's;
    bpe_path: its merges, where it is of kind "clip", else None; origin: a paragraph on training data and terms for the
    model card, or "".
    """

    name: str
    weights: str
    model: nn.Module
    image: ImageShape
    text: TextShape
    vocab_size: int
    preprocessing: Preprocessing
    tokenizer: Any
    bpe_path: Path | None
    tokenizer_spec: TokenizerSpec = TokenizerSpec()
    origin: str = ""
    image_module: nn.Module | None = None


def image_shape(model: nn.Module, config: dict[str, Any]) -> ImageShape:
    """The image tower's shape: of open_clip's own ViT without a tail, of any other one as it stays."""
    if image_towers.is_standard(config):
        return _vit_shape(model, config)
    visual: Any = model.visual
    size = visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0]
    return image_towers.frozen_shape(image_towers.frozen_tower(visual), image_towers.family(config), size)


def _vit_shape(model: nn.Module, config: dict[str, Any]) -> VitShape:
    state, vision = model.state_dict(), config["vision_cfg"]
    return VitShape(
        width=vision["width"],
        layers=vision["layers"],
        heads=vision["width"] // vision.get("head_width", 64),
        mlp_width=state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        embed_dim=state["visual.proj"].shape[1],
        tail_blocks=0,
        activation="quick_gelu" if config.get("quick_gelu", False) else "gelu",
        size=vision["image_size"],
        patch=state["visual.conv1.weight"].shape[-1],
    )


def shapes(model: nn.Module, config: dict[str, Any]) -> tuple[ImageShape, TextShape, int]:
    """Both towers' shapes without tails, read off the weights, and the size of the token table."""
    return image_shape(model, config), *words(model, config)


def words(model: nn.Module, config: dict[str, Any]) -> tuple[TextShape, int]:
    """The text tower's shape without a tail, and the size of the token table."""
    state = {name.removeprefix("text."): tensor for name, tensor in model.state_dict().items()}
    return text_shape(state, config), state["token_embedding.weight"].shape[0]


def preprocessing(settings: Mapping[str, Any]) -> Preprocessing:
    """What open_clip's settings describe. Raises UsageError for what the board lacks."""
    size, fill = settings["size"], settings.get("fill_color", 0)
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    for name, choices in (("resize_mode", RESIZE_MODES), ("interpolation", tuple(FILTERS))):
        if settings[name] not in choices:
            raise UsageError(f"the {name} {settings[name]!r} is not supported; expected one of {', '.join(choices)}")
    if not isinstance(fill, int) or not 0 <= fill <= 255:
        raise UsageError(f"the fill_color {fill!r} is not supported; expected a grey level from 0 to 255")
    if max(height, width) > MAX_SIZE:
        raise UsageError(f"pictures of {height} x {width} are not supported; expected at most {MAX_SIZE} a side")
    # open_clip resizes by ResizeKeepRatio's own filter here, whatever the settings say
    is_cut_oblong = settings["resize_mode"] == "shortest" and height != width
    return Preprocessing(
        height=height,
        width=width,
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        interpolation="bicubic" if is_cut_oblong else settings["interpolation"],
        resize_mode=settings["resize_mode"],
        fill=fill,
    )


LEFT_OUT = ("text_decoder.",)
"""Parts of a model that no bundle needs: CoCa's decoder."""


def checkpoint_tensors(model: nn.Module) -> dict[str, np.ndarray]:
    """The model's state dict as float32 numpy under open_clip's plain names (no `text.` prefix, no masks, no
    decoder)."""
    state = {
        name.removeprefix("text."): tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith("attn_mask") and not name.startswith(LEFT_OUT)
    }
    return {name: tensor.detach().float().contiguous().numpy() for name, tensor in state.items()}
