"""Traces a frozen image tower into a graph, and takes its tensors out of it for the bundle's one weight file.

Nothing is copied on the way: the graph's initializers are torch's own tensors until they are written, and references
into the file afterwards, so a tower may be larger than a protobuf message can be (2 GB).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir
import torch
from torch import nn

from edge_nusa.export import image_towers
from edge_nusa.export.graphs import Graph, Stored, bare, program
from edge_nusa.export.image_towers import PREFIX, stored_name
from edge_nusa.export.source import Source

INLINE_BYTES = 1024
"""Of the constants that tracing made, what takes less stays inside the graph: shapes, scales, single numbers."""
LEAST_RELATIVE = 1e-3
"""Single vectors (norms, statistics, biases) are halved where each number moves by less than this part of itself."""


def traced(tower: nn.Module, size: int) -> Any:
    """The tower's graph (an `onnx_ir.Model`) for any number of pictures of `size` pixels a side, its constants folded
    and its batch norms drawn into the convolutions before them; large initializers have their names in the bundle."""
    _without_fused_attention(tower)
    pixels = torch.zeros(2, 3, size, size)
    batch = ({0: torch.export.Dim.AUTO},)
    model = program(Graph("image", "image_trunk", tower, (pixels,), batch, ["pixels"], ["embedding", "taps"])).model
    _simplify(model)
    own = {name for name, _ in (*tower.named_parameters(), *tower.named_buffers())}
    for name, value in list(model.graph.initializers.items()):
        constant: Any = value.const_value
        if name in own:
            value.name = stored_name(name)
        elif constant.nbytes >= INLINE_BYTES and constant.dtype == onnx_ir.DataType.FLOAT:
            value.name = stored_name(f"traced.{name}")
    return model


def _simplify(model: Any) -> None:
    """Inlined, what is known while tracing computed, batch norms fused. Transposed weights stay as they are stored:
    onnxruntime reads them either way, and a transposed copy would have to be stored beside them."""
    from onnx_ir.passes import common
    from onnxscript import optimizer, rewriter
    from onnxscript.rewriter.rules.common import fuse_batchnorm_into_conv_rule

    optimizer.inline(model)
    for _ in range(2):
        optimizer.fold_constants(
            model,
            onnx_shape_inference=True,
            should_fold=lambda node: False if node.op_type == "Transpose" else None,
        )
        rewriter.rewrite(model)
    rewriter.rewrite(model, [fuse_batchnorm_into_conv_rule])
    onnx_ir.passes.Sequential(
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
    )(model)


def _without_fused_attention(tower: nn.Module) -> None:
    """timm's attention with relative positions computes step by step: torch 2.14 traces its fused form with strides
    that it then cannot view."""
    for module in tower.modules():
        if hasattr(module, "rel_pos") and hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]


def of_source(source: Source) -> Any:
    """`traced`, of the frozen image tower of a loaded model."""
    visual: Any = source.model.visual if source.image_module is None else None
    tower = source.image_module or image_towers.frozen_tower(visual)
    return traced(tower, source.preprocessing.height)


def tensors(model: Any, is_halved: bool) -> dict[str, np.ndarray]:
    """The tensors of a traced graph that belong into the weight file, by their names there: float32, or float16 where
    they are to be halved and can be."""
    found: dict[str, np.ndarray] = {
        name: value.const_value.numpy() for name, value in model.graph.initializers.items() if name.startswith(PREFIX)
    }
    if not is_halved:
        return found
    return {name: tensor.astype(np.float16) if fits_half(tensor) else tensor for name, tensor in found.items()}


def fits_half(tensor: np.ndarray) -> bool:
    """Whether a tensor may be stored as float16: it stays finite, and in a vector every number keeps its size."""
    with np.errstate(over="ignore"):
        half = tensor.astype(np.float16).astype(np.float32)
    if not np.isfinite(half).all():
        return False
    return tensor.ndim > 1 or bool((np.abs(half - tensor) <= LEAST_RELATIVE * np.abs(tensor)).all())


def pointing(model: Any, stored: dict[str, Stored], location: str) -> onnx.ModelProto:
    """The graph as it is written, its tensors references into `location`; float16 ones get a cast behind them."""
    for name, value in list(model.graph.initializers.items()):
        if name not in stored:
            continue
        entry = stored[name]
        is_half = entry.dtype == "F16"
        kind = onnx_ir.DataType.FLOAT16 if is_half else onnx_ir.DataType.FLOAT
        length = (2 if is_half else 4) * int(np.prod(entry.shape, dtype=np.int64))
        there = onnx_ir.ExternalTensor(
            location, entry.offset, length, kind, shape=onnx_ir.Shape(entry.shape), name=name, base_dir=""
        )
        if not is_half:
            value.const_value = there
            continue
        half = onnx_ir.Value(name=f"{name}.half", shape=there.shape, type=onnx_ir.TensorType(kind), const_value=there)
        wide = onnx_ir.node("Cast", [half], {"to": onnx_ir.DataType.FLOAT})
        value.replace_all_uses_with(wide.outputs[0])
        del model.graph.initializers[name]
        model.graph.initializers.add(half)
        model.graph.insert_before(model.graph[0], wide)
    return bare(onnx_ir.to_proto(model))
