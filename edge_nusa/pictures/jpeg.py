"""A JPEG's segments, walked from its first byte to its end marker: what a decoder needs of them, and what is missing.

One pass, bounded by MOST_SEGMENTS; nothing behind the end marker is looked at, and nothing inside a segment is taken
for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from edge_nusa.errors import InputError

MAX_SCANS = 64
"""Scans of one JPEG file: an encoder writes about ten, and each costs a pass over all pixels however few bytes it
has."""
MOST_SEGMENTS = 20_000
"""Segments of one JPEG: metadata of 48 MiB fill 800, and an encoder writes about two tables a scan."""
MOST_UNKNOWN_BYTES = 4096
START, END, SCAN, APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_DIRECTIONS = (b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0")
"""How a block of metadata begins that may say which side is up; the first of each is kept."""
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_READ_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
"""Baseline, extended and progressive, by Huffman's code or by arithmetic; the others are lossless or hierarchical."""
PROGRESSIVE = frozenset({0xC2, 0xCA})
ARITHMETIC = frozenset({0xC9, 0xCA})
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""Inside the pixels' data FF 00 is the byte FF and FF D0 to FF D7 restart the coder: neither is a segment."""
MOST_OWN_ZEROS = 2
"""Pixel data may itself end in so many zeros; more are padding."""
_FILLER = bytes((37 * index * index + 11 * index + 85) % 251 for index in range(256))
"""Goes on where pixel data is cut: a whole picture is the same with and without it, since nothing reads it."""


@dataclass(frozen=True, kw_only=True)
class Segments:
    """What a walk found. needed: the segments that a decoder reads, with the scans' data, to the end marker or the
    file's end;
    scans: how many; ends: whether there is an end marker; frame: the frame's kind and its segment, empty where there is
    none;
    first_scan: how many components the first scan holds; missing: (component, coefficient) pairs no scan has in
    full."""

    needed: bytes = field(repr=False)
    scans: int
    ends: bool
    frame: tuple[int, bytes]
    first_scan: int
    missing: bool

    @property
    def keeps_coefficients(self) -> bool:
        """Whether a decoder holds all coefficients at once (up to six bytes a pixel) whatever size it is asked for."""
        return self.frame[0] not in (0xC0, 0xC1, 0xC9) or self.first_scan != self.frame[1][5]

    def unread(self) -> str | None:
        """Why no decoder here reads this kind of JPEG, or None."""
        kind, frame = self.frame
        if len(frame) < 6:
            return None
        if kind not in _READ_FRAMES:
            return "a lossless or hierarchical JPEG"
        if frame[0] not in (0, 8):  # none at all is damage
            return f"a JPEG of {frame[0]} bits a sample"
        return None if frame[5] in (0, 1, 3, 4) else f"a JPEG of {frame[5]} channels"

    def endings(self) -> Iterator[bytes]:
        """The file without what a decoder does not need, whole where it ends; else once for each of two continuations.

        Zeros behind pixel data that does not end are the room that a recorder set aside, and are dropped.
        """
        if self.ends:
            yield self.needed
            return
        data = self.needed.rstrip(b"\0")
        if len(self.needed) - len(data) <= MOST_OWN_ZEROS:
            data = self.needed
        elif data.endswith(b"\xff"):
            data += b"\0"
        scan = data.rfind(b"\xff\xda")
        last = max((data.rfind(bytes((0xFF, 0xD0 + number)), max(scan, 0)), number) for number in range(8))
        following = last[1] + 1 if last[0] >= 0 else 0  # a decoder that waits for a restart reads nothing before it
        restarts = b"".join(bytes((0xFF, 0xD0 + number % 8)) + _FILLER for number in range(following, following + 8))
        yield from (data + filler + b"\xff\xd9" for filler in (_FILLER + restarts, b""))


def walk(data: bytes) -> Segments:
    """The segments of a JPEG. Raises InputError, without the file's name, for more scans or segments than the
    limits."""
    needed, scans, ends, at = [data[:2]], 0, False, 2
    frame: tuple[int, bytes] = (0, b"")
    first_scan, progress = 0, _Progress()
    for marker, start, end in _segments(data):
        if scans and start > at:
            needed.append(_without_fill(data[at:start]))  # what the scan before holds
        at, body = end, data[start + 4 : end]
        if marker == END:
            ends = True
            needed.append(data[start:end])
            break
        if marker in _FRAMES and not frame[1]:
            frame = (marker, body)
        if marker == SCAN:
            scans += 1
            first_scan = first_scan or (body[0] if body else 0)
            progress.add(body)
            if scans > MAX_SCANS:
                raise InputError(f"expected at most {MAX_SCANS} scans in a JPEG, found more; save the picture again")
        if _is_needed(marker, body):
            needed.append(data[start:end])
    else:
        needed.append(_without_fill(data[at:].rstrip(b"\xff")) if scans else b"")
    missing = progress.is_missing(frame)
    return Segments(
        needed=b"".join(needed), scans=scans, ends=ends, frame=frame, first_scan=first_scan, missing=missing
    )


def _without_fill(data: bytes) -> bytes:
    """Every run of FF as one: FF may be repeated before any marker, and a decoder that is fed in blocks reads a run
    anew with each. There may be millions of runs, so by numpy."""
    if b"\xff\xff" not in data:
        return data
    is_fill = np.frombuffer(data, np.uint8) == 0xFF
    is_fill[:-1] &= is_fill[1:]
    is_fill[-1] = False
    return np.frombuffer(data, np.uint8)[~is_fill].tobytes()


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, where it begins, where its segment ends); bytes between them are skipped, as a decoder does."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            return
        start = found.start()
        marker = data[start + 1]
        if marker in (START, END):
            at = start + 2
        else:
            length = int.from_bytes(data[start + 2 : start + 4], "big")
            if length < 2 or start + 2 + length > len(data):
                return
            at = start + 2 + length
        yield marker, start, at
    raise InputError(f"expected at most {MOST_SEGMENTS} segments in a JPEG, found more; save the picture again")


class Head(NamedTuple):
    """data: the file without the metadata before its first scan; frame: the kind of its frame, 0 for none; is_in_parts:
    whether its first scan holds some of the components only, so that others must follow."""

    data: bytes
    frame: int
    is_in_parts: bool


def trimmed(data: bytes) -> Head:
    """The file without what no pixel depends on before its first scan, but one block each that may say a direction,
    and without fill after it.

    Raises InputError, without the file's name, for more than MOST_SEGMENTS before it.
    """
    kept, at, directions, frame, components = [data[:2]], 2, list(_DIRECTIONS), 0, 0
    for marker, start, end in _segments(data):
        if marker == SCAN:
            kept.append(_without_fill(data[start:]))
            return Head(b"".join(kept), frame, components > 1 and data[start + 4 : start + 5] != bytes([components]))
        at = end
        if marker in _FRAMES and not frame:
            frame, components = marker, data[start + 9] if end > start + 9 else 0
        direction = next((one for one in directions if marker == APP1 and data.startswith(one, start + 4)), None)
        if direction is not None:
            directions.remove(direction)
        if direction is not None or (marker != APP1 and _is_needed(marker, data[start + 4 : end])):
            kept.append(data[start:end])
        if marker == END:
            break
    kept.append(data[at : at + MOST_UNKNOWN_BYTES])  # damaged: a decoder says in what way, and need not read it all
    return Head(b"".join(kept), frame, False)


def _is_needed(marker: int, body: bytes) -> bool:
    """Whether a decoder's result depends on the segment: tables, frames, scans, colours and direction; no other
    metadata."""
    if marker == 0xE0:
        return body.startswith(b"JFIF\0") and len(body) >= 14
    if marker == 0xE1:
        return body.startswith(b"Exif\0\0")
    if marker == 0xEE:
        return body.startswith(b"Adobe") and len(body) >= 12
    return not (0xE0 <= marker <= 0xFE or marker == START)


class _Progress:
    """How many low bits of each component's coefficients are still to come, as the scans' headers say."""

    def __init__(self) -> None:
        self._bits: dict[int, list[int]] = {}

    def add(self, scan: bytes) -> None:
        """Take in the body of a scan's segment."""
        count = scan[0] if scan else 0
        if not 1 <= count <= 4 or len(scan) < 4 + 2 * count:
            return
        first, last, low = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 15
        for component in scan[1 : 1 + 2 * count : 2]:
            bits = self._bits.setdefault(component, [99] * 64)
            bits[first : min(last, 63) + 1] = [low] * max(0, min(last, 63) + 1 - first)

    def is_missing(self, frame: tuple[int, bytes]) -> bool:
        """Whether some component of the frame lacks a scan, or a progressive one the last bit of a coefficient."""
        kind, body = frame
        if len(body) < 6:
            return True
        components = body[6 : 6 + 3 * body[5] : 3]
        goal = 64 if kind in PROGRESSIVE else 1
        return any(any(self._bits.get(component, [99] * 64)[:goal]) for component in components)
