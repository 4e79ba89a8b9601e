"""Small pictures in every format, and the pieces of files that tests put together by hand."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SOFT = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)).resize(
    (160, 120), Image.Resampling.BICUBIC
)
"""Soft colours of 160 x 120 pixels."""
Written = Callable[..., Path]
"""What the fixtures `written` give: (bytes, name) -> the path of a new file."""


def saved(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    """The picture as a file of this format."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def write(folder: Path, data: bytes, name: str = "a.jpg") -> Path:
    """A file of these bytes in the folder."""
    (folder / name).write_bytes(data)
    return folder / name


def same(image: Image.Image, other: Image.Image, most: int = 0) -> bool:
    """Whether two pictures have the same size, and colours that differ by at most `most`."""
    values = np.asarray(image).astype(int)
    return image.size == other.size and int(np.abs(values - np.asarray(other.convert("RGB"))).max()) <= most


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG's segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG's chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


KINDS_OF_JPEG = {
    "baseline": saved(SOFT),
    "progressive": saved(SOFT, progressive=True),
    "grey": saved(SOFT.convert("L")),
    "CMYK": saved(SOFT.convert("CMYK")),
    "restarts": saved(SOFT, restart_marker_blocks=3),
}
