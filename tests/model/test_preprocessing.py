"""edge_nusa.model.preprocessing against hand-counted sizes and, where torchvision is installed, against open_clip."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_nusa.errors import DamagedError
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.model.preprocessing import Preprocessing, crop_grey, crop_offset, pixels, resized_size

CLIP = Preprocessing(
    size=224,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
    interpolation="bicubic",
    resize_mode="shortest",
)
SQUASH = replace(CLIP, resize_mode="squash")


def _noise(width: int, height: int) -> Image.Image:
    """Uniform RGB noise, the hardest picture to resize alike."""
    return Image.fromarray(
        np.random.default_rng(width * 10_000 + height).integers(0, 256, (height, width, 3), np.uint8)
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (298, 224)),  # 298.67 is cut, not rounded
        ((480, 640), (224, 298)),
        ((225, 224), (225, 224)),
        ((1, 1), (224, 224)),
        ((50, 1), (11200, 224)),
        ((333, 1000), (224, 672)),  # 672.67
        ((224, 224), (224, 224)),
    ],
)
def test_the_shorter_side_becomes_the_size_and_the_longer_is_cut_to_an_integer(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized_size(*size, CLIP) == expected


def test_squashing_makes_a_square_of_any_shape() -> None:
    assert resized_size(640, 480, SQUASH) == (224, 224)


@pytest.mark.parametrize(("side", "expected"), [(224, 0), (225, 0), (226, 1), (227, 2), (229, 2), (231, 4), (298, 37)])
def test_a_crop_begins_at_the_half_rounded_to_even(side: int, expected: int) -> None:
    assert crop_offset(side, 224) == expected


def test_the_crop_is_the_centre_of_a_picture_that_needs_no_resize() -> None:
    image = _noise(231, 224)
    np.testing.assert_array_equal(crop_grey(image, CLIP), np.asarray(image)[:, 4:228])


def test_pixels_are_the_normalised_grey_levels_channel_first() -> None:
    levels = np.array([0, 128, 255], np.uint8)
    image = Image.fromarray(np.broadcast_to(levels, (10, 20, 3)).copy())
    result = pixels(image, CLIP)
    assert (result.shape, result.flags.c_contiguous) == ((3, 224, 224), True) and result.dtype == np.float32
    for channel in range(3):
        np.testing.assert_allclose(
            result[channel], (levels[channel] / 255 - CLIP.mean[channel]) / CLIP.std[channel], rtol=1e-5
        )


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 2)])
def test_tiny_and_narrow_pictures_give_a_full_crop(size: tuple[int, int]) -> None:
    assert crop_grey(_noise(*size), CLIP).shape == (224, 224, 3)


def test_bilinear_and_bicubic_differ() -> None:
    assert not np.array_equal(
        crop_grey(_noise(300, 260), CLIP), crop_grey(_noise(300, 260), replace(CLIP, interpolation="bilinear"))
    )


def as_record(fields: dict[str, Any]) -> Record:
    return Record(fields, Origin("image", "export the bundle again"))


def test_the_settings_survive_json() -> None:
    assert Preprocessing.from_record(as_record(json.loads(json.dumps(CLIP.to_dict())))) == CLIP


MEAN: list[Any] = [[0.5, 0.5], [0.5] * 4, 0.5, [math.nan] * 3, [0.5, 0.5, 2], [0.5, 0.5, True], "abc", None]
RESIZE_MODES: list[Any] = ["longest", 0, None, {}]
STD: list[Any] = [[0.5, 0.5, 0], [0.5, 0.5, 0.0009], [math.inf] * 3, [-0.5] * 3, {}, ["1"] * 3]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("size", value) for value in (0, -1, 1025, 224.0, True, "224", None)),
        *(("mean", value) for value in MEAN),
        *(("std", value) for value in STD),
        *(("interpolation", value) for value in ("nearest", 3, None, ["bicubic"])),
        *(("resize_mode", value) for value in RESIZE_MODES),
    ],
)
def test_a_wrong_setting_is_named(field: str, value: object) -> None:
    with pytest.raises(DamagedError, match=rf"^image: {field}.*: expected .*, found .*; export the bundle again$"):
        Preprocessing.from_record(as_record(CLIP.to_dict() | {field: value}))


@pytest.mark.parametrize("values", [{}, {"size": 224}, CLIP.to_dict() | {"crop": 1}])
def test_missing_and_unknown_fields_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(DamagedError, match="^image: expected the fields .*'interpolation'.*; export the bundle again$"):
        Preprocessing.from_record(as_record(values))


@pytest.mark.parametrize(("field", "value"), [("std", [1e-3, 1.0, 1.0]), ("mean", [0.0, 1.0, 1]), ("size", 1024)])
def test_the_edges_of_the_settings_are_read(field: str, value: object) -> None:
    assert Preprocessing.from_record(as_record(CLIP.to_dict() | {field: value})).to_dict()[field] == value


@pytest.mark.export
@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    "size", [(640, 480), (333, 501), (501, 333), (224, 224), (225, 231), (97, 31), (1, 7), (1023, 767)]
)
@pytest.mark.parametrize("side", [224, 97])
def test_the_crop_equals_open_clips_bit_for_bit(
    side: int, size: tuple[int, int], interpolation: str, mode: str
) -> None:
    pytest.importorskip("torchvision")
    open_clip: Any = pytest.importorskip("open_clip.transform")
    spec = Preprocessing(size=side, mean=CLIP.mean, std=CLIP.std, interpolation=interpolation, resize_mode=mode)
    transform = open_clip.image_transform(
        side, is_train=False, mean=spec.mean, std=spec.std, interpolation=interpolation, resize_mode=mode
    )
    expected = transform(_noise(*size)).numpy()
    grey = np.rint((expected * np.reshape(spec.std, (3, 1, 1)) + np.reshape(spec.mean, (3, 1, 1))) * 255).astype(
        np.uint8
    )
    np.testing.assert_array_equal(crop_grey(_noise(*size), spec), grey.transpose(1, 2, 0))
    np.testing.assert_array_equal(pixels(_noise(*size), spec), expected)
