"""What one picture takes on its way through an image tower, measured in torch as the network runs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MARGIN = 1.5
"""Of what was measured in torch, since onnxruntime keeps work space of its own. With it a picture of 16 took this much
of what is said here: CLIP's RN50 0.4, EfficientNet-Lite0 0.5, PE-Core-T-16-384 0.7, MobileCLIP2-S0 0.9."""


class _Living(TorchDispatchMode):
    """Counts the bytes of all results of operations that are alive; `most` is the largest count."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.given = {one.untyped_storage()._cdata for one in (*module.parameters(), *module.buffers())}
        self.living: dict[int, tuple[StorageWeakRef, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in tree_leaves(result):
            if isinstance(one, Tensor) and one.untyped_storage()._cdata not in self.given:
                storage = one.untyped_storage()
                self.living[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.living = {place: entry for place, entry in self.living.items() if not entry[0].expired()}
        self.most = max(self.most, sum(count for _, count in self.living.values()))
        return result


def picture_bytes(module: nn.Module, size: int) -> int:
    """Bytes that are alive at most while one picture (3, size, size) float32 passes, MARGIN times; its own pixels are
    not among them. Attention counts with its whole matrix, as the exported graph has it."""
    pixels = torch.zeros(1, 3, size, size)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _Living(module) as counted:
        module(pixels)
    return int(MARGIN * counted.most)
