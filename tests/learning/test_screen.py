"""What learning sets aside of pictures that can be read: repeats, near copies within a label, noise; and nothing
else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from edge_nusa.device.learning.screen import (
    COPY_CORRELATION,
    NOISE_CORRELATION,
    Screen,
    neighbour_correlation,
    thumbnail,
)


def scene(seed: int, size: int = 128) -> Image.Image:
    """Coloured blobs, smooth as a photograph is."""
    random = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(random).resize((size, size), Image.Resampling.BICUBIC)


def noise(seed: int, size: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def again(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def screened(tmp_path: Path, images: list[Image.Image], classes: list[int]) -> list[str | None]:
    screen, found = Screen(np.array(classes)), []
    for index, image in enumerate(images):
        path = tmp_path / f"{index}.png"
        image.save(path)
        found.append(screen(index, path, image))
    return found


def test_different_pictures_all_count(tmp_path: Path) -> None:
    assert screened(tmp_path, [scene(seed) for seed in range(6)], [0, 0, 0, 1, 1, 1]) == [None] * 6


def test_the_same_file_counts_once_whatever_its_label(tmp_path: Path) -> None:
    first, second = screened(tmp_path, [scene(0), scene(0)], [0, 1])
    assert first is None and second == "the same file was given before in this call; it counts once"


@pytest.mark.parametrize("copy", ["saved again", "smaller", "brighter"])
def test_a_near_copy_counts_once_within_its_label_and_is_a_picture_under_another(copy: str, tmp_path: Path) -> None:
    image = scene(1)
    other = {
        "saved again": again(image, 60),
        "smaller": image.resize((90, 90)),
        "brighter": image.point(lambda level: int(level * 0.8 + 20)),
    }[copy]
    first, second, third = screened(tmp_path, [image, other, again(other, 90)], [0, 0, 1])
    assert first is None and third is None
    assert second == "it is nearly the same picture as another one of its label; it counts once"


@pytest.mark.parametrize("size", [64, 200, 640])
def test_noise_is_set_aside(size: int, tmp_path: Path) -> None:
    assert screened(tmp_path, [again(noise(2, size), 80)], [0]) == [
        "it looks like noise: its neighbouring pixels are unrelated"
    ]
    assert neighbour_correlation(noise(3, size).convert("L")) < NOISE_CORRELATION


def test_what_is_nearly_noise_but_has_structure_counts(tmp_path: Path) -> None:
    assert screened(tmp_path, [noise(4, 64).filter(ImageFilter.GaussianBlur(1))], [0]) == [None]


def test_one_flat_colour_is_neither_noise_nor_a_copy_of_another(tmp_path: Path) -> None:
    black, grey = Image.new("RGB", (50, 40)), Image.new("RGB", (40, 40), "gray")
    assert screened(tmp_path, [black, grey, scene(5)], [0, 0, 0]) == [None] * 3
    assert not thumbnail(black.convert("L")).any()


def test_thumbnails_multiply_to_correlations() -> None:
    one, other = (thumbnail(scene(seed).convert("L")) for seed in (7, 8))
    assert float(one @ one) == pytest.approx(1) and abs(float(one.sum())) < 1e-4
    assert float(one @ other) < COPY_CORRELATION
