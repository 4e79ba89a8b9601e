"""What decoding a picture may cost: seconds of a core and bytes of memory, told from its header before any pixel is
decoded.

A few bytes may say millions of pixels, and each pixel costs whether or not it was worth a byte. So every kind has a
price a pixel and a price a byte, each measured on the file of that kind that costs most (tests/pictures/costly.py), and
what would cost more than the limit is refused.
"""

from __future__ import annotations

from typing import NamedTuple

from edge_nusa.errors import InputError

MOST_SECONDS = 1.0
"""Of one core of the x86-64 machine on which the prices were measured; a Raspberry Pi takes several times as long."""
MOST_RECORDS = 20_000
"""Chunks, blocks, boxes or comments of one file: writers leave at most a few thousand, and each is a turn of an
interpreted loop, or a place in a list, however few bytes it has."""
COPIES = 3
"""Of the file's bytes: as read, without what is not needed, and a decoder's own."""


class Price(NamedTuple):
    """Nanoseconds of work a pixel and a byte of the file; bytes of memory a pixel and a byte."""

    pixel: float
    byte: float
    room: int
    text: int = COPIES


PRICES = {
    "JPEG": Price(1, 20, 0),
    "JPEG of several scans": Price(0.6, 50, 0),
    "arithmetic JPEG": Price(20, 100, 0),
    "PNG": Price(4.5, 5, 8),
    "GIF": Price(5.5, 12, 5),
    "BMP": Price(3, 1, 5),
    "run-length BMP": Price(6, 200, 5),
    "WebP": Price(14, 15, 16),
    "AVIF": Price(9, 100, 10),
    "HEIC": Price(11, 95, 8),
    "TIFF": Price(3.5, 6, 8),
    "fax TIFF": Price(5, 60, 5),
    "PNM": Price(6, 1, 8),
    "plain PNM": Price(0, 30, 0, 14),
}
"""A JPEG needs room for the few pixels that are left of it, or is held to the number of its own. Its pixels count once
a scan, those of a PNG or TIFF once a byte that they have; of a HEIC those of all that it is put together from count."""


def check(kind: str, pixels: int, size: int, room: int, work: float = 1.0) -> None:
    """Raises InputError, without the file's name, for a picture that costs more time or memory than the limits.

    kind: one of PRICES; pixels: how many are decoded; size: the bytes of the file that are read; room: the bytes of
    memory that it may take; work: how often a pixel is worked on.
    """
    price = PRICES[kind]
    seconds = (price.pixel * pixels * work + price.byte * size) / 1e9
    if seconds > MOST_SECONDS:
        raise InputError(
            f"expected a picture that takes at most {MOST_SECONDS:g} s of a fast core, found {kind} of {size} bytes "
            f"that takes about {seconds:.2f} s; scale it down, or save it as a baseline JPEG"
        )
    needed = price.room * pixels + price.text * size
    if needed > room:
        raise InputError(
            f"expected a picture that takes at most {room >> 20} MiB of memory, found {kind} of {size} bytes that "
            f"takes about {needed >> 20} MiB; scale it down, or save it as a baseline JPEG"
        )


def too_many(what: str, limit: int) -> InputError:
    """The error for more records than `limit`."""
    return InputError(f"expected at most {limit} {what}, found more; save the picture again")
