"""Traces the towers into ONNX graphs whose weights live in the bundle's one `weights.safetensors`.

A safetensors file is raw row-major tensors behind a JSON header, so an ONNX initializer can point into it as external
data (offset and length): nothing is stored twice, and trunk and tail share what they share. Weights stored as float16
get a Cast to float32 behind them, the table of tokens behind the rows that are looked up. Adapted matrices of a tail
are always given by the caller as float32 (`SessionOptions.add_external_initializers`), merged; where they are stored as
float16 the graph cannot read them itself.
"""

from __future__ import annotations

import json
import struct
from bisect import bisect_right
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from torch import Tensor, nn

from edge_nusa.files import tensor_file
from edge_nusa.model import towers
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.graph_file import INJECTED
from edge_nusa.model.parameters import Region, Tower, region
from edge_nusa.model.shapes import ImageShape, TextShape, VitShape

OPSET = 20
TOKEN_TABLE = "token_embedding.weight"
LARGEST_OFFSET = 1 << 62


class Graph(NamedTuple):
    """One traced module: its tower, file name and what the exporter needs to know."""

    tower: Tower
    name: str
    module: nn.Module
    example: tuple[Tensor, ...]
    dynamic: tuple[dict[int, str], ...]
    inputs: list[str]
    outputs: list[str]


class Stored(NamedTuple):
    """Where a tensor of a safetensors file lies: dtype as safetensors says it, shape, byte offset from the file's
    start."""

    dtype: str
    shape: list[int]
    offset: int


def stored_tensors(path: Path) -> dict[str, Stored]:
    """The header of a safetensors file that this process wrote (an 8-byte little-endian length, then JSON)."""
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        name: Stored(entry["dtype"], entry["shape"], 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    }


def image_graphs(image: VitShape) -> list[Graph]:
    """Trunk and tail of open_clip's own ViT, with fresh modules; the tail is left out where its depth is 0."""
    batch = torch.export.Dim.AUTO
    outputs = ["embedding", "taps", "tokens"][: 3 if image.tail_blocks else 2]
    pixels = torch.zeros(2, 3, image.size, image.size)
    graphs = [Graph("image", "image_trunk", towers.ImageTrunk(image), (pixels,), ({0: batch},), ["pixels"], outputs)]
    if image.tail_blocks:
        tokens = torch.zeros(2, image.tokens, image.width)
        graphs.append(
            Graph("image", "image_tail", towers.ImageTail(image), (tokens,), ({0: batch},), ["tokens"], ["embedding"])
        )
    return graphs


def trunk_and_tail_graphs(image: ImageShape, text: TextShape, vocab_size: int) -> list[Graph]:
    """The graphs of a bundle, with fresh modules (text always has a tail), but for a frozen image tower's
    (`edge_nusa.export.frozen_graph`)."""
    return [*(image_graphs(image) if isinstance(image, VitShape) else []), *text_graphs(text, vocab_size)]


def text_graphs(text: TextShape, vocab_size: int) -> list[Graph]:
    """Trunk and tail of the text tower; their texts have any length, or the context where that counts."""
    batch = torch.export.Dim.AUTO
    tokens, positions = (text.size, text.positions) if text.is_whole else (5, 5)
    ids, last = torch.zeros(3, tokens, dtype=torch.int64), torch.tensor([4, 3, 2]).clamp(max=positions - 1)
    length = {0: batch} if text.is_whole else {0: batch, 1: batch}
    hidden = torch.zeros(3, positions, text.hidden_width)
    inputs = ["hidden", "last"]
    return [
        Graph("text", "text_trunk", towers.TextTrunk(text, vocab_size), (ids,), (length,), ["token_ids"], ["hidden"]),
        Graph("text", "text_tail", towers.TextTail(text), (hidden, last), (length, {0: batch}), inputs, ["embedding"]),
    ]


def trace(graph: Graph) -> onnx.ModelProto:
    """The ONNX form of a module, weights still inside, parameter names kept (so the exporter's own folding stays
    off)."""
    return bare(program(graph).model_proto)


def program(graph: Graph) -> Any:
    """What `torch.onnx.export` gives of a module, nothing optimized."""
    found = torch.onnx.export(
        graph.module.eval(),
        graph.example,
        dynamo=True,
        dynamic_shapes=graph.dynamic,
        input_names=graph.inputs,
        output_names=graph.outputs,
        opset_version=OPSET,
        optimize=False,
        verbose=False,
    )
    if found is None:
        raise RuntimeError(f"torch.onnx.export gave no program for {graph.name}")
    return found


def bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what tracing noted of its own, which names files of this machine."""
    model.ClearField("metadata_props")
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]:
        value.ClearField("metadata_props")
    del model.graph.value_info[:]
    return model


def point_at_weights(
    model: onnx.ModelProto, graph: Graph, width: int, stored: dict[str, Stored], location: str
) -> None:
    """Replace every parameter inside the model by a reference into `location`, or to be injected where a tail adapts
    a half-precision one."""
    parameters = dict(graph.module.named_parameters())
    casts: list[onnx.NodeProto] = []
    for initializer in model.graph.initializer:
        if initializer.name not in parameters:
            continue
        place = region(graph.tower, initializer.name, width)
        entry, shape = stored[place.name], list(initializer.dims)
        is_adapted = graph.name.endswith("_tail") and initializer.name.endswith(
            ("q.weight", "k.weight", "v.weight", "o.weight")
        )
        if is_adapted and entry.dtype != "F32":
            _refer(initializer, onnx.TensorProto.FLOAT, INJECTED, 0, 4 * _count(shape))
        elif entry.dtype == "F32":
            _refer(initializer, onnx.TensorProto.FLOAT, location, _offset(entry, place, 4), 4 * _count(shape))
        else:
            name, initializer.name = initializer.name, f"{initializer.name}.half"
            if name == TOKEN_TABLE:
                _cast_rows(model, name)
            else:
                casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
            _refer(initializer, onnx.TensorProto.FLOAT16, location, _offset(entry, place, 2), 2 * _count(shape))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


def _cast_rows(model: onnx.ModelProto, table: str) -> None:
    """Widens the rows that are looked up in a half-precision table, not the table, which may have 256,000."""
    index, gather = next((i, node) for i, node in enumerate(model.graph.node) if table in node.input)
    rows = gather.output[0]
    gather.input[0], gather.output[0] = f"{table}.half", f"{rows}.half"
    model.graph.node.insert(
        index + 1, onnx.helper.make_node("Cast", [f"{rows}.half"], [rows], to=onnx.TensorProto.FLOAT)
    )


def _count(shape: list[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def _offset(entry: Stored, place: Region, item_bytes: int) -> int:
    return entry.offset + place.start * _count(entry.shape[1:]) * item_bytes


def _refer(initializer: onnx.TensorProto, data_type: int, location: str, offset: int, length: int) -> None:
    initializer.ClearField("raw_data")
    initializer.ClearField("float_data")
    initializer.data_type = data_type
    initializer.data_location = onnx.TensorProto.EXTERNAL
    del initializer.external_data[:]
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        initializer.external_data.add(key=key, value=value)


def keep_weights(folder: Path, location: str, names: set[str]) -> None:
    """Drop every other tensor from a written bundle's weight file, and point its graphs at where the kept ones lie
    now."""
    path = folder / location
    before = stored_tensors(path)
    tensors = tensor_file.decode(path.read_bytes(), location)
    shorter = path.with_suffix(".shorter")
    shorter.write_bytes(tensor_file.encode({name: tensors[name] for name in names}))
    shorter.replace(path)  # whoever has the old file mapped goes on reading it
    after = stored_tensors(path)
    moved = sorted((before[name].offset, after[name].offset) for name in names)
    for file in folder.glob("*.onnx"):
        model = onnx.load(str(file), load_external_data=False)
        for initializer in model.graph.initializer:
            entries = {entry.key: entry for entry in initializer.external_data}
            if "location" in entries and entries["location"].value == location:
                offset = int(entries["offset"].value)
                start, now = moved[bisect_right(moved, (offset, LARGEST_OFFSET)) - 1]
                entries["offset"].value = str(offset - start + now)
        file.write_bytes(model.SerializeToString())


def with_weights(graph: Graph, bundle: Bundle, width: int) -> onnx.ModelProto:
    """The traced graph with the bundle's weights inside and foldable parts folded, as the quantizer wants it."""
    from onnxscript import optimizer

    with torch.no_grad():
        for name, parameter in graph.module.named_parameters():
            place = region(graph.tower, name, width)
            parameter.copy_(torch.from_numpy(bundle.weights.rows(place.name, place.start, place.stop)))
    return optimizer.optimize(trace(graph), input_size_limit=1 << 30, output_size_limit=1 << 30)
