"""From the bytes of an open file to its first picture as upright RGB: what may be tried, for how many pixels, and
how often.

A picture that fails is tried once more without its metadata, so that only what its pixels depend on can refuse it.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from edge_nusa.errors import InputError
from edge_nusa.pictures import jpeg, png, pnm, tiff
from edge_nusa.pictures.content import HEAD_BYTES, KINDS, kind_of

MAX_ASPECT = 50
MAX_JPEG_PIXELS = 200_000_000
"""Of a JPEG that is decoded at a fraction, row by row: the largest cameras give 199.8 million."""
DECODE_FAULTS = (
    OSError,  # with UnidentifiedImageError, and every failure of the file system
    SyntaxError,  # Pillow's word for a broken header
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    EOFError,
    ArithmeticError,
    AssertionError,  # Pillow's own checks of a broken file
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Every class that Pillow's readers raise on hostile bytes."""
_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "I"})
"""Pillow's modes that `convert("RGB")` turns into what a person sees; with the 16-bit ones, I;16 and its kin."""
_SAY_CONVERT = "convert it to JPEG or PNG"


class Bounds(NamedTuple):
    """max_pixels of what is decoded; least_side: a JPEG may be decoded at a fraction that keeps so many pixels a
    side."""

    max_pixels: int
    least_side: int | None


def upright(file: BinaryIO, bounds: Bounds) -> Image.Image:
    """The open file's first picture as (H, W) RGB of 8 bits, upright. Raises InputError, without the file's name,
    for what is no picture of a kind that is read or past a limit; DECODE_FAULTS for damage."""
    kind, found = kind_of(file.read(HEAD_BYTES))
    if kind is None:
        raise InputError(f"expected the content of a {KINDS}, found {found}")
    file.seek(0)
    image = _READERS[kind](file, bounds)
    # In place, the pixels are turned before the EXIF block is rewritten. A block that cannot be read names no
    # direction, one that cannot be rewritten is dropped below: neither makes the picture unusable.
    with suppress(*DECODE_FAULTS):
        ImageOps.exif_transpose(image, in_place=True)
    if kind == "JPEG" and image.mode == "RGB":  # as it is: `convert` would copy it, a third of the time at 640 x 480
        return image
    if image.mode not in _MODES and not image.mode.startswith("I;16"):
        raise InputError(
            f"expected a picture of grey or colours, found a {kind} of the kind {image.mode}, which is not read; "
            f"{_SAY_CONVERT}"
        )
    return _eight_bit(image).convert("RGB")


def decode_reason(error: Exception) -> str | None:
    """What is wrong with a file whose decoding raised one of DECODE_FAULTS, and what to do; None where the system
    refused."""
    if isinstance(error, UnidentifiedImageError):
        return "expected a whole picture, found its header cut or damaged; replace it"
    if isinstance(error, OSError) and error.errno is not None:
        return None
    if isinstance(error, Image.DecompressionBombError):
        return "expected fewer pixels, found far too many; scale down the picture"
    if isinstance(error, MemoryError):
        return "expected a picture that fits into memory, found too little memory to decode it; scale it down"
    if str(error).startswith("Unsupported"):
        return f"expected a picture of a common kind, found one that is not read ({error}); {_SAY_CONVERT}"
    return f"expected a whole picture, found it cut or damaged ({type(error).__name__}: {str(error)[:100]}); replace it"


def _opened(file: BinaryIO, kind: str, max_pixels: int) -> Image.Image:
    """The file's header, read by Pillow's reader of this kind alone. Raises InputError past the limits of size and
    shape."""
    with _own_pixel_limit():
        image: Image.Image = Image.open(file, formats=(kind,))
    check_shape(*image.size, max_pixels)
    return image


def check_shape(width: int, height: int, max_pixels: int) -> None:
    """Raises InputError for a picture of a size that is not decoded."""
    if width < 1 or height < 1 or width * height > max_pixels:
        raise InputError(f"expected 1 to {max_pixels} pixels, found {width} x {height}; scale down the picture")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"expected sides of at most {MAX_ASPECT} to 1, found {width} x {height}; crop the picture")


def _plain(kind: str, mend: Callable[[bytes], bytes] | None = None) -> Callable[[BinaryIO, Bounds], Image.Image]:
    """A reader by Pillow; where that fails and `mend` is given, once more from what `mend` makes of the bytes."""

    def read(file: BinaryIO, bounds: Bounds) -> Image.Image:
        if kind not in Image.OPEN:  # else Image.open imports all forty plugins
            importlib.import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
        if kind in ("AVIF", "WEBP") and not features.check(kind.lower()):
            raise InputError(
                f"expected a Pillow that reads {kind}, found one that was built without; install Pillow's own wheel, "
                f"or {_SAY_CONVERT}"
            )
        try:
            image = _opened(file, kind, bounds.max_pixels)
            image.load()
        except MemoryError:
            raise
        except DECODE_FAULTS:
            if mend is None:
                raise
            file.seek(0)
            image = _opened(io.BytesIO(mend(file.read())), kind, bounds.max_pixels)
            image.load()
        return image

    return read


def _without_exif(data: bytes) -> bytes:
    """An AVIF whose EXIF items have a type that no reader knows; a reader refuses the file for a damaged block
    otherwise."""
    return data.replace(b"Exif", b"skip")


def _tiff(file: BinaryIO, bounds: Bounds) -> Image.Image:
    page = io.BytesIO(tiff.first_page(file.read(), bounds.max_pixels))
    try:
        return _plain("TIFF")(page, bounds)
    except UnidentifiedImageError as error:  # its tags are sound by now
        raise InputError(
            f"expected a TIFF of a common kind, found one whose colours or bits are not read; {_SAY_CONVERT}"
        ) from error


def _pnm(file: BinaryIO, bounds: Bounds) -> Image.Image:
    data = file.read()
    head = pnm.header(data)
    check_shape(head.width, head.height, bounds.max_pixels)
    return pnm.picture(data, head)


def _jpeg(file: BinaryIO, bounds: Bounds) -> Image.Image:
    """A JPEG or MPO; one that lacks its end marker where every pixel is there."""
    data = file.read()
    if data.count(b"\xff\xda") > jpeg.MAX_SCANS:  # the count over all bytes is quick and never too low
        jpeg.walk(data)
    if jpeg.LONG_FILL in data:
        return _mended_jpeg(data, bounds)
    try:
        image = _jpeg_picture(data, bounds)
    except MemoryError:
        raise
    except DECODE_FAULTS:
        return _mended_jpeg(data, bounds)
    return image if data.endswith(b"\xff\xd9") or jpeg.walk(data).ends else _mended_jpeg(data, bounds)


def _jpeg_picture(data: bytes, bounds: Bounds) -> Image.Image:
    """The decoded JPEG, at a fraction where `bounds` allow that."""
    most = bounds.max_pixels if bounds.least_side is None else max(bounds.max_pixels, MAX_JPEG_PIXELS)
    image = _opened(io.BytesIO(data), "JPEG", most)
    if image.width * image.height > bounds.max_pixels and jpeg.walk(data).keeps_coefficients:
        rule = (
            f"expected at most {bounds.max_pixels} pixels in a JPEG of several scans, found {image.width} x "
            f"{image.height}"
        )
        raise InputError(f"{rule}; scale it down, or save it as a baseline JPEG")
    if bounds.least_side is not None:
        image.draft(None, (bounds.least_side, bounds.least_side))  # type: ignore[arg-type]  # None keeps the mode
        check_shape(*image.size, bounds.max_pixels)
    image.load()
    return image


def _mended_jpeg(data: bytes, bounds: Bounds) -> Image.Image:
    """The picture of a JPEG that was refused as it is. Raises InputError or DECODE_FAULTS where its pixels are not
    all there."""
    found = jpeg.walk(data)
    unread = found.unread()
    if unread is not None:
        raise InputError(
            f"expected a JPEG of a common kind, found {unread}, which is not read; save it as a baseline JPEG"
        )
    if not found.ends and found.missing:
        raise InputError("expected a whole picture, found it cut or damaged (scans are missing at its end); replace it")
    image, seen = None, set()
    for ending in found.endings():
        image = None  # one at a time
        image = _jpeg_picture(ending, bounds)
        seen.add(hashlib.sha256(image.tobytes()).digest())
    if image is None or len(seen) > 1:
        raise InputError(
            "expected a whole picture, found it cut or damaged (pixels are missing at its end); replace it"
        )
    return image


@contextmanager
def _own_pixel_limit() -> Iterator[None]:
    """Pillow's own limit is under what a large camera gives and does not say the size; ours is checked right after
    it."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey, round(value / 257), where Pillow's own `convert` would clip at 255; else `image`."""
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


_PLUGINS = {"PNG": "Png", "GIF": "Gif", "BMP": "Bmp", "WEBP": "WebP", "AVIF": "Avif", "TIFF": "Tiff"}
_READERS: dict[str, Callable[[BinaryIO, Bounds], Image.Image]] = {
    "JPEG": _jpeg,
    "PNG": _plain("PNG", png.without_metadata),
    "AVIF": _plain("AVIF", _without_exif),
    "TIFF": _tiff,
    "PNM": _pnm,
    **{kind: _plain(kind) for kind in ("GIF", "BMP", "WEBP")},
}
"""What Pillow may try, by content. MPO comes through JPEG's factory; naming it would make Image.open raise KeyError."""
