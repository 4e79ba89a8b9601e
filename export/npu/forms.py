"""Quantized forms of a handed-over trunk (QDQ: what is whole numbers stands between QuantizeLinear and
DequantizeLinear), each taken only where its measured loss stays within the asked bound."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx

from edge_nusa.export import quantize

FLOAT = "fp32"
BITS: dict[str, Literal[8, 16]] = {"a8w8": 8, "a16w8": 16}
"""Form -> bits of what flows between operations; weights have 8."""
PRODUCTS = ("Conv", "MatMul", "Gemm")
"""What becomes whole numbers where matrices hold the weights. Softmax and norms stay float, as quantizing what is added
before a softmax and the norm of CLIP's embedding loses most (microsoft/Olive#1790)."""


def quantized(model: onnx.ModelProto, form: str, images: np.ndarray) -> onnx.ModelProto:
    """The trunk in one of BITS. images (B, 3, H, W) float32: what the ranges are taken from.

    Both forms are ONNX's own operators: 8 bits by opset 17, 16 bits by opset 21, the first that has them.
    """
    operations = quantize.STATIC_OPERATIONS if quantize.is_convolutional(model) else PRODUCTS
    return quantize.static_quantized(model, images, operations, BITS[form])
