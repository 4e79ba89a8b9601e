"""A HEIC, as iPhones save pictures: how many pixels its decoder works on, told from its boxes; and the decoder itself,
which is loaded with the first such file.

A picture may be put together from others (a grid of tiles, one upon another), each of which is decoded whole, and as
often as it is named: 11 KB can say 256 tiles of 16 million pixels. So the pixels of all parts count. What a part's
own code says against its box is refused by the decoder (libheif) before it decodes.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from edge_nusa.errors import InputError
from edge_nusa.pictures import price

DEEPEST = 4
"""Pictures within pictures: a grid of tiles is one."""
MISSING = (
    'HEIC, which this installation does not read; install what reads it (pip install "edge-nusa[heic]"), or have the '
    "iPhone save JPEG: Settings > Camera > Formats > Most Compatible"
)


class _Items:
    """What the boxes say of a file's pictures. primary: the number of the first; sizes: width and height by number;
    parts: the numbers that a picture is put together from."""

    def __init__(self, data: bytes) -> None:
        self.primary = 0
        self.sizes: dict[int, tuple[int, int]] = {}
        self.parts: dict[int, list[int]] = defaultdict(list)
        properties: list[tuple[int, int] | None] = []
        owners: list[tuple[int, int]] = []
        meta = next((body for kind, body in _boxes(data) if kind == b"meta"), b"")
        for kind, body in _boxes(meta[4:]):
            if kind == b"pitm":
                (self.primary,) = struct.unpack_from(">I" if body[0] else ">H", body, 4)
            elif kind == b"iref":
                self._add_parts(body)
            elif kind == b"iprp":
                for inner, content in _boxes(body):
                    if inner == b"ipco":
                        properties = [_size(*property) for property in _boxes(content)]
                    elif inner == b"ipma":
                        owners += _associations(content)
        for item, index in owners:
            size = properties[index - 1] if 0 < index <= len(properties) else None
            if size is not None:
                self.sizes[item] = size

    def _add_parts(self, body: bytes) -> None:
        number = ">I" if body[0] else ">H"
        width = struct.calcsize(number)
        for kind, content in _boxes(body[4:]):
            if kind == b"dimg":
                (item,) = struct.unpack_from(number, content)
                (count,) = struct.unpack_from(">H", content, width)
                self.parts[item] += struct.unpack_from(f">{count}{number[1]}", content, width + 2)


def worked_pixels(data: bytes) -> int:
    """How many pixels are decoded for the first picture: its own, or those of all that it is put together from.

    Raises InputError, without the file's name, for more than MOST_RECORDS parts or DEEPEST levels; struct.error for
    damage.
    """
    items = _Items(data)
    if sum(map(len, items.parts.values())) > price.MOST_RECORDS:
        raise price.too_many("parts of pictures in a HEIC", price.MOST_RECORDS)

    @cache
    def pixels(item: int, depth: int) -> int:
        if depth > DEEPEST:
            raise InputError(
                f"expected a HEIC of pictures within pictures to a depth of at most {DEEPEST}, found more; save it as "
                "JPEG"
            )
        if item in items.parts:
            return sum(pixels(part, depth + 1) for part in items.parts[item])
        width, height = items.sizes.get(item, (0, 0))
        return width * height

    return pixels(items.primary, 0)


def load_decoder() -> None:
    """Have Pillow read HEIC from now on. Raises InputError where the package is not installed."""
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(f"expected a kind of picture that is read here, found {MISSING}") from error
    # Small pictures, depth and masks inside a file are work for nothing; threads would escape the limits of time.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of the boxes of these bytes, one after another; `boxes.check` has counted them."""
    at = 0
    while at + 8 <= len(data):
        length, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if length == 1:
            length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = at + length if length else len(data)
        if end < start:
            raise ValueError("a box is shorter than its head")
        yield kind, data[start:end]
        at = end


def _size(kind: bytes, body: bytes) -> tuple[int, int] | None:
    """(width, height) of a property that says them."""
    if kind != b"ispe":
        return None
    width, height = struct.unpack_from(">II", body, 4)
    return width, height


def _associations(body: bytes) -> Iterator[tuple[int, int]]:
    """(number of a picture, number of a property of its own, from 1)."""
    number, is_wide = ">I" if body[0] else ">H", body[3] & 1
    (count,) = struct.unpack_from(">I", body, 4)
    at = 8
    for _ in range(min(count, price.MOST_RECORDS)):
        (item,) = struct.unpack_from(number, body, at)
        at += struct.calcsize(number)
        many = body[at]
        for index in range(many):
            place = at + 1 + index * (1 + is_wide)
            found = int.from_bytes(body[place : place + 1 + is_wide], "big")
            yield item, found & (0x7FFF if is_wide else 0x7F)
        at += 1 + many * (1 + is_wide)
