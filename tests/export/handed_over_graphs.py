"""What every trunk that is handed over to a compiler must be, whatever it was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from edge_nusa.model.contract import Contract

LACKING = {"Cast", "CastLike", "Shape", "Size", "Gelu", "If", "Loop", "Scan", "ConstantOfShape", "Range"}
FLOAT32 = onnx.TensorProto.FLOAT


def sides(value: onnx.ValueInfoProto) -> list[int]:
    """The lengths; 0 of one that is not known."""
    return [side.dim_value for side in value.type.tensor_type.shape.dim]


def check_handed_over(model: onnx.ModelProto, expected: Contract) -> None:
    """One picture in, embedding and taps out, opset 17 of the standard domain, nothing of an unknown length, weights
    inside, none of the operators that compilers lack."""
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert {node.domain for node in model.graph.node} == {""}
    operators = {node.op_type for node in model.graph.node}
    assert not operators & LACKING and not [name for name in operators if "Sequence" in name or "Optional" in name]
    assert not model.functions
    assert not [one.name for one in model.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
    ends = [*model.graph.input, *model.graph.output]
    wanted = [*expected.inputs, *expected.outputs[:2]]
    assert [(one.name, sides(one)) for one in ends] == [(one.name, [1, *one.shape[1:]]) for one in wanted]
    assert [one.name for one in wanted] == ["pixels", "embedding", "taps"]
    assert {one.type.tensor_type.elem_type for one in ends} == {FLOAT32}
    known = {one.name for one in [*model.graph.value_info, *model.graph.output] if 0 not in sides(one)}
    assert {name for node in model.graph.node for name in node.output if name} <= known
    used = {name for node in model.graph.node for name in node.input}
    assert {one.name for one in model.graph.initializer} <= used


def same_as(model: onnx.ModelProto, trunk: Path, pixels: np.ndarray) -> None:
    """It gives the trunk's numbers to 1e-5, one picture (of B, 3, H, W) at a time; of numbers above 1 that part."""
    ours = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = onnxruntime.InferenceSession(str(trunk), providers=["CPUExecutionProvider"])
    for index in range(len(pixels)):
        feed = {"pixels": pixels[index : index + 1]}
        found, expected = ours.run(None, feed), theirs.run(["embedding", "taps"], feed)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)
