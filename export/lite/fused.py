"""Draws the batch norms of an image tower into the convolutions before them, so that its tensors are those of the graph
that is exported, and a bundle's weights can be read back into it."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fuse(tower: nn.Module) -> None:
    """In place, in evaluation mode: each batch norm that follows a convolution among the parts of one module becomes
    its activation (timm's norms have one), or nothing."""
    for module in list(tower.modules()):
        parts = [(name, part) for name, part in module.named_children() if _has_work(part)]
        for (before, conv), (after, norm) in pairwise(parts):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, before, fuse_conv_bn_eval(conv, norm))
                setattr(module, after, getattr(norm, "act", nn.Identity()))


def _has_work(part: nn.Module) -> bool:
    return not isinstance(part, nn.Identity)
