"""Finding pictures in a folder and decoding each one safely: whatever cannot be used is named, never crashed on.

Listing reads names and kinds only; a file is opened by `picture_file`, and checked again, since it may change in
between.
"""

from __future__ import annotations

import heapq
import io
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.files import opening
from edge_nusa.files.node import FileBytes
from edge_nusa.files.opening import Below
from edge_nusa.pictures.bounds import DECODE_FAULTS, Bounds
from edge_nusa.pictures.bounds import MAX_PIXELS as MAX_PIXELS
from edge_nusa.pictures.decoding import decode_reason, upright
from edge_nusa.pictures.names import BIN, is_bin, name_fault
from edge_nusa.pictures.names import os_reason as _os_reason
from edge_nusa.pictures.names import printable as printable
from edge_nusa.pictures.picture_file import LEAVES, read_file

MOST_ROOM = 512 << 20
"""Of memory, for decoding one picture."""
Read = Callable[[BinaryIO, Bounds], Image.Image]
"""From an open file to its picture: `decoding.upright`, or an `apart.Apart` that has a child do it."""
_ONE_AT_A_TIME = threading.Lock()
MOST_ENTRIES = 100_000
"""Entries of one folder that is taught or asked; a watched one may have more (`newest_pictures`)."""
MOST_LOOKED_AT = 1_000_000
"""Entries of a watched folder that one look reads."""


@dataclass(frozen=True)
class Quarantined:
    """A file or folder that was left out. image: its printable path; reason: one line."""

    image: str
    reason: str


def find_pictures(root: Path, limit: int = MOST_ENTRIES) -> tuple[list[Path], list[Quarantined]]:
    """All pictures under `root` (a folder, searched to its depths, or one file), in the order of their paths' bytes.

    Names that start with a dot are skipped, bins and folders of thumbnails are left out. Links to folders are not
    followed; a link to a file must stay under `root`. One file is taken whatever its name. A `root` that was found in a
    folder itself is reached from there, as `Below`. Returns the paths, each
    starting with `root`, and what was left out. Raises InputError where `root` is missing or unreadable, or holds more
    than `limit` entries (hidden ones and folders counted).
    """
    mode = _mode(root)
    if not stat.S_ISDIR(mode):
        fault = _kind_fault(mode)
        return ([root], []) if fault is None else ([], [Quarantined(printable(root), fault)])
    found: list[tuple[Path, str | None]] = []
    for seen, entry in enumerate(_walk(root), 1):
        if seen > limit:
            raise InputError(f"{printable(root)}: expected at most {limit} entries, found more; name a smaller folder")
        found += [] if entry is None else [entry]
    return _sorted(found, root)


def newest_pictures(
    root: Path, most: int = MOST_ENTRIES, most_looked_at: int = MOST_LOOKED_AT
) -> tuple[list[Path], list[Quarantined], bool]:
    """What `find_pictures` gives of the folder `root`, of the `most` files that came or changed last, pictures before
    all others; and whether that is all.

    Memory is bounded by `most`, time by `most_looked_at` entries. Raises InputError where `root` is missing or
    unreadable.
    """
    if not stat.S_ISDIR(_mode(root)):
        return *find_pictures(root), True
    entries = _walk(root)
    shown = (entry for entry in islice(entries, most_looked_at) if entry is not None)
    found = list(islice(shown, most + 1))
    is_all = len(found) <= most
    if not is_all:
        found = heapq.nlargest(most, chain(found, shown), key=lambda entry: (entry[1] is None, _changed_ns(entry[0])))
    return *_sorted(found, root), is_all and next(entries, root) is root


def decode(
    picture: Path | FileBytes,
    max_pixels: int = MAX_PIXELS,
    least_side: int | None = None,
    room: int = MOST_ROOM,
    read: Read = upright,
) -> Image.Image:
    """The first frame of a picture as (H, W) RGB of 8 bits, turned upright by its EXIF orientation, fully loaded.

    What it is, its content says and not its name. 16-bit grey is scaled by 255 / 65535; transparency is dropped as
    Pillow's `convert("RGB")` does. Size and shape are checked from the header, before any pixel is decoded. Warnings
    are silenced process-wide while this runs, so that one thread waits for another. least_side: a JPEG may come at
    1/2, 1/4 or 1/8 of its size (its own transform gives them for less work and memory) as long as both sides keep so
    many pixels. room: the bytes of memory that it may take; read: who decodes, here or apart. Raises InputError, one
    line, for everything else, and for what would take more than about a second of a fast core (`price`).
    """
    file = picture if isinstance(picture, FileBytes) else read_file(picture)
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(io.BytesIO(file.data), Bounds(max_pixels, least_side, room))
    except InputError as error:
        raise InputError(f"{printable(file.path)}: {error}") from error
    except DECODE_FAULTS as error:
        raise InputError(f"{printable(file.path)}: {printable(decode_reason(error) or _os_reason(error))}") from error


def _mode(root: Path) -> int:
    """The mode of a file or folder that is there and may be read, else InputError."""
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
    return mode


def _sorted(found: list[tuple[Path, str | None]], root: Path) -> tuple[list[Path], list[Quarantined]]:
    """Pictures below the folder `root`, and what was left out, each in the order of their paths' bytes."""
    found.sort(key=lambda entry: os.fsencode(entry[0]))
    pictures: list[Path] = [Below.of(path, _first(root)) for path, reason in found if reason is None]
    return pictures, [Quarantined(printable(path), reason) for path, reason in found if reason is not None]


def _first(root: Path) -> Path:
    """The folder that a person named: `root`, or the one that it was found in itself."""
    return root.folder if isinstance(root, Below) and root.folder is not None else root


def _changed_ns(path: Path) -> int:
    """When the file came into the folder or changed last, by the system's clock, which no program can set back for
    one file."""
    try:
        return os.lstat(path).st_ctime_ns
    except OSError:
        return 0


def _walk(root: Path) -> Iterator[tuple[Path, str | None] | None]:
    """For every entry under the folder `root`: a file with the reason to leave it out or None, and None for all
    others."""
    real_root = os.path.realpath(root)
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with opening.listing(folder) as entries:
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    if is_bin(entry.name):
                        yield Path(path), BIN
                    elif entry.name.startswith("."):
                        yield None
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(Below.of(Path(path), _first(root)))
                        yield None
                    else:
                        yield Path(path), _entry_fault(entry, path, real_root)
        except OSError as error:
            yield folder, f"expected a readable folder, found {_os_reason(error)}"


def _entry_fault(entry: os.DirEntry[str], path: str, real_root: str) -> str | None:
    """Why an entry that is no folder is left out, or None. Stats only links and special files."""
    try:
        if entry.is_symlink():
            fault = _link_fault(path, real_root)
        else:
            fault = (
                None if entry.is_file(follow_symlinks=False) else _kind_fault(entry.stat(follow_symlinks=False).st_mode)
            )
    except OSError as error:
        fault = f"expected a regular file, found {_os_reason(error)}"
    return fault or name_fault(Path(path))


def _link_fault(path: str, real_root: str) -> str | None:
    """Why a symbolic link is left out, or None. Raises OSError for a loop or a link to nothing."""
    target = Path(os.path.realpath(path, strict=True))
    if not target.is_relative_to(real_root):
        return LEAVES
    mode = os.stat(target).st_mode
    return "a link to a folder, which is not followed" if stat.S_ISDIR(mode) else _kind_fault(mode)


def _kind_fault(mode: int) -> str | None:
    """None for a regular file's mode, else what it is."""
    found = opening.kind_of(mode)
    return None if found is None else f"expected a regular file, found {found}"
