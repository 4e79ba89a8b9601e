"""What learning sets aside of pictures that can be read: repeats, near copies within a label, noise, one colour
alone; and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from edge_nusa.device.learning.screen import (
    COPY_CORRELATION,
    LEAST_SPAN,
    NOISE_CORRELATION,
    Screen,
    neighbour_correlation,
    span,
    thumbnail,
)
from edge_nusa.knowledge.taught_files import digest_of
from edge_nusa.pictures.picture_file import read_file


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
    for index, image in enumerate(images):
        image.save(tmp_path / f"{index}.png")
    files = [read_file(tmp_path / f"{index}.png") for index in range(len(images))]
    screen = Screen(np.array(classes), np.array([digest_of(file.sha256) for file in files], np.uint64))
    return [screen(index, file, image) for index, (file, image) in enumerate(zip(files, images, strict=True))]


def test_a_file_that_is_another_than_the_one_that_was_looked_up_is_set_aside(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "a.png")
    file = read_file(tmp_path / "a.png")
    digest = np.array([digest_of(file.sha256)], np.uint64)
    for other in (digest + np.uint64(1), digest * np.uint64(0)):
        screen = Screen(np.zeros(1, np.int64), other)
        assert screen(0, file, scene(0)) == (
            "its file changed while it was looked at; teach it again when nothing writes to it"
        )
        assert screen.counted == []
    assert Screen(np.zeros(1, np.int64), digest)(0, file, scene(0)) is None


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


BLANK = "it shows one colour alone (black, white or blank): nothing can be learned from it"


@pytest.mark.parametrize("colour", ["black", "white", "gray", "red"])
def test_a_picture_of_one_colour_is_set_aside_and_is_neither_noise_nor_a_copy(colour: str, tmp_path: Path) -> None:
    assert screened(tmp_path, [Image.new("RGB", (50, 40), colour), scene(5)], [0, 0]) == [BLANK, None]
    assert not thumbnail(Image.new("L", (50, 40))).any()


@pytest.mark.parametrize(("level", "size"), [(0, 320), (8, 640), (255, 640), (128, 1280)])
def test_a_covered_lens_with_its_noise_is_set_aside_as_blank(level: int, size: int, tmp_path: Path) -> None:
    noisy = level + 4 * np.random.default_rng(level).standard_normal((size, size, 3))
    picture = again(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)), 85)
    assert screened(tmp_path, [picture], [0]) == [BLANK]


@pytest.mark.parametrize(("levels", "reason"), [(11, BLANK), (12, None), (21, None)])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_thumbnail_that_spans_twelve_levels_in_one_channel_is_no_blank(
    levels: int, reason: str | None, channel: int, tmp_path: Path
) -> None:
    assert LEAST_SPAN == 12
    pixels = np.full((64, 64, 3), 100, np.uint8)
    pixels[:, 32:, channel] += levels  # at the thumbnail's own size nothing is blended
    assert span(Image.fromarray(pixels)) == levels
    assert screened(tmp_path, [Image.fromarray(pixels)], [0]) == [reason]


def test_a_dark_scan_with_one_bright_spot_is_a_picture(tmp_path: Path) -> None:
    scan = Image.new("RGB", (64, 64))
    scan.paste((90, 90, 90), (30, 30, 34, 34))
    assert screened(tmp_path, [scan], [0]) == [None]


def test_thumbnails_multiply_to_correlations() -> None:
    one, other = (thumbnail(scene(seed).convert("L")) for seed in (7, 8))
    assert float(one @ one) == pytest.approx(1) and abs(float(one.sum())) < 1e-4
    assert float(one @ other) < COPY_CORRELATION
