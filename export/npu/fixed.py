"""A bundle's image trunk as one file for a vendor's compiler: one picture, weights inside, everything known computed.

It is made from the bundle's own graph, not traced again, so that it has the same weights to the bit, needs neither
torch nor the model's source, and can be had of every bundle with a float trunk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnx_ir

from edge_nusa.errors import RefusedError
from edge_nusa.export.npu import operators
from edge_nusa.export.npu.record import OPSET
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.contract import Contract, contract

OUTPUTS = ("embedding", "taps")
LARGEST_BYTES = (1 << 31) - (1 << 20)
"""Of the weights in one file, as a message of protobuf has 2 GiB at most."""
_ALL = 1 << 40
"""Constants of any size are computed."""


def fixed_trunk(bundle: Bundle) -> onnx.ModelProto:
    """pixels (1, 3, H, W) float32 normalised -> embedding (1, D) unit norm, taps (1, F), float32.

    Raises RefusedError for an int8 trunk, and what `fixed_graph` raises.
    """
    path = bundle.path("image_trunk.onnx")
    if bundle.manifest.precision == "int8":
        raise RefusedError(
            f"{path}: expected a float trunk to hand over, found an int8 one, whose own weights are gone; export the "
            "model again with --precision fp32 or fp16"
        )
    return fixed_graph(path, contract(bundle.manifest, "image_trunk"))


def fixed_graph(path: Path, expected: Contract) -> onnx.ModelProto:
    """The same of a trunk's graph, whose weights lie beside it, and what goes in and comes out of it.

    Raises RefusedError for one that holds an operator that compilers lack, a side whose length is not known, or more
    than a file of ONNX can.
    """
    model = onnx_ir.load(str(path))
    _hold_weights(model, path)
    _one_picture(model, expected)
    _compute_known(model)
    operators.rewrite(model)
    _tidy(model)
    return _checked(onnx_ir.to_proto(model), path)


def _hold_weights(model: Any, path: Path) -> None:
    onnx_ir.external_data.load_to_model(model)
    size = 4 * sum(value.const_value.size for value in model.graph.initializers.values())
    if size > LARGEST_BYTES:
        raise RefusedError(
            f"{path}: expected at most {LARGEST_BYTES >> 20} MiB of weights, which is what a file of ONNX can hold, "
            f"found {size >> 20} MiB; choose a smaller model"
        )


def _one_picture(model: Any, expected: Contract) -> None:
    """What was traced for any number of pictures, and may give tokens too, for one and without them."""
    for node in model.graph:
        for value in node.outputs:
            value.shape = None
    wanted = {value.name: value for value in model.graph.outputs}
    model.graph.outputs[:] = [wanted[name] for name in OUTPUTS]
    values = [*model.graph.inputs, *model.graph.outputs]
    for array, value in zip([*expected.inputs, *expected.outputs[: len(OUTPUTS)]], values, strict=True):
        value.shape = onnx_ir.Shape([1, *array.shape[1:]])


def _compute_known(model: Any) -> None:
    """Inlined, what is known computed, batch norms drawn into convolutions."""
    from onnxscript import optimizer, rewriter
    from onnxscript.rewriter.rules.common import fuse_batchnorm_into_conv_rule

    optimizer.inline(model)
    for _ in range(2):
        optimizer.fold_constants(model, onnx_shape_inference=True, input_size_limit=_ALL, output_size_limit=_ALL)
        rewriter.rewrite(model)
    rewriter.rewrite(model, [fuse_batchnorm_into_conv_rule])


def _tidy(model: Any) -> None:
    """Constants beside the graph, nothing unused, nothing twice, names as nodes have them."""
    from onnx_ir.passes import common

    onnx_ir.passes.Sequential(
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.RemoveUnusedNodesPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
        common.RemoveUnusedOpsetsPass(),
    )(model)
    model.ir_version = operators.IR_VERSION


def _checked(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """With the shapes of everything inside. Raises RefusedError."""
    found = operators.lacking(model.graph.node)
    if found:
        raise _refused(path, f"operators that compilers of accelerators have, found {found}")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        why = (str(error).strip().splitlines() or [""])[0]
        raise _refused(path, f"operators as opset {OPSET} has them, found others ({why[:200]})") from error
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    known = {value.name for value in [*model.graph.value_info, *model.graph.output] if _is_static(value)}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in known:
                raise _refused(path, f"a known length of every side, found none of what {node.op_type} gives")
    return model


def _is_static(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.tensor_type
    return kind.HasField("shape") and all(side.HasField("dim_value") for side in kind.shape.dim)


def _refused(path: Path, expected_and_found: str) -> RefusedError:
    return RefusedError(
        f"{path}: the image trunk cannot be handed over: expected {expected_and_found}; the bundle itself is "
        "whole, so let onnxruntime run it"
    )
