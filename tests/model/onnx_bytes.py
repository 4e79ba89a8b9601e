"""Graphs of ONNX as bytes, written without the package onnx, so that tests on a board's packages can make such as hurt.

A message is a list of (field number, value): an int is a varint, text and bytes are themselves, a float is four bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

FLOAT, INT8, INT64, STRING, BOOL, DOUBLE = 1, 3, 7, 8, 9, 11
_TYPES = {"float32": FLOAT, "int64": INT64, "bool": BOOL}
Value = int | str | bytes | float


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def message(*fields: tuple[int, Value]) -> bytes:
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(varint(number << 3) + varint(value))
        elif isinstance(value, float):
            parts.append(varint(number << 3 | 5) + struct.pack("<f", value))
        else:
            data = value.encode() if isinstance(value, str) else value
            parts.append(varint(number << 3 | 2) + varint(len(data)) + data)
    return b"".join(parts)


def tensor(name: str, array: np.ndarray) -> bytes:
    dims = [(1, side) for side in array.shape]
    return message(*dims, (2, _TYPES[array.dtype.name]), (8, name), (9, array.tobytes()))


def entry(key: str, value: str) -> bytes:
    return message((1, key), (2, value))


def external(name: str, location: str, shape: tuple[int, ...] = (1,), **more: str) -> bytes:
    """A float32 tensor whose numbers lie in another file."""
    dims = [(1, side) for side in shape]
    words = {"location": location, "offset": "0", "length": str(4 * int(np.prod(shape))), **more}
    return message(*dims, (2, FLOAT), (8, name), *((13, entry(*pair)) for pair in words.items()), (14, 1))


def attribute(name: str, value: int | bytes, kind: int) -> bytes:
    """kind: AttributeProto's: 2 a whole number, 4 a tensor, 5 a graph."""
    return message((1, name), ({2: 3, 4: 5, 5: 6}[kind], value), (20, kind))


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], *attributes: bytes) -> bytes:
    names = [*((1, one) for one in inputs), *((2, one) for one in outputs)]
    return message(*names, (4, kind), *((5, one) for one in attributes))


def value(name: str, shape: Sequence[int | str] | None, kind: int = FLOAT) -> bytes:
    """A graph's input or output; a side that is a text has any length."""
    sides: list[tuple[int, Value]] = [(1, message((2 if isinstance(one, str) else 1, one))) for one in shape or ()]
    held: list[tuple[int, Value]] = [(1, kind), *([(2, message(*sides))] if shape is not None else [])]
    return message((1, name), (2, message((1, message(*held)))))


def graph(
    nodes: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes], tensors: Sequence[bytes] = ()
) -> bytes:
    parts = [(1, one) for one in nodes] + [(5, one) for one in tensors]
    return message(*parts, (2, "g"), *((11, one) for one in inputs), *((12, one) for one in outputs))


def model(content: bytes, opset: int = 20) -> bytes:
    return message((1, 10), (7, content), (8, message((1, ""), (2, opset))))
