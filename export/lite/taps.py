"""What the head of `lite` sees of a picture: the embedding before normalising, and EfficientNet-Lite0's middle stages.

The last 1,280 features were trained to tell ImageNet's classes apart and have forgotten what those do not need; on
pictures of other kinds the stages before them know more (docs/evidence.md). So the taps are four groups, each of root
mean square 1 times its weight: the embedding (256), the mean of the fourth stage (80) and of the sixth (192), and where
in the picture the sixth stage saw what (192, `edge_nusa.model.towers.layout`). The first 256 are the embedding before
normalising up to a factor of the picture, so that the embedding can be recalled from them (`Recollection` without a
projection).

For who builds the bundle's image trunk: make `LiteTaps(visual.trunk, visual.head)` of open_clip's `TimmModel`; its
parameters then have the checkpoint's names less the leading `visual.`, and there are no other constants. `forward`
gives the raw embedding, which the trunk's graph normalises, and the taps (`TAPS` of them). Letters: B pictures.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from edge_nusa.model.towers import layout

EMBEDDING_WEIGHT = 1.0
STAGES = {3: 1.0, 5: 1.0}
"""Place of a stage among the trunk's `blocks`, from 0 -> weight of its mean."""
LAYOUTS = {5: 0.5}
"""The same of the layout of a stage. Weights and stages: docs/evidence.md."""
WIDTHS = {0: 16, 1: 24, 2: 40, 3: 80, 4: 112, 5: 192, 6: 320}
"""Channels of EfficientNet-Lite0's stages."""
EMBED_DIM = 256
TAPS = EMBED_DIM + sum(WIDTHS[stage] for stage in [*STAGES, *LAYOUTS])


def _grouped(rows: Tensor, weight: float) -> Tensor:
    """The group's rows (B, N) with this root mean square each."""
    return rows * (weight * torch.rsqrt(rows.square().mean(dim=-1, keepdim=True) + 1e-12))


class LiteTaps(nn.Module):
    """The frozen image tower of `lite`. trunk: timm's `tf_efficientnet_lite0` that pools by the mean and has no
    classifier; head: 1,280 features -> 256."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """pixels (B, 3, 224, 224) float32, (x - 127) / 128 -> the embedding before normalising (B, 256) and taps
        (B, TAPS), both float32."""
        trunk = cast("Any", self.trunk)
        hidden = trunk.bn1(trunk.conv_stem(pixels))
        means, layouts = [], []
        for index, stage in enumerate(trunk.blocks):
            hidden = stage(hidden)
            if index in STAGES:
                means.append(_grouped(hidden.mean(dim=(2, 3)), STAGES[index]))
            if index in LAYOUTS:
                rows = layout(hidden.permute(0, 2, 3, 1), hidden.shape[1])
                layouts.append(_grouped(rows, LAYOUTS[index]))
        raw = self.head(trunk.bn2(trunk.conv_head(hidden)).mean(dim=(2, 3)))
        return raw, torch.cat([_grouped(raw, EMBEDDING_WEIGHT), *means, *layouts], dim=1)
