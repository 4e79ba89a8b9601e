"""Finding pictures in a folder and decoding each one safely: whatever cannot be used is named, never crashed on.

Listing reads names and kinds only; `decode` alone opens a file, and checks it again, since it may change in between.
"""

from __future__ import annotations

import os
import stat
import struct
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from edge_nusa.errors import InputError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
MAX_ASPECT = 50
MAX_SCANS = 64
"""Scans of one JPEG file: an encoder writes about ten, and each costs a pass over all pixels however few bytes it
has."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif"})
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
"""What Pillow may try. MPO comes through JPEG's factory; naming it here would make Image.open raise KeyError."""
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
"""Every class that Pillow's five readers raise on hostile bytes."""
WRONG_NAME = "not a picture by its name: expected .jpg, .png, .webp, .bmp or .gif"


@dataclass(frozen=True)
class Quarantined:
    """A file or folder that was left out. image: its printable path; reason: one line."""

    image: str
    reason: str


def printable(name: str | Path) -> str:
    """The name on one line: undecodable bytes as \\xNN; controls, ANSI escapes and invisible characters escaped."""
    return "".join(character if character.isprintable() else _escaped(character) for character in os.fspath(name))


def find_pictures(root: Path, limit: int = 100_000) -> tuple[list[Path], list[Quarantined]]:
    """All pictures under `root` (a folder, searched to its depths, or one file), in the order of their paths' bytes.

    Names that start with a dot are skipped. Links to folders are not followed; a link to a file must stay under `root`.
    Returns the paths, each starting with `root`, and what was left out. Raises InputError where `root` is missing or
    unreadable, or holds more than `limit` entries (hidden ones and folders counted).
    """
    try:
        mode = os.stat(root).st_mode
        is_readable = os.access(root, os.R_OK)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{printable(root)}: expected a picture or a folder, found {_os_reason(error)}; check the path"
        ) from error
    if not is_readable:
        raise InputError(
            f"{printable(root)}: expected a readable picture or folder, found no permission; change its permissions"
        )
    found = _walk(root, limit) if stat.S_ISDIR(mode) else [(root, _kind_fault(mode) or _name_fault(root))]
    found.sort(key=lambda entry: os.fsencode(entry[0]))
    pictures = [path for path, reason in found if reason is None]
    return pictures, [Quarantined(printable(path), reason) for path, reason in found if reason is not None]


def decode(path: Path, max_pixels: int = MAX_PIXELS, least_side: int | None = None) -> Image.Image:
    """The first frame of a picture as (H, W) RGB of 8 bits, turned upright by its EXIF orientation, fully loaded.

    16-bit grey is scaled by 255 / 65535; transparency is dropped as Pillow's `convert("RGB")` does. Size and shape are
    checked from the header, before any pixel is decoded. Warnings are silenced process-wide while this runs, so two
    threads must not decode at once. least_side: a JPEG may come at 1/2, 1/4 or 1/8 of its size (its own transform gives
    them for less work and memory) as long as both sides keep so many pixels. max_pixels bounds the memory: about 10
    bytes each. Raises InputError, one line, for everything else.
    """
    try:
        with _opened(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _rgb(file, path, max_pixels, least_side)
    except DECODE_FAULTS as error:
        raise InputError(f"{printable(path)}: {_decode_reason(error)}") from error


def _escaped(character: str) -> str:
    """`character` as its Python escape; a byte that os.fsdecode hid in a surrogate as that byte."""
    is_byte = 0xDC80 <= ord(character) <= 0xDCFF
    return f"\\x{ord(character) - 0xDC00:02x}" if is_byte else character.encode("unicode_escape").decode("ascii")


def _walk(root: Path, limit: int) -> list[tuple[Path, str | None]]:
    """Every visible file under the folder `root` with the reason to leave it out, or None. Raises InputError past
    `limit`."""
    real_root = os.path.realpath(root)
    found: list[tuple[Path, str | None]] = []
    folders = [root]
    seen = 0
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    seen += 1
                    if seen > limit:
                        raise InputError(
                            f"{printable(root)}: expected at most {limit} entries, found more; name a smaller folder"
                        )
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    else:
                        found.append((Path(entry.path), _entry_fault(entry, real_root)))
        except OSError as error:
            found.append((folder, f"expected a readable folder, found {_os_reason(error)}"))
    return found


def _entry_fault(entry: os.DirEntry[str], real_root: str) -> str | None:
    """Why an entry that is no folder is left out, or None. Stats only links and special files."""
    try:
        if entry.is_symlink():
            fault = _link_fault(entry.path, real_root)
        else:
            fault = (
                None if entry.is_file(follow_symlinks=False) else _kind_fault(entry.stat(follow_symlinks=False).st_mode)
            )
    except OSError as error:
        fault = f"expected a regular file, found {_os_reason(error)}"
    return fault or _name_fault(Path(entry.path))


def _link_fault(path: str, real_root: str) -> str | None:
    """Why a symbolic link is left out, or None. Raises OSError for a loop or a link to nothing."""
    target = Path(os.path.realpath(path, strict=True))
    if not target.is_relative_to(real_root):
        return "a link that leaves the folder; copy the picture into it"
    mode = os.stat(target).st_mode
    return "a link to a folder, which is not followed" if stat.S_ISDIR(mode) else _kind_fault(mode)


def _kind_fault(mode: int) -> str | None:
    """None for a regular file's mode, else what it is."""
    if stat.S_ISREG(mode):
        return None
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    return f"expected a regular file, found {next((kind for test, kind in kinds if test(mode)), 'a device')}"


def _name_fault(path: Path) -> str | None:
    """None for a name that ends like a picture's."""
    return None if path.suffix.lower() in SUFFIXES else WRONG_NAME


def _opened(path: Path) -> BinaryIO:
    """`path` open for reading, a regular file of 1 to MAX_BYTES bytes. O_NONBLOCK: opening a FIFO must not wait.

    Raises InputError for another kind or size, OSError or ValueError where it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        fault = _kind_fault(status.st_mode)
        if fault is None and not 1 <= status.st_size <= MAX_BYTES:
            fault = f"expected 1 to {MAX_BYTES} bytes, found {status.st_size}; replace or scale down the picture"
        if fault is not None:
            raise InputError(f"{printable(path)}: {fault}")
        return os.fdopen(descriptor, "rb")
    except InputError:
        os.close(descriptor)
        raise


def _rgb(file: BinaryIO, path: Path, max_pixels: int, least_side: int | None) -> Image.Image:
    """The open file's first frame as upright RGB. Raises InputError past a limit, DECODE_FAULTS for damage."""
    from PIL import WebPImagePlugin  # noqa: F401 - registers WEBP; without it Image.open imports all forty plugins

    image: Image.Image = Image.open(file, formats=FORMATS)
    fault = _shape_fault(*image.size, max_pixels) or _scans_fault(image, file)
    if fault is not None:
        raise InputError(f"{printable(path)}: {fault}")
    if least_side is not None:
        image.draft(None, (least_side, least_side))  # type: ignore[arg-type]  # None keeps the mode
    image.load()
    # In place, the pixels are turned before the EXIF block is rewritten. A block that cannot be read names no
    # direction, one that cannot be rewritten is dropped below: neither makes the picture unusable.
    with suppress(*DECODE_FAULTS):
        ImageOps.exif_transpose(image, in_place=True)
    if (
        image.format == "JPEG" and image.mode == "RGB"
    ):  # as it is: `convert` would copy it, a third of the time at 640 x 480
        return image
    return _eight_bit(image).convert("RGB")


def _shape_fault(width: int, height: int, max_pixels: int) -> str | None:
    """Why a picture of this size is refused before decoding, or None."""
    if width < 1 or height < 1 or width * height > max_pixels:
        return f"expected 1 to {max_pixels} pixels, found {width} x {height}; scale down the picture"
    if max(width, height) > MAX_ASPECT * min(width, height):
        return f"expected sides of at most {MAX_ASPECT} to 1, found {width} x {height}; crop the picture"
    return None


def _scans_fault(image: Image.Image, file: BinaryIO) -> str | None:
    """Why a JPEG is refused for its number of scans, or None. Pixel data cannot hold the marker; metadata hardly
    does."""
    if image.format not in ("JPEG", "MPO"):
        return None
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    return (
        f"expected at most {MAX_SCANS} scans in a JPEG, found {scans}; save the picture again"
        if scans > MAX_SCANS
        else None
    )


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey, round(value / 257), where Pillow's own `convert` would clip at 255; else `image`."""
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _os_reason(error: Exception) -> str:
    """The operating system's own word for a failure, on one line."""
    return printable(getattr(error, "strerror", None) or str(error))[:100]


def _decode_reason(error: Exception) -> str:
    """One line that says what is wrong with a file that could not be opened or decoded, and what to do."""
    if isinstance(error, UnidentifiedImageError):
        return (
            "expected the content of a JPEG, PNG, WebP, BMP or GIF, found something else or a damaged header; convert "
            "or replace it"
        )
    if isinstance(error, FileNotFoundError):
        return "expected a picture, found no such file (removed since it was listed?); list the folder again"
    if isinstance(error, OSError) and error.errno is not None:
        return f"expected a readable picture, found {_os_reason(error)}; check the file and its permissions"
    if isinstance(error, Image.DecompressionBombError):
        return f"expected 1 to {MAX_PIXELS} pixels, found far more; scale down the picture"
    if isinstance(error, MemoryError):
        return "expected a picture that fits into memory, found too little memory to decode it; scale it down"
    return (
        f"expected a whole picture, found it cut or damaged ({type(error).__name__}: {_os_reason(error)}); replace it"
    )
