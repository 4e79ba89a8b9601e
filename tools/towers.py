"""What towers cost: open_clip's are built on torch's device `meta`, without weights, and look at an empty picture."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

import torch
from open_clip.model import _build_text_tower, _build_vision_tower
from timm.utils.model import reparameterize_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from edge_nusa.export import source


class Cost(NamedTuple):
    """Of an image tower: its parameters, multiply-adds of a picture, and what its shape in a bundle's manifest says of
    features and memory."""

    image_parameters: int
    multiply_adds: int
    taps: int
    weight_bytes: int
    picture_bytes: int


class Counter(TorchDispatchMode):
    """Adds up what torch counts of each operation."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.flops += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=found)
        return found


class ImageAlone(torch.nn.Module):
    """A model of an image tower alone."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.visual = visual


def pixels(config: dict[str, Any]) -> tuple[int, int]:
    """Height and width of what the model looks at."""
    size = config["vision_cfg"].get("image_size", 224)
    return (size, size) if isinstance(size, int) else (size[0], size[1])


@cache
def image_cost(json_config: str, size: tuple[int, int]) -> Cost:
    """Of the image tower of this configuration in JSON, branches fused as for the export."""
    config = json.loads(json_config)
    with torch.device("meta"), torch.no_grad():
        tower = _build_vision_tower(config["embed_dim"], config["vision_cfg"]).eval().requires_grad_(False)
        shape = source.image_shape(ImageAlone(tower), config)
        if hasattr(tower, "trunk"):
            tower.trunk = reparameterize_model(tower.trunk, inplace=True)
        with Counter() as counter:
            tower(torch.empty(1, 3, *size))
    own = sum(parameter.numel() for parameter in tower.parameters())
    return Cost(own, counter.flops // 2, shape.taps, shape.weight_bytes, shape.picture_bytes)


def text_parameters(config: dict[str, Any]) -> int | None:
    """Of the text tower; None where it is Hugging Face's, which is not built here."""
    if "hf_model_name" in config["text_cfg"]:
        return None
    with torch.device("meta"):
        tower = _build_text_tower(config["embed_dim"], config["text_cfg"])
    return sum(parameter.numel() for parameter in tower.parameters())
