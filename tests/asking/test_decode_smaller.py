"""Large JPEGs are decoded at a fraction of their size: the same picture to the model, and the same refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.model.preprocessing import Preprocessing, crop_grey
from edge_nusa.pictures.pictures import decode

SPEC = Preprocessing(
    height=64, width=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), interpolation="bicubic", resize_mode="shortest"
)


def photograph(path: Path, width: int, height: int, orientation: int | None = None, mode: str = "RGB") -> Path:
    """Soft shapes with edges, so that the two ways of shrinking could differ."""
    coarse = np.random.default_rng(1).integers(0, 256, size=(height // 40, width // 40, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(path, quality=92, exif=exif)
    return path


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(1600, 1200, (200, 150)), (640, 480, (320, 240)), (250, 1600, (250, 1600)), (200, 150, (200, 150))],
)
def test_both_sides_keep_at_least_the_pixels_asked_for(
    tmp_path: Path, width: int, height: int, expected: tuple[int, int]
) -> None:
    path = photograph(tmp_path / "a.jpg", width, height)
    assert decode(path, least_side=128).size == expected
    assert decode(path).size == (width, height)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_the_model_reads_the_same_picture(tmp_path: Path, orientation: int, mode: str) -> None:
    path = photograph(tmp_path / "a.jpg", 1600, 1200, orientation, mode)
    whole, smaller = (crop_grey(decode(path, least_side=side), SPEC).astype(int) for side in (None, 2 * SPEC.height))
    assert np.abs(whole - smaller).max() <= 6
    assert np.abs(whole - smaller).mean() < 1


def test_other_formats_are_decoded_whole(tmp_path: Path) -> None:
    Image.new("RGB", (900, 700)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", least_side=64).size == (900, 700)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_jpeg_is_refused_at_any_size(tmp_path: Path, share: float) -> None:
    path = photograph(tmp_path / "a.jpg", 1600, 1200)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="expected a whole picture"):
        decode(path, least_side=128)
