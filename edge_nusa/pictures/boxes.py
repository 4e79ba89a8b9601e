"""The parts of a WebP (RIFF chunks) and of an AVIF or HEIC (boxes), counted: a small file may hold millions of empty
ones."""

from __future__ import annotations

from edge_nusa.pictures.price import MOST_RECORDS, too_many

_INSIDE = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"moov": 8, b"trak": 8, b"mdia": 8, b"minf": 8, b"stbl": 8}
"""Boxes of boxes, and how many bytes come before the first of them."""


def check_webp(data: bytes) -> None:
    """Raises InputError for a WebP of more than MOST_RECORDS chunks, those of its frames counted too."""
    at, count = 12, 0
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + (16 if kind == b"ANMF" else length + length % 2)
        count += 1
        if count > MOST_RECORDS:
            raise too_many("chunks in a WebP", MOST_RECORDS)


def check_boxes(data: bytes, what: str = "boxes in an AVIF") -> None:
    """Raises InputError for a file of more than MOST_RECORDS boxes, those inside its descriptions counted too. what:
    they are, in words."""
    at, count = 0, 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        at += _INSIDE[kind] if kind in _INSIDE else max(8, length) if length else len(data)
        count += 1
        if count > MOST_RECORDS:
            raise too_many(what, MOST_RECORDS)
