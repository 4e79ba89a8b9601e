"""Pictures that strangers sent: decoded in a child with limits, and what the drawer keeps of them."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass

import numpy as np
from PIL import Image

from edge_nusa.device.asking.features import OVERSAMPLING, limits
from edge_nusa.device.opened import Opened
from edge_nusa.device.teaching.denied import UnreadablePictureError
from edge_nusa.errors import InputError
from edge_nusa.pictures.apart import CHILD_BYTES, Apart
from edge_nusa.pictures.bounds import Bounds
from edge_nusa.pictures.names import printable
from edge_nusa.pictures.picture_file import MAX_BYTES

THUMBNAIL = 320
"""Pixels of a thumbnail's longer side."""
KEPT_AS_SENT = 1 << 20
"""Bytes up to which a picture is kept as it came, so that the state knows its file again."""
KEPT_SIDE = 768
"""Pixels of the shorter side of what is kept of a larger one."""
QUALITY, THUMBNAIL_QUALITY = 95, 80


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is kept of a picture: the bytes of a file of it, its size in pixels, and a JPEG to show."""

    data: bytes
    width: int
    height: int
    thumbnail: bytes


class Reader:
    """Decodes for one server; the child starts with the first picture, and again after `rest`."""

    def __init__(self, opened: Opened) -> None:
        spec = opened.bundle.manifest.preprocessing
        self._limits = limits(opened.bundle, opened.max_memory_bytes, beside=CHILD_BYTES)
        self._asked_side = OVERSAMPLING * max(spec.height, spec.width)
        self._apart, self._lock = Apart(), threading.Lock()

    def asked(self, data: bytes, name: str) -> np.ndarray:
        """The picture (H, W, 3) uint8 RGB as a question is asked of it: decoded as `predict` decodes a file. Raises
        UnreadablePictureError."""
        return np.asarray(self._decoded(data, name, self._asked_side))

    def kept(self, data: bytes, name: str) -> Kept:
        """What the drawer keeps of it. Raises UnreadablePictureError."""
        image = self._decoded(data, name, KEPT_SIDE)
        if len(data) <= KEPT_AS_SENT:
            return Kept(data=data, width=image.width, height=image.height, thumbnail=thumbnail(image))
        return kept_of(smaller(image, KEPT_SIDE))

    def shown(self, data: bytes, name: str) -> bytes:
        """A JPEG of the whole picture."""
        return jpeg(self._decoded(data, name, KEPT_SIDE), THUMBNAIL_QUALITY)

    def close(self) -> None:
        """End the child, and with it what is being decoded."""
        self._apart.close()

    def _decoded(self, data: bytes, name: str, least_side: int) -> Image.Image:
        if not 1 <= len(data) <= MAX_BYTES:
            raise UnreadablePictureError(name, f"expected 1 to {MAX_BYTES} bytes, found {len(data)}; scale it down")
        bounds = Bounds(self._limits.max_pixels, least_side, self._limits.room)
        try:
            with self._lock:
                return self._apart(io.BytesIO(data), bounds)
        except InputError as error:
            raise UnreadablePictureError(name, printable(str(error))) from error


def kept_of(image: Image.Image) -> Kept:
    """What is kept of a picture that has no file, such as a camera's."""
    return Kept(data=jpeg(image, QUALITY), width=image.width, height=image.height, thumbnail=thumbnail(image))


def thumbnail(image: Image.Image) -> bytes:
    """A JPEG of at most THUMBNAIL pixels a side."""
    small = image.copy() if max(image.size) <= THUMBNAIL else image
    scale = THUMBNAIL / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return jpeg(small, THUMBNAIL_QUALITY)


def smaller(image: Image.Image, side: int) -> Image.Image:
    """The picture with a shorter side of at most so many pixels."""
    scale = side / min(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def jpeg_of_array(image: np.ndarray) -> bytes:
    """A JPEG to show of a picture (H, W, 3) uint8 RGB."""
    return jpeg(Image.fromarray(image), THUMBNAIL_QUALITY)


def jpeg(image: Image.Image, quality: int) -> bytes:
    """A JPEG without any text of where the picture came from."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()
