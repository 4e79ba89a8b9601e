"""Image towers that stay whole: any of open_clip's, and taps of it for the head.

A frozen tower is a module `visual` and, behind it, the linear map `proj` where it ends in one. Its tensors are stored
as `visual.` and their own names. Letters: B batch, N tokens, E channels of the last map, S its side, D embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.export.activations import picture_bytes
from edge_nusa.model.shapes import LARGEST_LAYOUT, FrozenShape
from edge_nusa.model.towers import LAYOUT_SHARE, layout, unit_rms

PREFIX = "visual."
PROJECTION = f"{PREFIX}proj"
"""The name of a frozen tower's last linear map in the weights, (in, D), whatever open_clip calls it."""

STANDARD_KEYS = {"layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size", "patch_dropout"}
"""Settings of open_clip's own ViT whose blocks can be a tail; any other one must be open_clip's default."""


def is_standard(config: dict[str, Any]) -> bool:
    """Whether a model's image tower is the ViT that `edge_nusa.model.towers` rebuilds, block by block."""
    from open_clip.model import CLIPVisionCfg

    vision = config["vision_cfg"]
    unusual = [name for name in set(vision) - STANDARD_KEYS if vision[name] != getattr(CLIPVisionCfg, name, None)]
    return not unusual and "multimodal_cfg" not in config and isinstance(vision.get("layers", 12), int)


def family(config: dict[str, Any]) -> str:
    """What a frozen tower is, for people."""
    vision = config["vision_cfg"]
    if vision.get("timm_model_name"):
        return f"timm {vision['timm_model_name']}"
    if not isinstance(vision.get("layers", 12), int):
        return "CLIP's ResNet"
    unusual = sorted(set(vision) - STANDARD_KEYS)
    return f"ViT with {', '.join(unusual)}" if unusual else "ViT of CoCa"


def image_refusal(vision: dict[str, Any]) -> str:
    """Why an image tower cannot be exported; "" when it can."""
    size = vision.get("image_size", 224)
    if not isinstance(size, int) and len(set(size)) != 1:
        return f"its pictures are not square ({size[0]} x {size[1]})"
    return ""


class Parts(NamedTuple):
    """What a tower makes of B pictures: pooled, what goes into the projection, or the embedding before normalising
    where there is none; last: the last map, (B, E, S, S), (B, S, S, E) or tokens (B, N, E) without prefix tokens, or
    None."""

    pooled: Tensor
    last: Tensor | None


class FrozenTower(nn.Module):
    """pixels (B, 3, S, S) float32 normalised -> embedding (B, D) unit norm, taps (B, F).

    taps: what the embedding is made of; the mean of the last map where that is something else; the map's layout where
    it lies on a square grid. The first two have root mean square 1, the layout LAYOUT_SHARE.
    """

    def __init__(self, visual: nn.Module, parts: Callable[[Any, Tensor], Parts], proj: Tensor | None) -> None:
        super().__init__()
        self.visual = visual
        self.proj = None if proj is None else nn.Parameter(proj, requires_grad=False)
        self.has_mean = True
        self._parts = parts

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """As above."""
        pooled, last = self._parts(self.visual, pixels)
        embedding = functional.normalize(pooled if self.proj is None else pooled @ self.proj, dim=-1)
        taps = [unit_rms(pooled)]
        if last is not None:
            rows = _rows(last)
            if self.has_mean:
                taps.append(unit_rms(rows.mean(dim=1)))
            side = round(rows.shape[1] ** 0.5)
            if side > 1 and side * side == rows.shape[1]:
                grid = rows.unflatten(1, (side, side))
                taps.append(unit_rms(layout(grid, _layout_width(rows.shape[2]))) * LAYOUT_SHARE)
        return embedding, torch.cat(taps, dim=1)


class OwnTower(nn.Module):
    """A module that makes taps itself: `visual` gives the embedding before normalising (B, D) and taps (B, F), whose
    first D are the embedding up to a factor of the picture."""

    proj = None

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """pixels (B, 3, S, S) float32 normalised -> embedding (B, D) unit norm, taps (B, F)."""
        embedding, taps = self.visual(pixels)
        return functional.normalize(embedding, dim=-1), taps


def frozen_tower(visual: nn.Module) -> FrozenTower:
    """The tower around open_clip's `visual`, which stays as it is: only its structure is copied, not its weights."""
    from open_clip.modified_resnet import ModifiedResNet
    from open_clip.timm_model import TimmModel

    kept = _copy_of_structure(visual).eval()
    if isinstance(kept, TimmModel):
        return _timm_tower(kept)
    if isinstance(kept, ModifiedResNet):
        return FrozenTower(kept, _resnet_parts, None).eval()
    tower = FrozenTower(kept, _transformer_parts, cast("Any", kept).proj)
    cast("Any", kept).proj = None
    tower.has_mean = cast("Any", kept).attn_pool is not None or cast("Any", kept).pool_type != "avg"
    return tower.eval()


def frozen_shape(tower: FrozenTower | OwnTower, family: str, size: int) -> FrozenShape:
    """What the manifest says of a tower for pictures of `size` pixels a side; one picture goes through it."""
    with torch.no_grad():
        embedding, taps = tower(torch.zeros(1, 3, size, size))
    projection = tower.proj
    return FrozenShape(
        family=family,
        embed_dim=embedding.shape[1],
        taps=taps.shape[1],
        recalled_taps=embedding.shape[1] if projection is None else projection.shape[0],
        projection="" if projection is None else PROJECTION,
        weight_bytes=4 * sum(parameter.numel() for parameter in tower.parameters()),
        picture_bytes=picture_bytes(tower, size),
    )


def stored_name(name: str) -> str:
    """The name in the bundle's weights of a tower's tensor."""
    return PREFIX + name.removeprefix(PREFIX)


def _copy_of_structure(visual: nn.Module) -> nn.Module:
    tensors = [*visual.parameters(), *visual.buffers()]
    return copy.deepcopy(visual, {id(tensor): tensor for tensor in tensors})


def _rows(last: Tensor) -> Tensor:
    """(B, places, E) of the last map, whichever way it lies: two neighbouring sides that are alike are its places."""
    if last.ndim == 3:
        return last
    return last.flatten(2).transpose(1, 2) if last.shape[2] == last.shape[3] else last.flatten(1, 2)


def _layout_width(channels: int) -> int:
    return next(n for n in range(min(channels, LARGEST_LAYOUT), 0, -1) if channels % n == 0)


def _timm_tower(visual: Any) -> FrozenTower:
    """timm's network, its training branches fused, and the adapter's head without its last linear map."""
    from timm.utils.model import reparameterize_model

    reparameterize_model(visual.trunk, inplace=True)
    name = _projection_name(visual)
    proj = None
    if name:
        proj = visual.get_submodule(name).weight.detach().T.contiguous()
        visual.set_submodule(name, nn.Identity())
    tower = FrozenTower(visual, _timm_parts, proj)
    tower.has_mean = proj is None or not _pools_by_mean(visual)
    return tower.eval()


def _projection_name(visual: Any) -> str:
    """The dotted name of the linear map without bias that ends the tower; "" where it ends otherwise."""
    last = getattr(visual.head, "proj", None) if len(visual.head) else visual.trunk.get_classifier()
    if not isinstance(last, nn.Linear) or last.bias is not None:
        return ""
    return next(name for name, module in visual.named_modules() if module is last)


def _pools_by_mean(visual: Any) -> bool:
    """Whether nothing but a mean (and a norm) lies between the last map and what is pooled of it."""
    pool = getattr(visual.trunk, "global_pool", "avg")
    return not hasattr(visual.head, "pool") and (not isinstance(pool, str) or pool in ("avg", ""))


def _timm_parts(visual: Any, pixels: Tensor) -> Parts:
    last = visual.trunk.forward_features(pixels)
    pooled = visual.head(visual.trunk.forward_head(last))
    prefix = getattr(visual.trunk, "num_prefix_tokens", 0) if last.ndim == 3 else 0
    return Parts(pooled, last[:, prefix:] if prefix else last)


def _resnet_parts(visual: Any, pixels: Tensor) -> Parts:
    last = visual.stem(pixels)
    for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        last = layer(last)
    return Parts(visual.attnpool(last), last)


def _transformer_parts(visual: Any, pixels: Tensor) -> Parts:
    """open_clip's ViT with any of its options; the patches as they leave the blocks, normalised as the tower does."""
    hidden = visual.transformer(visual._embeds(pixels))
    pooled, _ = visual._pool(hidden)
    is_normed_before = visual.attn_pool is None and not visual.final_ln_after_pool
    return Parts(pooled, (visual.ln_post(hidden) if is_normed_before else hidden)[:, 1:])
