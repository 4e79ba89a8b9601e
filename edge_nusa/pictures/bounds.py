"""A picture's header, read by Pillow's reader of its kind alone, and the limits of its size and shape."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from PIL import Image

from edge_nusa.errors import InputError

MAX_PIXELS = 50_000_000
MAX_ASPECT = 50
DECODE_FAULTS = (
    OSError,  # with UnidentifiedImageError, and every failure of the file system
    SyntaxError,  # Pillow's word for a broken header
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    EOFError,
    ArithmeticError,
    AssertionError,  # Pillow's own checks of a broken file
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Every class that Pillow's readers raise on hostile bytes."""


class Bounds(NamedTuple):
    """max_pixels of what is decoded; least_side: a JPEG may be decoded at a fraction that keeps so many pixels a
    side; room: the bytes of memory that decoding may take."""

    max_pixels: int
    least_side: int | None
    room: int


def opened(file: BinaryIO, kind: str, max_pixels: int) -> Image.Image:
    """The file's header, read by Pillow's reader of this kind alone. Raises InputError past the limits of size and
    shape."""
    with _own_pixel_limit():
        image: Image.Image = Image.open(file, formats=(kind,))
    check_shape(*image.size, max_pixels)
    return image


def check_shape(width: int, height: int, max_pixels: int) -> None:
    """Raises InputError for a picture of a size that is not decoded."""
    if width < 1 or height < 1 or width * height > max_pixels:
        raise InputError(f"expected 1 to {max_pixels} pixels, found {width} x {height}; scale down the picture")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"expected sides of at most {MAX_ASPECT} to 1, found {width} x {height}; crop the picture")


@contextmanager
def _own_pixel_limit() -> Iterator[None]:
    """Pillow's own limit is under what a large camera gives and does not say the size; ours is checked right after
    it."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
