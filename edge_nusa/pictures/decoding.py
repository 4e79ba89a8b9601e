"""From the bytes of an open file to its first picture as upright RGB: what may be tried, for how many pixels, and
how often.

A picture that fails is tried once more without its metadata, so that only what its pixels depend on can refuse it.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from edge_nusa.errors import InputError
from edge_nusa.pictures import bmp, boxes, gif, heic, jpeg_reading, png, pnm, price, tiff
from edge_nusa.pictures.bounds import DECODE_FAULTS, Bounds, check_shape, opened
from edge_nusa.pictures.content import HEAD_BYTES, KINDS, kind_of

_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "I"})
"""Pillow's modes that `convert("RGB")` turns into what a person sees; with the 16-bit ones, I;16 and its kin."""
MOST_EXIF_BYTES = 256 * 1024
"""Of a block that a direction is looked for in: a camera's with its small picture has up to 64 KiB."""
_SAY_CONVERT = "convert it to JPEG or PNG"


def upright(file: BinaryIO, bounds: Bounds) -> Image.Image:
    """The open file's first picture as (H, W) RGB of 8 bits, upright. Raises InputError, without the file's name,
    for what is no picture of a kind that is read or past a limit; DECODE_FAULTS for damage."""
    kind, found = kind_of(file.read(HEAD_BYTES))
    if kind is None:
        raise InputError(f"expected the content of a {KINDS}, found {found}")
    file.seek(0)
    image = _READERS[kind](file, bounds)
    return upright_image(image, f"a {kind} of the kind ")


def upright_image(image: Image.Image, what: str = "an image of the mode ") -> Image.Image:
    """The image as RGB of 8 bits, upright by its EXIF orientation; it may be turned itself. what: it is, for an error
    that names its mode. Raises InputError for a mode that is not read, DECODE_FAULTS for damage."""
    if len(image.info.get("exif") or b"") > MOST_EXIF_BYTES:  # its tags would be read one by one
        del image.info["exif"]
    # In place, the pixels are turned before the EXIF block is rewritten. A block that cannot be read names no
    # direction, one that cannot be rewritten is dropped below: neither makes the picture unusable.
    with suppress(*DECODE_FAULTS):
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "RGB":  # as it is: `convert` would copy it, a third of a JPEG's time at 640 x 480
        return image
    if image.mode not in _MODES and not image.mode.startswith("I;16"):
        raise InputError(
            f"expected a picture of grey or colours, found {what}{image.mode}, which is not read; {_SAY_CONVERT}"
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


Reader = Callable[[BinaryIO, Bounds], Image.Image]
Trim = Callable[[bytes], bytes]
"""A pass over a file's bytes: what a decoder needs of them. Raises InputError for more records than the limit."""


def _plain(kind: str, trim: Trim, mend: Trim | None = None) -> Reader:
    """A reader by Pillow of what `trim` leaves; where that fails and `mend` is given, once more from what `mend`
    makes of it."""

    def read(file: BinaryIO, bounds: Bounds) -> Image.Image:
        if kind not in Image.OPEN:  # else Image.open imports all forty plugins
            importlib.import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
        if kind in ("AVIF", "WEBP") and not features.check(kind.lower()):
            raise InputError(
                f"expected a Pillow that reads {kind}, found one that was built without; install Pillow's own wheel, "
                f"or {_SAY_CONVERT}"
            )
        data = trim(file.read())
        try:
            return _loaded(data, kind, bounds)
        except MemoryError:
            raise
        except DECODE_FAULTS:
            if mend is None:
                raise
            return _loaded(mend(data), kind, bounds)

    return read


def _loaded(data: bytes, kind: str, bounds: Bounds) -> Image.Image:
    image = opened(io.BytesIO(data), kind, bounds.max_pixels)
    priced, work = _NAMES.get(kind, kind), 1.0
    if kind == "PNG":
        work = png.work_a_pixel(data)
    elif kind == "BMP" and bmp.is_run_length(data):
        priced = "run-length BMP"
    if kind != "TIFF":  # which is priced by its tags
        price.check(priced, image.width * image.height, len(data), bounds.room, work)
    image.load()
    return image


def _counted(check: Callable[[bytes], None]) -> Trim:
    """A pass that leaves all bytes."""

    def trim(data: bytes) -> bytes:
        check(data)
        return data

    return trim


def _without_exif(data: bytes) -> bytes:
    """An AVIF whose EXIF items have a type that no reader knows; a reader refuses the file for a damaged block
    otherwise."""
    return data.replace(b"Exif", b"skip")


def _tiff(file: BinaryIO, bounds: Bounds) -> Image.Image:
    page = tiff.first_page(file.read(), bounds.max_pixels, bounds.room)
    try:
        return _plain("TIFF", bytes)(io.BytesIO(page), bounds)
    except UnidentifiedImageError as error:  # its tags are sound by now
        raise InputError(
            f"expected a TIFF of a common kind, found one whose colours or bits are not read; {_SAY_CONVERT}"
        ) from error


def _heic(file: BinaryIO, bounds: Bounds) -> Image.Image:
    data = file.read()
    boxes.check_boxes(data, "boxes in a HEIC")
    pixels = heic.worked_pixels(data)
    heic.load_decoder()
    image = opened(io.BytesIO(data), "HEIF", bounds.max_pixels)
    price.check("HEIC", max(pixels, image.width * image.height), len(data), bounds.room)
    image.load()
    check_shape(*image.size, bounds.max_pixels)
    return image


def _pnm(file: BinaryIO, bounds: Bounds) -> Image.Image:
    data = file.read()
    head = pnm.header(data)
    check_shape(head.width, head.height, bounds.max_pixels)
    kind = "plain PNM" if head.kind <= 3 else "PNM"
    price.check(kind, head.width * head.height, len(data), bounds.room)
    return pnm.picture(data, head)


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey, round(value / 257), where Pillow's own `convert` would clip at 255; else `image`."""
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    grey = np.empty((image.height, image.width), np.uint8)
    for top in range(0, image.height, _ROWS):  # a few rows at a time: in whole it takes as much again as decoding
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        values = np.clip(np.asarray(rows), 0, 65535).astype(np.uint32)
        grey[top : top + _ROWS] = (values + 128) // 257
    return Image.fromarray(grey)


_ROWS = 256
_NAMES = {"WEBP": "WebP"}
_PLUGINS = {"PNG": "Png", "GIF": "Gif", "BMP": "Bmp", "WEBP": "WebP", "AVIF": "Avif", "TIFF": "Tiff"}
_READERS: dict[str, Reader] = {
    "JPEG": jpeg_reading.read,
    "PNG": _plain("PNG", png.without_metadata),
    "AVIF": _plain("AVIF", _counted(boxes.check_boxes), _without_exif),
    "HEIC": _heic,
    "WEBP": _plain("WEBP", _counted(boxes.check_webp)),
    "GIF": _plain("GIF", gif.first_picture),
    "BMP": _plain("BMP", bytes),
    "TIFF": _tiff,
    "PNM": _pnm,
}
"""What Pillow may try, by content. MPO comes through JPEG's factory; naming it would make Image.open raise KeyError."""
