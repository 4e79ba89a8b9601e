"""What towers cost: open_clip's are built on torch's device `meta`, without weights, and an empty picture goes through.

Letters: F features of the head.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

import torch
from open_clip.model import _build_text_tower, _build_vision_tower
from timm.utils.model import reparameterize_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Cost(NamedTuple):
    """Of an image tower: its parameters, multiply-adds of a picture, numbers in the largest activation, and F."""

    image_parameters: int
    multiply_adds: int
    activation: int
    features: int


class Counter(TorchDispatchMode):
    """Adds up what torch counts of each operation, and keeps the size of the largest result; views make none."""

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.largest = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.flops += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=found)
        if isinstance(found, torch.Tensor) and not func.is_view:
            self.largest = max(self.largest, found.numel())
        return found


def pixels(config: dict[str, Any]) -> tuple[int, int]:
    """Height and width of what the model looks at."""
    size = config["vision_cfg"].get("image_size", 224)
    return (size, size) if isinstance(size, int) else (size[0], size[1])


@cache
def image_cost(vision: str, embed_dim: int, size: tuple[int, int]) -> Cost:
    """Of the image tower that this JSON of open_clip's describes, branches fused as for the export."""
    with torch.device("meta"):
        tower = _build_vision_tower(embed_dim, json.loads(vision)).eval().requires_grad_(False)
        if hasattr(tower, "trunk"):
            tower.trunk = reparameterize_model(tower.trunk, inplace=True)
    with torch.no_grad(), Counter() as counter:
        tower(torch.empty(1, 3, *size, device="meta"))
    own = sum(parameter.numel() for parameter in tower.parameters())
    return Cost(own, counter.flops // 2, counter.largest, embed_dim + pooled_width(tower, embed_dim) + 1)


def pooled_width(tower: Any, embed_dim: int) -> int:
    """Numbers of a picture before they are projected into the shared space."""
    return int(getattr(getattr(tower, "trunk", tower), "num_features", embed_dim))


def text_parameters(config: dict[str, Any]) -> int | None:
    """Of the text tower; None where it is Hugging Face's, which is not built here."""
    if "hf_model_name" in config["text_cfg"]:
        return None
    with torch.device("meta"):
        tower = _build_text_tower(config["embed_dim"], config["text_cfg"])
    return sum(parameter.numel() for parameter in tower.parameters())
