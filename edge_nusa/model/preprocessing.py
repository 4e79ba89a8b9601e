"""From a picture to the array that the image tower reads: open_clip's inference transform without torch.

The arithmetic is that of open_clip's and torchvision's classes (Resize, ResizeKeepRatio, CenterCrop, CenterCropOrPad,
ToTensor, Normalize) on a Pillow image; the resizing itself is Pillow's, so that the cropped grey levels are equal bit
for bit. H and W are the sides of the crop.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nusa.files.json_record import Record

MAX_SIZE = 1024
"""With pictures of at most 50 to 1, what a resize makes stays below 53 million pixels."""
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
LEAST_STD = 1e-3
RESIZE_MODES = ("shortest", "longest", "squash")


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What a model expects of its pictures.

    height, width: H and W, pixels of the sides; mean, std: of the channels R, G, B on the scale [0, 1]; interpolation:
    "bicubic" or "bilinear"; resize_mode: "shortest" (the picture covers H x W, then the centre is cut out), "longest"
    (it fits into H x W, and the rest has the grey level `fill`, 0 to 255) or "squash" (it becomes H x W).
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    resize_mode: str
    fill: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; mean and std as lists, both sides as `size` [H, W]."""
        rest = {name: value for name, value in asdict(self).items() if name not in ("height", "width")}
        return rest | {"size": [self.height, self.width], "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_record(cls, record: Record) -> Preprocessing:
        """Checked reading of a manifest's entry. Raises the record's error naming the field."""
        record.only(["size", *(one.name for one in fields(cls) if one.name not in ("height", "width"))])
        height, width = record.whole_numbers("size", 2, 1, MAX_SIZE)
        red, green, blue = record.numbers("mean", 3, 0.0, 1.0)
        of_red, of_green, of_blue = record.numbers("std", 3, LEAST_STD, 1.0)
        return cls(
            height=height,
            width=width,
            mean=(red, green, blue),
            std=(of_red, of_green, of_blue),
            interpolation=record.choice("interpolation", tuple(FILTERS)),
            resize_mode=record.choice("resize_mode", RESIZE_MODES),
            fill=record.integer("fill", 0, 255),
        )


def pixels(image: Image.Image, spec: Preprocessing) -> NDArray[np.float32]:
    """(grey / 255 - mean) / std of the crop: (3, H, W) float32, channel first, C-contiguous."""
    grey, table = crop_grey(image, spec), _normalised(spec)
    normalised = np.empty((3, spec.height, spec.width), np.float32)
    for channel in range(3):
        np.take(table[channel], grey[:, :, channel], out=normalised[channel], mode="clip")
    return normalised


@lru_cache(maxsize=4)
def _normalised(spec: Preprocessing) -> NDArray[np.float32]:
    """(3, 256): of each grey level in each channel. To look it up takes a fifth of the time of computing it for
    every pixel."""
    scaled = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    return np.ascontiguousarray(((scaled - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)).T)


def crop_grey(image: Image.Image, spec: Preprocessing) -> NDArray[np.uint8]:
    """The resized picture, cropped or filled up, before normalisation: (H, W, 3) uint8, RGB, 0 to 255.

    `image` is what `pictures.decode` returns: RGB, sides of at most 50 to 1. As in open_clip, another mode becomes RGB
    after the crop.
    """
    resized = image.resize(resized_size(image.width, image.height, spec), FILTERS[spec.interpolation])
    (left, in_width), (top, in_height) = (
        crop_span(resized.width, spec.width),
        crop_span(resized.height, spec.height),
    )
    cut = np.array(resized.crop((left, top, left + in_width, top + in_height)).convert("RGB"))
    if cut.shape[:2] == (spec.height, spec.width):
        return cut
    filled = np.full((spec.height, spec.width, 3), spec.fill, np.uint8)
    row, column = (spec.height - in_height) // 2, (spec.width - in_width) // 2
    filled[row : row + in_height, column : column + in_width] = cut
    return filled


def resized_size(width: int, height: int, spec: Preprocessing) -> tuple[int, int]:
    """(width, height) after the resize. Shortest: the side that is in excess is cut to a whole number where H is W,
    as torchvision does, and else rounded, as open_clip does; longest: rounded, and at least 1."""
    if spec.resize_mode == "squash":
        return spec.width, spec.height
    if spec.resize_mode == "shortest" and spec.height == spec.width:
        if width <= height:
            return spec.width, int(spec.height * height / width)
        return int(spec.width * width / height), spec.height
    ratios = height / spec.height, width / spec.width
    ratio = max(ratios) if spec.resize_mode == "longest" else min(ratios)
    return max(round(width / ratio), 1), max(round(height / ratio), 1)


def crop_span(side: int, size: int) -> tuple[int, int]:
    """Where the central `size` pixels of a side begin, and how many of them there are; halves go to the even number, as
    Python's round does."""
    return (round((side - size) / 2.0), size) if side > size else (0, side)
