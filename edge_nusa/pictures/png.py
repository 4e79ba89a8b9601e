"""A PNG without the chunks that no pixel depends on: a profile or a text of any size or state must not refuse a
picture, nor cost anything."""

from __future__ import annotations

import zlib

from edge_nusa.pictures.price import MOST_RECORDS, too_many

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_DIRECTIONS = (
    (b"eXIf", b""),
    (b"iTXt", b"XML:com.adobe.xmp\0"),
    (b"tEXt", b"Raw profile type exif\0"),
    (b"zTXt", b"Raw profile type exif\0"),
)
"""Where a direction may be said: the chunk's kind, and how it begins. The first of each is kept."""
_MOST_DIRECTION_BYTES = 256 * 1024
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of each colour type."""


def without_metadata(data: bytes) -> bytes:
    """The signature and the chunks that give the first picture and its direction; from where the chunks end too
    early, all.

    One pass with no copy but the result; checksums of kept chunks are kept and left to the decoder. Raises InputError,
    without the file's name, for more than MOST_RECORDS chunks.
    """
    kept, at, directions = [SIGNATURE], len(SIGNATURE), list(_DIRECTIONS)
    for _ in range(MOST_RECORDS):
        if at >= len(data):
            break
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            kept.append(data[at:])
            break
        direction = next((one for one in directions if one[0] == kind and data.startswith(one[1], at + 8)), None)
        if kind in _NEEDED or (direction is not None and _is_sound(data, at, length)):
            kept.append(data[at:end])
        if direction is not None:
            directions.remove(direction)
        at = end
        if kind == b"IEND":
            break
    else:
        raise too_many("chunks in a PNG", MOST_RECORDS)
    return b"".join(kept)


def work_a_pixel(data: bytes) -> float:
    """How much work a pixel is: once for itself, and once for each byte that it has in the file's rows."""
    return 1 + data[24] * _CHANNELS.get(data[25], 4) / 8


def _is_sound(data: bytes, at: int, length: int) -> bool:
    """Whether the small chunk at `at` has the checksum that it says."""
    body = data[at + 4 : at + 8 + length]
    return length <= _MOST_DIRECTION_BYTES and zlib.crc32(body) == int.from_bytes(
        data[at + 8 + length : at + 12 + length], "big"
    )
