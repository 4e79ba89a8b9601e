"""A BMP's header, as far as its price depends on it."""

from __future__ import annotations

_COMPRESSION = slice(30, 34)
_RUN_LENGTHS = frozenset({1, 2})


def is_run_length(data: bytes) -> bool:
    """Whether its pixels are runs, which Pillow reads one by one in Python."""
    return int.from_bytes(data[14:18], "little") >= 40 and int.from_bytes(data[_COMPRESSION], "little") in _RUN_LENGTHS
