"""What learning sets aside of pictures that can be read: the same file again, near copies within a label, and noise.

A near copy would make leave-one-out believe that a label is well known; noise teaches nothing. Both are found on a
small grey thumbnail, before the model is asked (measured on fourteen real sets: docs/evidence.md, the judge).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from edge_nusa.files.file_record import file_sha256
from edge_nusa.threads import one_blas_thread

SIDE = 64
"""Pixels a side of the thumbnail that noise is looked for on."""
SMALL_SIDE = 16
"""Pixels a side of the thumbnail that copies are compared by."""
COPY_CORRELATION = 0.99
"""Two thumbnails of one label that correlate at least so much are one picture (saved again, scaled, a little
brighter)."""
NOISE_CORRELATION = 0.22
"""Neighbouring pixels that correlate less are noise: white noise gives at most 0.17, real pictures at least 0.30."""


class Screen:
    """Looks at one picture after another. classes: which label each index is of, (B,) int64."""

    def __init__(self, classes: np.ndarray) -> None:
        self._classes = classes
        self._digests: set[str] = set()
        self._thumbnails: dict[int, list[np.ndarray]] = {}

    def __call__(self, index: int, path: Path, image: Image.Image) -> str | None:
        """Why the picture at `path`, decoded as `image`, is set aside; None where it is not. Raises OSError where
        the file is gone."""
        digest = file_sha256(path)
        if digest in self._digests:
            return "the same file was given before in this call; it counts once"
        self._digests.add(digest)
        grey = image.convert("L")
        if neighbour_correlation(grey) < NOISE_CORRELATION:
            return "it looks like noise: its neighbouring pixels are unrelated"
        small, known = thumbnail(grey), self._thumbnails.setdefault(int(self._classes[index]), [])
        if known and largest_correlation(known, small) >= COPY_CORRELATION:
            return "it is nearly the same picture as another one of its label; it counts once"
        known.append(small)
        return None


def neighbour_correlation(grey: Image.Image) -> float:
    """Mean correlation of pixels with their right and lower neighbours at SIDE x SIDE; 1 for one flat colour."""
    pixels = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)
    pairs = (pixels[:, :-1], pixels[:, 1:]), (pixels[:-1], pixels[1:])
    return float(np.mean([_correlation(one, other) for one, other in pairs]))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / length if length > 1e-6 else 1.0


@one_blas_thread
def largest_correlation(known: Sequence[np.ndarray], small: np.ndarray) -> float:
    """Of a `thumbnail` (256,) with any of the known ones."""
    return float((np.stack(known) @ small).max())


def thumbnail(grey: Image.Image) -> np.ndarray:
    """(256,) float32 of mean 0 and length 1 (all 0 for one flat colour): products are correlations."""
    pixels = np.asarray(grey.resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.BICUBIC), np.float32).ravel()
    pixels = pixels - pixels.mean()
    return np.asarray(pixels / max(float(np.linalg.norm(pixels)), 1e-6), np.float32)
