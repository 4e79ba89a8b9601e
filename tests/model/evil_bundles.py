"""Copies of `micro` that are made to hurt, each with right hashes: a graph or a manifest's value is changed.

`python tests/model/evil_bundles.py OUT` writes them all, to be tried by hand.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx_bytes import DOUBLE, INT8, STRING, attribute, external, graph, model, node, tensor, value

from edge_nusa.files.file_record import FileRecord, sha256_hex
from edge_nusa.model import manifest as manifests

MICRO = Path(__file__).parents[1] / "micro"
SIZES: dict[str, tuple[int, ...]] = {"embedding": (128,), "taps": (576,), "tokens": (65, 192)}
Change = Callable[[dict[str, Any]], object]


def bundle(
    folder: Path, graphs: Mapping[str, bytes] | None = None, change: Change | None = None, **files: bytes
) -> Path:
    """A copy of `micro` with these graphs ("image_trunk" ...), manifest and files ("vocabulary_txt" ...)."""
    shutil.copytree(MICRO, folder)
    for name, data in (graphs or {}).items():
        (folder / f"{name}.onnx").write_bytes(data)
    for name, data in files.items():
        (folder / ".".join(name.rsplit("_", 1))).write_bytes(data)
    content = json.loads((folder / "manifest.json").read_text())
    if change is not None:
        change(content)
    sealed(folder, content)
    return folder


def sealed(folder: Path, content: dict[str, Any]) -> None:
    """Write the manifest with the hashes of what lies there, its identity and its checksum."""
    for name in content["files"]:
        if (folder / name).is_file():
            data = (folder / name).read_bytes()
            content["files"][name] = {"sha256": sha256_hex(data), "bytes": len(data)}
    known = manifests.decode((MICRO / "manifest.json").read_bytes(), "manifest.json")
    records = {
        name: FileRecord(one["sha256"], one["bytes"]) for name, one in content["files"].items() if isinstance(one, dict)
    }
    try:
        content["identity"] = replace(known, files=records).identity.sha256
    except KeyError:
        content["identity"] = "0" * 64
    rest = {name: value for name, value in content.items() if name != "checksum"}
    content["checksum"] = sha256_hex(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())
    (folder / "manifest.json").write_text(json.dumps(content))


def trunk(
    extra: Sequence[bytes] = (),
    scale: str | None = None,
    tensors: Sequence[bytes] = (),
    sizes: Mapping[str, tuple[int, ...]] = SIZES,
    pixels: str = "pixels",
    outputs: Sequence[bytes] | None = None,
) -> bytes:
    """An image trunk that gives what the manifest says: random numbers, those of the embedding with unit norm, times
    `scale`, a tensor of one number."""
    nodes = [
        *extra,
        node("ReduceMean", [pixels, "axes"], ["m4"], attribute("keepdims", 1, 2)),
        node("Reshape", ["m4", "s2"], ["m1"]),
        node("Mul", ["m1", "zero"], ["m0"]),
        node("Add", ["m0", scale or "one"], ["m"]),
    ]
    held = [
        tensor("axes", np.array([1, 2, 3])),
        tensor("s2", np.array([-1, 1])),
        tensor("zero", np.zeros(1, np.float32)),
        tensor("one", np.ones(1, np.float32)),
        *tensors,
    ]
    for name, sides in sizes.items():
        drawn = np.random.default_rng(0).normal(size=(1, int(np.prod(sides)))).astype(np.float32)
        held += [tensor(f"{name}_w", drawn / np.linalg.norm(drawn)), tensor(f"{name}_s", np.array([-1, *sides]))]
        nodes += [node("Mul", ["m", f"{name}_w"], [f"{name}_f"]), node("Reshape", [f"{name}_f", f"{name}_s"], [name])]
    given = outputs if outputs is not None else [value(name, ("n", *sides)) for name, sides in sizes.items()]
    return model(graph(nodes, [value(pixels, ("n", 3, 64, 64))], given, held))


def from_file(location: str) -> bytes:
    """A trunk whose numbers are multiplied by one that lies in a file."""
    return trunk(scale="sc", tensors=[external("sc", location)])


def endless() -> bytes:
    """A trunk that never ends: a Loop of 2^62 rounds."""
    body = graph(
        [node("Identity", ["c_in"], ["c_out"]), node("Add", ["x_in", "eps"], ["x_out"])],
        [value("i", (), 7), value("c_in", (), 9), value("x_in", (1,))],
        [value("c_out", (), 9), value("x_out", (1,))],
    )
    held = [
        tensor("t", np.array(True)),
        tensor("x0", np.zeros(1, np.float32)),
        tensor("eps", np.full(1, 1e-30, np.float32)),
        tensor("M", np.array(2**62)),
    ]
    return trunk([node("Loop", ["M", "t", "x0"], ["xl"], attribute("body", body, 5))], "xl", held)


def long_product() -> bytes:
    """A trunk of one operator that takes minutes: no runtime looks for a signal inside it."""
    side = tensor("side", np.array([9000, 9000]))
    ones = node("Expand", ["m4x", "side"], ["big"])
    first = node("ReduceMean", ["pixels", "axes_all"], ["m4x"], attribute("keepdims", 0, 2))
    nodes = [first, ones, *(node("MatMul", ["big" if not i else f"p{i - 1}", "big"], [f"p{i}"]) for i in range(1))]
    nodes.append(node("ReduceMean", ["p0"], ["pm0"], attribute("keepdims", 0, 2)))
    nodes.append(node("Reshape", ["pm0", "s1"], ["pm"]))
    held = [side, tensor("axes_all", np.array([0, 1, 2, 3])), tensor("s1", np.array([1]))]
    return trunk(nodes, "pm", held)


def cast(kind: int) -> bytes:
    """A trunk whose embedding is of another type."""
    rest = {name: SIZES[name] for name in ("taps", "tokens")}
    outputs = [value("embedding", ("n", 128), kind), *(value(name, ("n", *sides)) for name, sides in rest.items())]
    made = node("Cast", ["zeros"], ["embedding"], attribute("to", kind, 2))
    return trunk([made], tensors=[tensor("zeros", np.zeros((1, 128), np.float32))], sizes=rest, outputs=outputs)


def graphs() -> dict[str, bytes]:
    """name -> an image trunk that hurts."""
    bad = node("Reshape", ["pixels", "bad"], ["b"])
    summed = node("ReduceSum", ["b"], ["bs0"], attribute("keepdims", 0, 2))
    flat = node("Reshape", ["bs0", "s1"], ["bs"])
    one = tensor("s1", np.array([1]))
    huge = node("ConstantOfShape", ["huge"], ["b"])
    return {
        "input_name": trunk(pixels="image"),
        "two_outputs": trunk(sizes={name: SIZES[name] for name in ("embedding", "taps")}),
        "taps_short": trunk(sizes={**SIZES, "taps": (10,)}),
        "embedding_short": trunk(sizes={**SIZES, "embedding": (5,)}),
        "embedding_lies": trunk(
            sizes={**SIZES, "embedding": (5,)}, outputs=[value(n, ("n", *s)) for n, s in SIZES.items()]
        ),
        "not_unit": trunk(scale="three", tensors=[tensor("three", np.full(1, 3, np.float32))]),
        "nan": trunk(scale="nan", tensors=[tensor("nan", np.full(1, np.nan, np.float32))]),
        "int8_embedding": cast(INT8),
        "string_embedding": cast(STRING),
        "double_embedding": cast(DOUBLE),
        "fails_at_run": trunk([bad, summed, flat], "bs", [tensor("bad", np.array([7, 13])), one]),
        "memory": trunk([huge, summed, flat], "bs", [tensor("huge", np.array([2**17, 2**18])), one]),
        "no_graph": b"<html>",
        "empty": b"",
        "opset": trunk().replace(b"\x10\x14", b"\x10\x63"),
    }


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True)
    for each, content in graphs().items():
        bundle(out / each, {"image_trunk": content})
    bundle(out / "loop", {"image_trunk": endless()})
