"""Portable anymaps (PBM, PGM, PPM; plain and binary) by numpy: Pillow reads all but 8 bits value by value in Python."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from PIL import Image

from edge_nusa.pictures.price import MOST_RECORDS, too_many

_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])"
_COMMENT = re.compile(rb"#[^\r\n]*")
_HEADER_BYTES = 1 << 16
"""The header with its comments; a decoder that reads on for a number would read the whole file."""
_SIZE = re.compile(rb"P([1-6])" + _SPACE + rb"+(\d{1,9})" + _SPACE + rb"+(\d{1,9})")
_LARGEST = re.compile(_SPACE + rb"+(\d{1,5})")


class Header(NamedTuple):
    """kind: the digit behind P; largest: the value of full brightness; start: where the pixels begin."""

    kind: int
    width: int
    height: int
    largest: int
    start: int


def header(data: bytes) -> Header:
    """The header at the beginning of `data`. Raises ValueError where it is cut or damaged."""
    head = data[:_HEADER_BYTES]
    found = _SIZE.match(head)
    if found is None:
        raise ValueError("no size in the header")
    kind, width, height = map(int, found.groups())
    if kind in (1, 4):
        return Header(kind, width, height, 1, found.end() + 1)
    found = _LARGEST.match(head, found.end())
    if found is None or not 0 < int(found[1]) < 65536:
        raise ValueError("no largest value from 1 to 65535 in the header")
    return Header(kind, width, height, int(found[1]), found.end() + 1)


def picture(data: bytes, head: Header) -> Image.Image:
    """All pixels as (H, W) grey or RGB of 8 bits, round(255 value / largest). Raises ValueError where some are
    missing."""
    shape = (head.height, head.width, 3) if head.kind in (3, 6) else (head.height, head.width)
    if head.kind == 4:
        rows = np.frombuffer(data, np.uint8, head.height * -(-head.width // 8), head.start).reshape(head.height, -1)
        return Image.fromarray((np.unpackbits(~rows, axis=1, count=head.width)) * np.uint8(255))
    count = int(np.prod(shape))
    values = _plain(data[head.start :], head, count) if head.kind <= 3 else _binary(data, head, count)
    if values.size and int(values.max()) > head.largest:
        raise ValueError(f"a value over {head.largest}")
    if head.kind == 1:
        values = 1 - values
    if head.largest != 255:
        values = ((values.astype(np.uint32) * 510 + head.largest) // (2 * head.largest)).astype(np.uint8)
    return Image.fromarray(values.reshape(shape).astype(np.uint8, copy=False))


def _binary(data: bytes, head: Header, count: int) -> np.ndarray:
    return np.frombuffer(data, np.uint8 if head.largest < 256 else ">u2", count, head.start)


def _plain(text: bytes, head: Header, count: int) -> np.ndarray:
    """(count,) whole numbers of digits with blanks and comments between; of a bitmap every digit is a value.
    Raises InputError for more than MOST_RECORDS comments."""
    if text.count(b"#") > MOST_RECORDS:
        raise too_many("comments in a PNM", MOST_RECORDS)
    text = _COMMENT.sub(b" ", text) if b"#" in text else text
    if text.translate(None, b"0123456789 \t\r\n\v\f"):
        raise ValueError("something else than digits")
    digits = np.frombuffer(text.translate(None, b" \t\r\n\v\f"), np.uint8) if head.kind == 1 else None
    values = np.fromstring(text, np.int32, sep=" ") if digits is None else digits.astype(np.uint16) - 48
    if len(values) < count:
        raise ValueError(f"{count - len(values)} values are missing")
    return values[:count]
