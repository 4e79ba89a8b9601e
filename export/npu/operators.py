"""Says in operators of opset 17 what torch's exporter says in newer ones, and which operators no vendor's compiler has.

torch writes opset 18 at least and leaves the rest to onnx's converter, which has no way from newer Gelu, Pad and
Reduce operators to opset 17 and gives the graph back as it was (torch 2.14, onnx 1.23: all 13 kinds of image towers).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx_ir
from onnx_ir import tape

from edge_nusa.export.npu.record import OPSET

IR_VERSION = 8
"""Of the file around them, as opset 17 came with it."""
WITH_AXES = frozenset(
    {
        *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSumSquare"),
    }
)
"""Whose axes were an attribute before opset 18. ReduceSum's are an input since opset 13."""
LACKING = frozenset(
    {
        *("Cast", "CastLike", "Shape", "Size", "Gelu", "ConstantOfShape", "Range", "NonZero", "If", "Loop", "Scan"),
        *("SplitToSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert"),
        *("SequenceLength", "SequenceMap", "ConcatFromSequence", "Optional", "OptionalGetElement"),
    }
)
"""What works on types, shapes and lists instead of numbers, or is newer than opset 17."""


def rewrite(model: Any) -> None:
    """In place, a folded graph (an `onnx_ir.Model`) of opset 18 to 20: the same numbers by opset 17."""
    for node in list(model.graph):
        if node.op_type == "Gelu":
            _replace(model.graph, node, _gelu)
        elif node.op_type in WITH_AXES:
            _name_axes(node)
        elif node.op_type == "Split" and "num_outputs" in node.attributes:
            _size_parts(model.graph, node)
        elif node.op_type == "AveragePool" and set(_ints(node, "dilations")) <= {1}:
            node.attributes.pop("dilations", None)
    model.opset_imports[""] = OPSET


def lacking(nodes: Iterable[Any]) -> str:
    """The operators among these nodes (onnx.NodeProto) that compilers lack, with how often, as "2 x Cast"; "" where
    there are none."""
    found = Counter(
        f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        for node in nodes
        if node.domain or node.op_type in LACKING
    )
    return ", ".join(f"{count} x {name}" for name, count in sorted(found.items()))


def _gelu(op: Any, node: Any) -> Any:
    """x (1 + erf(x / sqrt 2)) / 2, or by tanh where the node says so (Hendrycks and Gimpel, arXiv 1606.08415)."""
    x = node.inputs[0]
    approximate = node.attributes.get("approximate")
    if approximate is None or approximate.as_string() == "none":
        inner = op.Erf(op.Mul(x, _constant(op, math.sqrt(0.5))))
    else:
        cubed = op.Mul(op.Mul(x, x), x)
        curved = op.Add(x, op.Mul(cubed, _constant(op, 0.044715)))
        inner = op.Tanh(op.Mul(curved, _constant(op, math.sqrt(2 / math.pi))))
    return op.Mul(op.Mul(x, _constant(op, 0.5)), op.Add(inner, _constant(op, 1.0)))


def _constant(op: Any, number: float) -> Any:
    return op.Constant(value=onnx_ir.tensor(np.array(number, np.float32)))


def _replace(graph: Any, node: Any, made: Any) -> None:
    taped = tape.Tape()
    builder = _Builder(taped)
    found = made(builder, node)
    old = node.outputs[0]
    found.shape, found.type = old.shape, old.type
    old.replace_all_uses_with(found, replace_graph_outputs=True)
    graph.insert_before(node, taped.nodes)
    graph.remove(node, safe=True)


class _Builder:
    """`op.Mul(a, b)` puts a node on the tape."""

    def __init__(self, taped: Any) -> None:
        self._tape = taped

    def __getattr__(self, name: str) -> Any:
        return lambda *inputs, **attributes: self._tape.op(name, inputs, attributes)


def _name_axes(node: Any) -> None:
    """One that does nothing without axes stays as it is, which opset 17 lacks."""
    axes, idle = (node.inputs[1] if len(node.inputs) > 1 else None), node.attributes.get("noop_with_empty_axes")
    if axes is None and idle is not None and idle.as_int():
        return
    node.resize_inputs(1)
    if axes is not None:
        node.attributes["axes"] = onnx_ir.AttrInt64s("axes", _numbers(axes))
    node.attributes.pop("noop_with_empty_axes", None)


def _size_parts(graph: Any, node: Any) -> None:
    """Equal parts need no sizes before opset 18; of unequal ones the last is the smallest."""
    count = node.attributes.pop("num_outputs").as_int()
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    length = int(node.inputs[0].shape[axis])
    part = -(-length // count)
    if length % count:
        sizes = [part] * (count - 1) + [length - part * (count - 1)]
        value = onnx_ir.Value(name=f"{node.outputs[0].name}.sizes", const_value=onnx_ir.tensor(np.array(sizes)))
        graph.initializers.add(value)
        node.resize_inputs(2)
        node.replace_input_with(1, value)


def _numbers(value: Any) -> list[int]:
    return [int(one) for one in value.const_value.numpy().reshape(-1)]


def _ints(node: Any, name: str) -> list[int]:
    found = node.attributes.get(name)
    return [] if found is None else list(found.as_ints())
