"""The first picture of a GIF as a file of its own: comments and other blocks before it are counted and left out."""

from __future__ import annotations

from edge_nusa.pictures.price import MOST_RECORDS, too_many

_PICTURE, _EXTENSION, _END = 0x2C, 0x21, 0x3B
_CONTROL = 0xF9
"""The kind of the one extension that pixels depend on."""
_TABLE_BIT, _TABLE_BITS = 0x80, 0x07
_HEADER_BYTES = 13


def first_picture(data: bytes) -> bytes:
    """The header, the last control block before the first picture, and everything from that picture on.

    Raises InputError, without the file's name, for more than MOST_RECORDS blocks and parts of blocks before it.
    """
    at = _HEADER_BYTES
    if data[10] & _TABLE_BIT:
        at += 3 << ((data[10] & _TABLE_BITS) + 1)
    header, control = data[:at], b""
    for _ in range(MOST_RECORDS):
        if at >= len(data) or data[at] in (_PICTURE, _END):
            return header + control + data[at:]
        if data[at] == _EXTENSION:
            end = _end_of_blocks(data, at + 2)
            if data[at + 1 : at + 2] == bytes([_CONTROL]):
                control = data[at:end]
            at = end
        else:  # no block begins so: readers look on at the next byte
            at += 1
    raise too_many("blocks before the picture of a GIF", MOST_RECORDS)


def _end_of_blocks(data: bytes, at: int) -> int:
    """Where the parts of a block that begin at `at` end: each says its length, and the last has none."""
    for _ in range(MOST_RECORDS):
        if at >= len(data):
            return len(data)
        length = data[at]
        at += 1 + length
        if length == 0:
            return at
    raise too_many("parts of a block of a GIF", MOST_RECORDS)
