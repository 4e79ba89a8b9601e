"""A camera for the browser's tests: a y4m file of real photographs that move, as Chromium's fake device reads it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT, FRAMES = 320, 240, 40
PHOTOGRAPHS = {
    "brick wall": "brick.png",
    "gravel": "gravel.png",
    "lawn grass": "grass.png",
    "coffee cup": "coffee.png",
    "cat": "chelsea.png",
    "rocket": "rocket.jpg",
}


def photograph(name: str) -> Image.Image:
    """A photograph that scikit-image carries, in RGB."""
    skimage = pytest.importorskip("skimage.data", reason="needs the photographs that scikit-image carries")
    return Image.open(Path(skimage.__file__).parent / PHOTOGRAPHS[name]).convert("RGB")


def view(image: Image.Image, turn: float) -> Image.Image:
    """What a hand-held camera sees of a photograph at `turn` of 0 to 1 of its way around, nearer and further."""
    scale = 0.72 + 0.16 * np.cos(4 * np.pi * turn)
    width = min(image.width, image.height * WIDTH / HEIGHT) * scale
    height = width * HEIGHT / WIDTH
    left = (image.width - width) * (0.5 + 0.45 * np.sin(2 * np.pi * turn))
    top = (image.height - height) * (0.5 + 0.45 * np.cos(2 * np.pi * turn))
    box = (left, top, left + width, top + height)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box)


def seen(name: str, count: int) -> list[bytes]:
    """So many different views of a photograph as JPEG files."""
    image, found = photograph(name), []
    for index in range(count):
        file = io.BytesIO()
        view(image, index / count).save(file, "JPEG")
        found.append(file.getvalue())
    return found


def write_y4m(file: Path, views: list[Image.Image]) -> None:
    """Pictures of WIDTH x HEIGHT at ten a second, whole or not at all, as a browser may be reading the old file."""
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        stream.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode())
        for image in views:
            planes = image.convert("YCbCr").split()
            stream.write(b"FRAME\n" + planes[0].tobytes())
            for plane in planes[1:]:
                stream.write(plane.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BOX).tobytes())
    os.replace(part, file)


class FakeCamera:
    """The one device of a browser; what it shows counts from the next time that a page turns it on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.shows("brick wall")

    def shows(self, name: str) -> None:
        """One of PHOTOGRAPHS, from all sides."""
        image = photograph(name)
        write_y4m(self.file, [view(image, frame / FRAMES) for frame in range(FRAMES)])

    def stands_still(self, name: str) -> None:
        """One view of it, again and again."""
        write_y4m(self.file, [view(photograph(name), 0.0)] * FRAMES)
