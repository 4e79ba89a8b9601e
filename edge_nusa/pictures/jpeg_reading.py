"""From a JPEG's bytes to its picture, at a fraction where that is enough, and once more where its end is missing."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.pictures import jpeg, price
from edge_nusa.pictures.bounds import DECODE_FAULTS, Bounds, check_shape, opened

MAX_JPEG_PIXELS = 200_000_000
"""Of a JPEG that is decoded at a fraction, row by row: the largest cameras give 199.8 million."""


def read(file: BinaryIO, bounds: Bounds) -> Image.Image:
    """A JPEG or MPO; one that lacks its end marker where every pixel is there."""
    head = jpeg.trimmed(file.read())
    if head.data.count(b"\xff\xda") > jpeg.MAX_SCANS:  # the count over all bytes is quick and never too low
        jpeg.walk(head.data)
    try:
        image = _picture(head, head.data, bounds)
    except MemoryError:
        raise
    except DECODE_FAULTS:
        return _mended(head, bounds)
    return image if head.data.endswith(b"\xff\xd9") or jpeg.walk(head.data).ends else _mended(head, bounds)


def _picture(head: jpeg.Head, data: bytes, bounds: Bounds, times: int = 1) -> Image.Image:
    """The decoded JPEG, at a fraction where `bounds` allow that; times: how often it is decoded in all."""
    most = bounds.max_pixels if bounds.least_side is None else max(bounds.max_pixels, MAX_JPEG_PIXELS)
    image = opened(io.BytesIO(data), "JPEG", most)
    if image.width * image.height > bounds.max_pixels and jpeg.walk(data).keeps_coefficients:
        rule = (
            f"expected at most {bounds.max_pixels} pixels in a JPEG of several scans, found {image.width} x "
            f"{image.height}"
        )
        raise InputError(f"{rule}; scale it down, or save it as a baseline JPEG")
    _check_price(head, data, times * image.width * image.height, bounds)
    if bounds.least_side is not None:
        image.draft(None, (bounds.least_side, bounds.least_side))  # type: ignore[arg-type]  # None keeps the mode
        check_shape(*image.size, bounds.max_pixels)
    image.load()
    return image


def _check_price(head: jpeg.Head, data: bytes, pixels: int, bounds: Bounds) -> None:
    """Raises InputError for a JPEG that costs too much, first by a count that is quick and never too low."""
    kind = "arithmetic JPEG" if head.frame in jpeg.ARITHMETIC else "JPEG"
    if kind == "JPEG" and (head.frame in jpeg.PROGRESSIVE or head.is_in_parts):
        kind = "JPEG of several scans"
    try:
        price.check(kind, pixels, len(data), bounds.room, max(1, data.count(b"\xff\xda")))
    except InputError:  # it may have another picture, or a film, behind its end
        found = jpeg.walk(data)
        price.check(kind, pixels, len(found.needed), bounds.room, max(1, found.scans))


def _mended(head: jpeg.Head, bounds: Bounds) -> Image.Image:
    """The picture of a JPEG that was refused as it is. Raises InputError or DECODE_FAULTS where its pixels are not
    all there."""
    found = jpeg.walk(head.data)
    unread = found.unread()
    if unread is not None:
        raise InputError(
            f"expected a JPEG of a common kind, found {unread}, which is not read; save it as a baseline JPEG"
        )
    if not found.ends and found.missing:
        raise InputError("expected a whole picture, found it cut or damaged (scans are missing at its end); replace it")
    image, seen = None, set()
    for ending in found.endings():
        image = None  # one at a time
        image = _picture(head, ending, bounds, 3)
        seen.add(hashlib.sha256(image.tobytes()).digest())
    if image is None or len(seen) > 1:
        raise InputError(
            "expected a whole picture, found it cut or damaged (pixels are missing at its end); replace it"
        )
    return image
