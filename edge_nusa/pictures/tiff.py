"""The first page of a TIFF as a file of its own: its tags that give pixels, checked and bounded, and none of the rest.

Other pages, loops of directories, directories inside tags and all metadata are left out before a decoder sees the file.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.pictures import price

MOST_ENTRIES = 4096
"""Tags of one directory: writers use about twenty."""
MOST_PIECES = 200_000
"""Strips or tiles: a picture of 50,000 rows that is one row a strip and three planes has 150,000."""
MOST_VALUES = 65_536
"""Values of any other tag."""
COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946, 50000})
"""None, the three of fax, LZW, JPEG, Deflate (both numbers), PackBits, Zstandard."""
FAX, JPEG = frozenset({2, 3, 4}), 7
MOST_SCANS = 4
"""Of a JPEG that is a strip or tile: one, or one a component."""
WIDTH, HEIGHT, BITS, COMPRESSION, OFFSETS, SAMPLES, ROWS, COUNTS, PLANES = 256, 257, 258, 259, 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, SAMPLE_FORMAT = 322, 323, 324, 325, 339
_KEPT = frozenset(
    {
        *(WIDTH, HEIGHT, BITS, COMPRESSION, 262, 266, OFFSETS, 274, 277, 278, COUNTS, 284, 292, 293, 317, 320),
        *(TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, 338, SAMPLE_FORMAT, 347, 529, 530, 531, 532),
    }
)
_PIECES = frozenset({OFFSETS, COUNTS, TILE_OFFSETS, TILE_COUNTS})
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 16: "Q"}
"""The type numbers of TIFF 6.0, and BigTIFF's 64 bits."""


class _Shape(NamedTuple):
    """How a file writes: order is struct's sign, offset the struct letter of an offset, counter that of a
    directory's count."""

    order: str
    offset: str
    counter: str
    header: bytes

    @property
    def entry_bytes(self) -> int:
        return 4 + 2 * struct.calcsize("<" + self.offset)


class _Entry(NamedTuple):
    """One tag: its type and number of values, where its values are, and its bytes in the directory."""

    type: int
    values: int
    at: int
    raw: bytes


def first_page(data: bytes, max_pixels: int, room: int) -> bytes:
    """A file with the first page of `data` alone. Raises InputError, without the file's name, for a kind that is not
    read or more than the limits; struct.error, ValueError or IndexError for damage."""
    shape = _shape_of(data)
    entries = _directory(data, shape)
    values = {tag: _values(data, shape, entries[tag]) for tag in entries if tag not in (347, 529, 532)}
    _check(values, data, max_pixels)
    _check_price(values, data, max_pixels, room)
    body = b"".join(entries[tag].raw for tag in sorted(entries))
    padding = bytes(len(data) % 2)
    at = struct.pack(shape.order + shape.offset, len(data) + len(padding))
    start = len(shape.header) + len(at)
    count = struct.pack(shape.order + shape.counter, len(entries))
    return b"".join((shape.header, at, data[start:], padding, count, body, bytes(len(at))))


def _shape_of(data: bytes) -> _Shape:
    order = "<" if data[:2] == b"II" else ">"
    is_big = 43 in (data[2], data[3])
    return _Shape(order, "Q", "Q", data[:8]) if is_big else _Shape(order, "I", "H", data[:4])


def _directory(data: bytes, shape: _Shape) -> dict[int, _Entry]:
    """The first directory's tags that give pixels, the first of each."""
    (at,) = struct.unpack_from(shape.order + shape.offset, data, len(shape.header))
    (count,) = struct.unpack_from(shape.order + shape.counter, data, at)
    if count > MOST_ENTRIES:
        raise InputError(f"expected at most {MOST_ENTRIES} tags in a TIFF, found {count}; save the picture again")
    at += struct.calcsize("<" + shape.counter)
    found: dict[int, _Entry] = {}
    for start in range(at, at + count * shape.entry_bytes, shape.entry_bytes):
        tag, type_, values = struct.unpack_from(f"{shape.order}HH{shape.offset}", data, start)
        if tag in _KEPT and tag not in found and type_ in _TYPES:
            found[tag] = _entry(data, shape, start, tag, type_, values)
    return found


def _entry(data: bytes, shape: _Shape, start: int, tag: int, type_: int, count: int) -> _Entry:
    most = MOST_PIECES if tag in _PIECES else MOST_VALUES
    if count > most:
        raise InputError(
            f"expected at most {most} values in tag {tag} of a TIFF, found {count}; save the picture again"
        )
    width = struct.calcsize("<" + shape.offset)
    at = start + shape.entry_bytes - width
    size = count * struct.calcsize("<" + _TYPES[type_])
    if size > width:
        (at,) = struct.unpack_from(shape.order + shape.offset, data, at)
    if at + size > len(data):
        raise ValueError(f"tag {tag} ends behind the file")
    return _Entry(type_, count, at, data[start : start + shape.entry_bytes])


def _values(data: bytes, shape: _Shape, entry: _Entry) -> np.ndarray:
    """A tag's values (count,); those of a fraction one after the other."""
    letters = _TYPES[entry.type]
    return np.frombuffer(data, shape.order + letters[0], entry.values * len(letters), entry.at)


def _check(values: dict[int, np.ndarray], data: bytes, max_pixels: int) -> None:
    """Raises InputError or ValueError for what a decoder must not be given."""
    compression = int(values[COMPRESSION][0]) if COMPRESSION in values else 1
    if compression not in COMPRESSIONS:
        raise InputError(
            f"expected a TIFF of a common kind, found compression {compression}, which is not read; convert it to PNG "
            "or JPEG"
        )
    depth, kind = max(values.get(BITS, [1])), max(values.get(SAMPLE_FORMAT, [1]))
    if depth > 16 or kind not in (1, 4):
        raise InputError(
            f"expected a TIFF of whole numbers of up to 16 bits, found {depth} bits of kind {kind}; save it with 8 bits"
        )
    if WIDTH not in values or HEIGHT not in values or not ({OFFSETS, TILE_OFFSETS} & values.keys()):
        raise ValueError("no size or no pixels")
    tile = int(values.get(TILE_WIDTH, [0])[0]) * int(values.get(TILE_HEIGHT, [0])[0])
    if tile > max_pixels:
        raise InputError(
            f"expected tiles of at most {max_pixels} pixels in a TIFF, found {tile}; save the picture again"
        )
    counts = values.get(TILE_COUNTS, values.get(COUNTS))
    if compression != 1 and counts is not None and int(counts.sum(dtype=np.uint64)) > len(data):
        raise ValueError("its parts lie over each other")
    if int(values[WIDTH][0]) * int(values[HEIGHT][0]) > max_pixels:
        return  # refused for its size as every other picture is
    offsets = values[TILE_OFFSETS] if TILE_OFFSETS in values else values[OFFSETS]
    needed = _raw_strips(values, len(offsets)) if compression == 1 and TILE_OFFSETS not in values else counts
    if needed is not None and np.any(offsets[: len(needed)].astype(np.float64) + needed[: len(offsets)] > len(data)):
        raise ValueError("its pixels end behind the file")


def _check_price(values: dict[int, np.ndarray], data: bytes, max_pixels: int, room: int) -> None:
    """Raises InputError for what costs more than the limits; what has too many pixels is refused for that elsewhere."""
    if int(values[WIDTH][0]) * int(values[HEIGHT][0]) > max_pixels:
        return
    compression = int(values[COMPRESSION][0]) if COMPRESSION in values else 1
    offsets = values[TILE_OFFSETS] if TILE_OFFSETS in values else values[OFFSETS]
    counts = values.get(TILE_COUNTS, values.get(COUNTS))
    if compression == JPEG and counts is not None:
        _check_scans(data, offsets, counts)
    work = _samples(values) * int(max(values.get(BITS, [1]))) / 8
    price.check("fax TIFF" if compression in FAX else "TIFF", _worked_pixels(values), len(data), room, work)


def _worked_pixels(values: dict[int, np.ndarray]) -> int:
    """How many pixels are decoded: those of whole tiles, however little of one lies inside the picture."""
    width, height = int(values[WIDTH][0]), int(values[HEIGHT][0])
    if TILE_OFFSETS not in values or TILE_WIDTH not in values or TILE_HEIGHT not in values:
        return width * height
    across, down = max(1, int(values[TILE_WIDTH][0])), max(1, int(values[TILE_HEIGHT][0]))
    return -(-width // across) * across * -(-height // down) * down


def _check_scans(data: bytes, offsets: np.ndarray, counts: np.ndarray) -> None:
    """Raises InputError where a strip or tile is a JPEG of many scans: each is a pass over all of its pixels."""
    for at, count in zip(offsets.tolist(), counts.tolist(), strict=False):
        if data.count(b"\xff\xda", at, at + count) > MOST_SCANS:
            raise InputError(
                f"expected at most {MOST_SCANS} scans in a part of a TIFF, found more; save the picture again"
            )


def _samples(values: dict[int, np.ndarray]) -> int:
    """Values a pixel."""
    return int(values[SAMPLES][0]) if SAMPLES in values else len(values.get(BITS, [1]))


def _raw_strips(values: dict[int, np.ndarray], strips: int) -> np.ndarray:
    """How many bytes each strip of an uncompressed picture has; what a file says of that is often wrong, and not
    read."""
    width, height = int(values[WIDTH][0]), int(values[HEIGHT][0])
    bits = [int(bit) for bit in values.get(BITS, np.ones(1))]
    samples = _samples(values)
    is_planar = PLANES in values and int(values[PLANES][0]) == 2
    a_row = -(-width * (bits[0] if is_planar else bits[0] * samples) // 8)
    rows = min(height, int(values[ROWS][0])) if ROWS in values else height
    a_plane = max(1, -(-height // max(1, rows)))
    return a_row * np.minimum(rows, height - rows * (np.arange(strips) % a_plane)).astype(np.float64)
