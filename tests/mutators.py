"""Files changed so that they get further than noise: a field of another kind, a tensor of another shape, sealed or
packed again where that is what a reader looks at first. Every change is drawn from a `random.Random`."""

from __future__ import annotations

import json
import random
import struct
import zlib
from typing import Any

WICKED: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 7, 2**31, 2**53, 2**70, 10**400, 1.5, -0.0, 1e308, -1e308, 5e-324),
    *("", "a", "\ud800", "a\x00\x1b", "\u202e", "a" * 20_000, "0" * 64, "../x", "/etc/passwd", "NaN"),
    *([], {}, [[]] * 3, {"a": {}}, ["a", 1], [0] * 3000),
]
RAW = [
    *(b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b'"\\udfff"', b'{"a":1,"a":2}'),
    *(b"\xff", b"", b"nul", b"1e-400", b"-0", b"0x1", b'"\\u0000"'),
]
DTYPES = ("F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U64", "BOOL", "BF16", "F8_E4M3", "", "X")


def of_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bits turned, parts cut out, doubled, moved or filled."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        start = rng.randint(0, len(out))
        stop = min(len(out), start + rng.choice((1, 1, 2, 4, 8, 64)))
        kind = rng.randrange(7)
        if kind == 0 and start < len(out):
            out[start] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[start:stop] = rng.choice((b"\x00", b"\xff", b"\x7f", b"\x80")) * (stop - start)
        elif kind == 2:
            out[start:start] = rng.randbytes(rng.choice((1, 2, 8)))
        elif kind == 3:
            del out[start:stop]
        elif kind == 4:
            out[start:start] = out[start:stop]
        elif kind == 5:
            out = out[: rng.randint(0, len(out))]
        else:
            out[start : start + 8] = struct.pack("<Q", rng.choice((0, 1, 2**31, 2**63 - 1, 2**64 - 1)))
    return bytes(out)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inside for place in places(one, (*path, key)))]


def changed(rng: random.Random, value: Any) -> Any:
    """A JSON value with one place changed: another kind or size, gone, doubled, or a neighbour's."""
    value = json.loads(json.dumps(value))
    every = places(value)
    path = rng.choice(every)
    if not path:
        return rng.choice(WICKED)
    holder = _at(value, path[:-1])
    kind = rng.randrange(6)
    if kind == 0:
        del holder[path[-1]]
    elif kind == 1:
        holder[path[-1]] = _at(value, rng.choice(every))
        value = json.loads(json.dumps(value)) if kind and not _is_circular(value) else None
    elif kind == 2 and isinstance(holder, list):
        holder.extend(holder * rng.choice((1, 3, 40)))
    elif kind == 3 and isinstance(holder, dict):
        holder[rng.choice(("", "a", "x" * 300, "\x1b[2J", "__proto__"))] = holder[path[-1]]
    elif kind == 4 and isinstance(holder[path[-1]], int):
        holder[path[-1]] += rng.choice((-1, 1, 255, 2**32))
    else:
        holder[path[-1]] = rng.choice(WICKED)
    return value


def of_record(rng: random.Random, data: bytes) -> bytes:
    """A JSON file with a field changed, with a word that is no JSON in it, or with other bytes."""
    kind = rng.randrange(8)
    if kind == 0:
        return of_bytes(rng, data)
    record = json.loads(data)
    if kind == 1:
        spot = _with(record, rng.choice(places(record)), "@@")
        return json.dumps(spot).encode().replace(b'"@@"', rng.choice(RAW))
    for _ in range(rng.choice((1, 1, 2, 5))):
        record = changed(rng, record)
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def of_first_line(rng: random.Random, data: bytes) -> bytes:
    """`of_record` of the line before the bytes, which stay."""
    line, _, body = data.partition(b"\n")
    return of_record(rng, line) + b"\n" + body


def of_tensors(rng: random.Random, data: bytes) -> bytes:
    """A safetensors file with another header, with other numbers, or with other bytes."""
    kind = rng.randrange(5)
    if kind == 0 or len(data) < 8:
        return of_bytes(rng, data)
    length = struct.unpack("<Q", data[:8])[0]
    head, body = data[8 : 8 + length], bytearray(data[8 + length :])
    if kind == 1:
        return data[: 8 + length] + _extreme(rng, body)
    header = json.loads(head)
    for _ in range(rng.choice((1, 1, 2))):
        header = _other_header(rng, header)
    words = json.dumps(header).encode()
    return struct.pack("<Q", len(words)) + words + bytes(body)


def of_packed(rng: random.Random, data: bytes) -> bytes:
    """Tensors in zlib: the tensors changed and packed again, or the packed bytes."""
    if rng.randrange(4) == 0:
        return of_bytes(rng, data)
    return zlib.compress(of_tensors(rng, zlib.decompress(data)), 1)


def _extreme(rng: random.Random, body: bytearray) -> bytes:
    for _ in range(rng.choice((1, 4, 64))):
        size = rng.choice((2, 4, 8))
        place = rng.randrange(max(1, len(body) // size)) * size
        word = rng.choice((b"\x00\x7c", b"\xff\x7f", b"\x00\x80", b"\xff\xff", b"\x00\x00", b"\x01\x00"))
        body[place : place + size] = (bytes(size - 2) + word)[-size:] if len(body) >= size else b""
    return bytes(body)


def _other_header(rng: random.Random, header: Any) -> Any:
    if not isinstance(header, dict) or not header or rng.randrange(3) == 0:
        return changed(rng, header) if header else header
    name = rng.choice(list(header))
    entry = header[name]
    kind = rng.randrange(5)
    if kind == 0:
        header[rng.choice((name + "x", "", "a" * 300, name[:-1]))] = header.pop(name)
    elif not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        return header
    elif kind == 1:
        entry["dtype"] = rng.choice(DTYPES)
    elif kind == 2:
        entry["shape"] = rng.choice(
            ([], [0], [-1], [2**63], [1], [3, 2], [2, 3, 1], [2**32, 2**32], entry["data_offsets"])
        )
    elif kind == 3:
        other = header[rng.choice(list(header))]
        entry["data_offsets"] = rng.choice(
            (other.get("data_offsets") if isinstance(other, dict) else 0, [0, 0], [-1, 4], [0, 2**63], [9, 1])
        )
    else:
        other = rng.choice(list(header))
        header[name], header[other] = header[other], header[name]
    return header


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value = json.loads(json.dumps(value))
    _at(value, path[:-1])[path[-1]] = new
    return value


def _is_circular(value: Any) -> bool:
    try:
        json.dumps(value)
    except ValueError:
        return True
    return False
