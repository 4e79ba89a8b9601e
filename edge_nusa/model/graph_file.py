"""Which files a graph reads: a bounded reader of ONNX' protobuf, for this one question and without the package onnx.

onnxruntime opens whatever a tensor of the graph names as its external data, and versions differ in what they refuse
(1.20 takes `..`, absolute paths and links), so the names are read here first and compared with the manifest's. The word
`location` stands before each of them, so a part without these bytes is passed over; of the others only the messages and
fields below are known, and a graph with any other is refused.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from edge_nusa.errors import DamagedError
from edge_nusa.files import opening
from edge_nusa.files.foreign import shown

INJECTED = "injected-by-edge-nusa"
"""The external location of an initializer that the caller must give; it names no file, so forgetting it fails
loudly."""
LARGEST_GRAPH_BYTES = 1 << 31
"""What protobuf itself takes."""
DEEPEST = 64
"""Messages inside each other: six of them are a graph inside a node's attribute."""
MOST_MESSAGES = 2_000_000
"""A graph of ours has a few thousand."""
LONGEST_LOCATION = 200

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LEAF = ""
"""A field that holds no message, or one without tensors."""
_KNOWN: dict[str, dict[int, str]] = {
    "model": {
        **dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 14, 26), _LEAF),
        7: "graph",
        20: "training",
        25: "function",
    },
    "training": {1: "graph", 2: "graph", 3: _LEAF, 4: _LEAF},
    "function": {**dict.fromkeys((1, 4, 5, 6, 8, 9, 10, 12, 13, 14), _LEAF), 7: "node", 11: "attribute"},
    "graph": {**dict.fromkeys((2, 10, 11, 12, 13, 14, 16), _LEAF), 1: "node", 5: "tensor", 15: "sparse"},
    "node": {**dict.fromkeys((1, 2, 3, 4, 6, 7, 8, 9, 10), _LEAF), 5: "attribute"},
    "attribute": {
        **dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 14, 15, 20, 21), _LEAF),
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor", 3: _LEAF},
    "tensor": {**dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16), _LEAF), 13: "entry"},
    "entry": {1: _LEAF, 2: _LEAF},
}
"""Message -> field number -> the message that it holds (onnx.proto of ONNX 1.19). Attributes' type_protos (14, 15)
describe values and hold no tensor."""


class _Field(NamedTuple):
    """number; and where its bytes are, for one that has some (else start is end)."""

    number: int
    start: int
    end: int


def locations(path: Path) -> set[str]:
    """The external data that a graph's tensors name. Raises DamagedError for what is no ONNX graph as this version
    knows it."""
    with opening.opened(path) as descriptor:
        size = os.fstat(descriptor).st_size
        if not 0 < size <= LARGEST_GRAPH_BYTES:
            raise _refused(path.name, f"1 to {LARGEST_GRAPH_BYTES} bytes", f"{size}")
        with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
            return of_bytes(data, path.name)


def of_bytes(data: bytes | mmap.mmap, where: str) -> set[str]:
    """The same of a graph in memory; where: its name in errors."""
    words = list(_places(data, b"location"))
    found: set[str] = set()
    waiting = [("model", 0, len(data), 0)] if words else []
    seen = 0
    while waiting:
        message, start, end, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_MESSAGES:
            raise _refused(where, f"at most {DEEPEST} messages inside each other, and {MOST_MESSAGES} in all", "more")
        if message == "entry":
            found |= _location(data, start, end, where)
            continue
        known = _KNOWN[message]
        for number, first, last in _fields(data, start, end, where):
            next_word = bisect_left(words, first)
            if next_word == len(words) or words[next_word] >= last:
                continue
            inside = known.get(number)
            if inside is None:
                raise _refused(where, f"a {message} with the fields of ONNX 1.19", f"field {number}")
            if inside:
                waiting.append((inside, first, last, depth + 1))
    return found


def check(path: Path, listed: Collection[str]) -> None:
    """A graph names no file but listed ones, and what is injected is no file at all. Raises DamagedError."""
    for name in sorted(locations(path)):
        if name == INJECTED and not os.path.lexists(path.parent / name):
            continue
        if name not in listed:
            raise DamagedError(
                f"{path}: expected its external data in files that the manifest lists, found {shown(name)}; it is no "
                "graph that `edge-nusa export` writes, so export the bundle again"
            )


def _places(data: bytes | mmap.mmap, word: bytes) -> Iterator[int]:
    """Where the word stands, in order."""
    place = data.find(word)
    while place >= 0:
        yield place
        place = data.find(word, place + 1)


def _location(data: bytes | mmap.mmap, start: int, end: int, where: str) -> set[str]:
    """What an entry of external data says under the key "location"; of several values protobuf takes the last, here
    none is left out."""
    parts: dict[int, list[bytes]] = {1: [], 2: []}
    for number, first, last in _fields(data, start, end, where):
        if number not in parts or last - first > LONGEST_LOCATION:
            raise _refused(where, f"external data by keys and values of at most {LONGEST_LOCATION} bytes", "others")
        parts[number].append(data[first:last])
    if b"location" not in parts[1]:
        return set()
    return {value.decode("utf-8", "backslashreplace") for value in parts[2] or [b""]}


def _fields(data: bytes | mmap.mmap, start: int, end: int, where: str) -> Iterator[_Field]:
    """The fields of a message from `start` to `end`."""
    while start < end:
        tag, start = _varint(data, start, end, where)
        number, kind = tag >> 3, tag & 7
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
        if kind in (_BYTES, _VARINT):
            value, start = _varint(data, start, end, where)
            length = value if kind == _BYTES else 0
        elif not length:
            raise _refused(where, "fields of ONNX", f"wire type {kind}")
        if not number or start + length > end:
            raise _refused(where, "fields that end where their message ends", "one beyond it")
        yield _Field(number, start, start + length)
        start += length


def _varint(data: bytes | mmap.mmap, start: int, end: int, where: str) -> tuple[int, int]:
    """(value, where it ends)."""
    value = shift = 0
    while start < end and shift < 70:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), start
        shift += 7
    raise _refused(where, "whole numbers of at most ten bytes", "one that is cut or longer")


def _refused(where: str, expected: str, found: str) -> DamagedError:
    return DamagedError(f"{where}: expected {expected}, found {found}; it is no graph that `edge-nusa export` writes")
