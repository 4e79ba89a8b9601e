"""A picture in the forms that a program has it in: a file, the bytes of one, an image of Pillow, an array."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.files.foreign import shown
from edge_nusa.files.node import FileBytes, Node
from edge_nusa.pictures.bounds import DECODE_FAULTS, MAX_PIXELS, check_shape
from edge_nusa.pictures.decoding import decode_reason, upright_image
from edge_nusa.pictures.names import os_reason, printable
from edge_nusa.pictures.picture_file import picture_sha256

Content = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""A path; the bytes of an encoded picture, such as a JPEG; an image of Pillow, turned by its EXIF orientation; an array
(H, W, 3) uint8 of RGB."""
FORMS = "a path, the bytes of a picture file, an image of Pillow, or an array (H, W, 3) uint8 of RGB"


@dataclass(frozen=True)
class Picture:
    """A picture, and what answers and reports call it: a file by its path, another by its name, or `picture N` by its
    place where it has none."""

    content: Content = field(repr=False)
    name: str | None = None


@dataclass(frozen=True)
class Decoded:
    """A picture that is in memory as pixels. path: its name; given: as it was handed over, of any size and mode."""

    path: Path
    given: Image.Image = field(repr=False)

    def image(self, max_pixels: int) -> Image.Image:
        """(H, W) RGB of 8 bits, upright. Raises InputError, without its name, for a size or a mode that is not read,
        or where Pillow, which opened it, fails to read on."""
        check_shape(self.given.width, self.given.height, max_pixels)
        try:
            self.given.load()  # a file that Pillow opened is read here, so that its damage is told here
            # whoever gave it keeps it as it is
            return upright_image(self.given.copy() if self.given.info else self.given)
        except DECODE_FAULTS as error:
            raise InputError(printable(decode_reason(error) or os_reason(error))) from error

    @cached_property
    def sha256(self) -> str:
        """SHA-256 in lower-case hex of the size and the pixels: what tells the picture from others, as a file's bytes
        would. Raises InputError as `image`."""
        image = self.image(MAX_PIXELS)
        return hashlib.sha256(f"pixels {image.width} x {image.height}:".encode() + image.tobytes()).hexdigest()


Pictures = Picture | Content | Sequence[Picture | Content]
"""One picture, or several."""
Source = Path | FileBytes | Decoded
"""A picture by the name of its file, or read already, or decoded."""
NO_FILE = Node(0, 0, 0, 0, 0)
"""What the bytes of no file came from."""


def name_of(source: Source) -> Path:
    """What answers and reports call it."""
    return source if isinstance(source, Path) else source.path


def sha256_of(source: Source) -> str:
    """SHA-256 in lower-case hex of the file's bytes, or of the pixels. Raises InputError where there are none."""
    if isinstance(source, Path):
        return picture_sha256(source)
    return source.sha256


def sources(pictures: Iterable[Picture | Content], first: int = 1) -> list[Source]:
    """Each picture as it goes to the trunk; a path is not opened yet. first: the number that the first one has in a
    name that it is given.

    Raises InputError for what is no picture in any form, such as an array of another shape.
    """
    if not isinstance(pictures, Iterable) or isinstance(pictures, Mapping):
        found = shown(type(pictures).__name__)
        raise InputError(f"expected a picture or a list of pictures, each {FORMS}; found {found}")
    return [
        _source(one if isinstance(one, Picture) else Picture(one), place) for place, one in enumerate(pictures, first)
    ]


def is_one(pictures: object) -> bool:
    """Whether it is one picture rather than several of them."""
    return isinstance(pictures, (Picture, str, os.PathLike, bytes, Image.Image, np.ndarray))


def _source(picture: Picture, place: int) -> Source:
    content, name = picture.content, Path(picture.name or f"picture {place}")
    if isinstance(content, Path):
        return content  # as it is: one that was found in a folder is opened from there (`Below`)
    if isinstance(content, (str, os.PathLike)):
        return Path(content)
    if isinstance(content, bytes):
        return FileBytes(name, content, NO_FILE)
    if isinstance(content, Image.Image):
        return Decoded(name, content)
    if isinstance(content, np.ndarray):
        return Decoded(name, Image.fromarray(_checked(content, name)))
    raise InputError(f"{shown(str(name))}: expected {FORMS}; found {shown(type(content).__name__)}")


def _checked(array: np.ndarray, name: Path) -> np.ndarray:
    """The array, C-contiguous. Raises InputError where it is no picture."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        found = f"one of {array.dtype} {'x'.join(map(str, array.shape))}"
        raise InputError(
            f"{shown(str(name))}: expected an array (H, W, 3) of uint8 in the order red, green, blue, found {found}; "
            "convert it (OpenCV's frames are blue, green, red: frame[:, :, ::-1])"
        )
    return np.ascontiguousarray(array)
