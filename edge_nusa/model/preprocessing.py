"""From a picture to the array that the image tower reads: open_clip's inference transform without torch.

The arithmetic is that of torchvision's Resize, CenterCrop, ToTensor and Normalize on a Pillow image; the resizing
itself is Pillow's, so that the cropped grey levels are equal bit for bit. S is the side of the square crop.
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
RESIZE_MODES = ("shortest", "squash")


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What a model expects of its pictures.

    size: S, pixels of a side; mean, std: of the channels R, G, B on the scale [0, 1]; interpolation: "bicubic" or
    "bilinear"; resize_mode: "shortest" (shorter side to S, then the central square) or "squash" (both sides to S).
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    resize_mode: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; mean and std as lists."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_record(cls, record: Record) -> Preprocessing:
        """Checked reading of a manifest's entry. Raises the record's error naming the field."""
        record.only([one.name for one in fields(cls)])
        red, green, blue = record.numbers("mean", 3, 0.0, 1.0)
        of_red, of_green, of_blue = record.numbers("std", 3, LEAST_STD, 1.0)
        return cls(
            size=record.integer("size", 1, MAX_SIZE),
            mean=(red, green, blue),
            std=(of_red, of_green, of_blue),
            interpolation=record.choice("interpolation", tuple(FILTERS)),
            resize_mode=record.choice("resize_mode", RESIZE_MODES),
        )


def pixels(image: Image.Image, spec: Preprocessing) -> NDArray[np.float32]:
    """(grey / 255 - mean) / std of the crop: (3, S, S) float32, channel first, C-contiguous."""
    grey, table = crop_grey(image, spec), _normalised(spec)
    normalised = np.empty((3, spec.size, spec.size), np.float32)
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
    """The resized and cropped picture before normalisation: (S, S, 3) uint8, RGB, 0 to 255.

    `image` is what `pictures.decode` returns: RGB, sides of at most 50 to 1. As in open_clip, another mode becomes RGB
    after the crop.
    """
    resized = image.resize(resized_size(image.width, image.height, spec), FILTERS[spec.interpolation])
    left, top = crop_offset(resized.width, spec.size), crop_offset(resized.height, spec.size)
    return np.array(resized.crop((left, top, left + spec.size, top + spec.size)).convert("RGB"))


def resized_size(width: int, height: int, spec: Preprocessing) -> tuple[int, int]:
    """(width, height) after the resize. Shortest: the long side is int(S * long / short), cut, not rounded."""
    if spec.resize_mode == "squash":
        return spec.size, spec.size
    if width <= height:
        return spec.size, int(spec.size * height / width)
    return int(spec.size * width / height), spec.size


def crop_offset(side: int, size: int) -> int:
    """Where the central `size` pixels of a side begin; halves go to the even number, as Python's round does."""
    return round((side - size) / 2.0)
