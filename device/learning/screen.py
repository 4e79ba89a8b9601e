"""What learning sets aside of pictures that can be read: the same file again, near copies within a label, noise, and
pictures of one colour alone.

A near copy would make leave-one-out believe that a label is well known; noise and a covered lens teach nothing. All
are found on small thumbnails, before the model is asked (measured on fourteen real sets: docs/evidence.md, the judge).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from edge_nusa.files.node import FileBytes
from edge_nusa.knowledge.taught_files import digest_of
from edge_nusa.pictures.picture import Decoded
from edge_nusa.threads import one_blas_thread

SIDE = 64
"""Pixels a side of the thumbnail that noise and blank pictures are looked for on."""
SMALL_SIDE = 16
"""Pixels a side of the thumbnail that copies are compared by."""
COPY_CORRELATION = 0.99
"""Two thumbnails of one label that correlate at least so much are one picture (saved again, scaled, a little
brighter)."""
NOISE_CORRELATION = 0.22
"""Neighbouring pixels that correlate less are noise: white noise gives at most 0.17, real pictures at least 0.30."""

LEAST_SPAN = 12
"""Levels of 255 between a thumbnail's darkest and lightest value of one channel; a picture with less is of one colour:
a covered lens with noise of 4 levels gives at most 10, each of 13,357 real pictures at least 22."""


class Screen:
    """Looks at one picture after another. classes: which label each index is of, (B,) int64; digests (B,) uint64: what
    its file was when it was looked up among those that were taught, 0 where it could not be read; counted: the indices
    of those that were let through, and of near copies of them."""

    def __init__(self, classes: np.ndarray, digests: np.ndarray) -> None:
        self._classes, self._looked_up = classes, digests
        self._digests: set[str] = set()
        self._thumbnails: dict[int, list[np.ndarray]] = {}
        self.counted: list[int] = []

    def __call__(self, index: int, file: FileBytes | Decoded, image: Image.Image) -> str | None:
        """Why the picture of `file`, decoded as `image`, is set aside; None where it is not."""
        if digest_of(file.sha256) != self._looked_up[index]:
            return "its file changed while it was looked at; teach it again when nothing writes to it"
        if file.sha256 in self._digests:
            return "the same file was given before in this call; it counts once"
        self._digests.add(file.sha256)
        if span(image) < LEAST_SPAN:
            return "it shows one colour alone (black, white or blank): nothing can be learned from it"
        grey = image.convert("L")
        if neighbour_correlation(grey) < NOISE_CORRELATION:
            return "it looks like noise: its neighbouring pixels are unrelated"
        self.counted.append(index)
        small, known = thumbnail(grey), self._thumbnails.setdefault(int(self._classes[index]), [])
        if known and largest_correlation(known, small) >= COPY_CORRELATION:
            return "it is nearly the same picture as another one of its label; it counts once"
        known.append(small)
        return None


def span(image: Image.Image) -> int:
    """Levels between the least and the largest value of any one channel, at SIDE x SIDE; 0 for one flat colour."""
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int64)
    return int(np.ptp(pixels, axis=(0, 1)).max())


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
