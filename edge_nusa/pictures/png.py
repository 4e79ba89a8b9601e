"""A PNG without the chunks that no pixel depends on: a profile or a text of any size or state must not refuse a
picture."""

from __future__ import annotations

import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_DIRECTION = b"eXIf"
_MOST_DIRECTION_BYTES = 1 << 20


def without_metadata(data: bytes) -> bytes:
    """The signature and the chunks that give the first picture and its direction; from where the chunks end too
    early, all.

    One pass with no copy but the result; checksums of kept chunks are kept and left to the decoder.
    """
    kept, at = [SIGNATURE], len(SIGNATURE)
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            kept.append(data[at:])
            break
        if kind in _NEEDED or (kind == _DIRECTION and _is_sound(data, at, length)):
            kept.append(data[at:end])
        at = end
        if kind == b"IEND":
            break
    return b"".join(kept)


def _is_sound(data: bytes, at: int, length: int) -> bool:
    """Whether the small chunk at `at` has the checksum that it says."""
    body = data[at + 4 : at + 8 + length]
    return length <= _MOST_DIRECTION_BYTES and zlib.crc32(body) == int.from_bytes(
        data[at + 8 + length : at + 12 + length], "big"
    )
