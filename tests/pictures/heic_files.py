"""HEIC files as phones write them, and as nobody should: grids of tiles, pictures within pictures, odd boxes."""

from __future__ import annotations

import io
import struct
from typing import Any

from PIL import Image


def saved_heic(image: Image.Image, **options: Any) -> bytes:
    """The picture as a HEIC."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    image.save(buffer, "HEIF", **{"quality": 95, "chroma": 444, **options})
    return buffer.getvalue()


def box(kind: bytes, *body: bytes) -> bytes:
    """A box."""
    inside = b"".join(body)
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def full(kind: bytes, version: int, flags: int, *body: bytes) -> bytes:
    """A box that says its version."""
    return box(kind, struct.pack(">I", version << 24 | flags), *body)


def inside(data: bytes, kind: bytes, head: int = 8) -> bytes:
    """The body of the first box of a kind, found by its name."""
    at = data.index(kind) - 4
    return data[at + head : at + int.from_bytes(data[at : at + 4], "big")]


def grid(tile: bytes, columns: int, rows: int, canvas: tuple[int, int], wide: bool = False) -> bytes:
    """A HEIC whose first picture is a grid of one tile (itself a HEIC), named once for each place; wide: with the
    boxes' larger numbers."""
    size, coded, pixel = inside(tile, b"ispe"), inside(tile, b"hvcC"), inside(tile, b"mdat")
    number, version, places_of_grid = (">I", 1, columns * rows) if wide else (">H", 0, columns * rows)
    one, two = struct.pack(number, 1), struct.pack(number, 2)
    properties = box(
        b"ipco",
        box(b"hvcC", coded),
        box(b"ispe", size),
        full(b"ispe", 0, 0, struct.pack(">II", *canvas)),
        full(b"pixi", 0, 0, b"\3\x08\x08\x08"),
    )
    index, needed = (">H", 0x8000) if wide else (">B", 0x80)
    owned = [
        item + bytes([len(found)]) + b"".join(struct.pack(index, one_of) for one_of in found)
        for item, found in ((one, [3, 4]), (two, [needed | 1, 2, 4]))
    ]
    links = full(b"ipma", version, int(wide), struct.pack(">I", 2), *owned)
    reference = box(b"dimg", one, struct.pack(">H", places_of_grid), two * places_of_grid)
    boxes = [
        full(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
        full(b"pitm", version, 0, one),
        full(
            b"iinf",
            0,
            0,
            struct.pack(">H", 2),
            full(b"infe", 2, 0, struct.pack(">HH", 1, 0), b"grid\0"),
            full(b"infe", 2, 0, struct.pack(">HH", 2, 0), b"hvc1\0"),
        ),
        full(b"iref", version, 0, reference),
        box(b"iprp", properties, links),
        box(b"idat", bytes([0, 0, rows - 1, columns - 1]), struct.pack(">HH", *canvas)),
    ]
    head, length = inside(tile, b"ftyp", 0), 8 + 4 + 4 + 2 * 16
    start = len(head) + 12 + sum(map(len, boxes)) + length + 8
    places = full(
        b"iloc",
        1,
        0,
        struct.pack(">HH", 0x4400, 2),
        struct.pack(">HHHHII", 1, 1, 0, 1, 0, 8),
        struct.pack(">HHHHII", 2, 0, 0, 1, start, len(pixel)),
    )
    assert len(places) == length
    return head + full(b"meta", 0, 0, *boxes, places) + box(b"mdat", pixel)
