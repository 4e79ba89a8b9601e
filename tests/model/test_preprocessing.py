"""edge_nusa.model.preprocessing against hand-counted sizes and, where torchvision is installed, against open_clip."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_nusa.errors import DamagedError, UsageError
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.model.preprocessing import MAX_SIZE, Preprocessing, crop_grey, crop_span, pixels, resized_size

CLIP = Preprocessing(
    height=224,
    width=224,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
    interpolation="bicubic",
    resize_mode="shortest",
)
SQUASH = replace(CLIP, resize_mode="squash")
LONGEST = replace(CLIP, resize_mode="longest")
OBLONG = replace(CLIP, height=160, width=224)


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

    assert resized_size(640, 480, replace(SQUASH, height=160)) == (224, 160)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (224, 168)),
        ((480, 640), (168, 224)),
        ((333, 1000), (75, 224)),  # 74.6 is rounded
        ((2, 3), (149, 224)),  # 149.3
        ((224, 224), (224, 224)),
        ((1000, 1), (224, 1)),  # 0.2 would be none
    ],
)
def test_the_longer_side_becomes_the_size_and_the_shorter_is_rounded(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized_size(*size, LONGEST) == expected


@pytest.mark.parametrize(
    ("spec", "size", "expected"),
    [
        (OBLONG, (640, 480), (224, 168)),
        (OBLONG, (640, 400), (256, 160)),
        (OBLONG, (100, 333), (224, 746)),  # 745.9
        (replace(OBLONG, resize_mode="longest"), (640, 480), (213, 160)),  # 213.3
        (replace(OBLONG, resize_mode="longest"), (640, 400), (224, 140)),
    ],
)
def test_a_picture_covers_an_oblong_or_fits_into_it(
    spec: Preprocessing, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized_size(*size, spec) == expected


@given(
    width=st.integers(1, 5000),
    ratio=st.floats(1 / 50, 50),
    height_of=st.integers(1, MAX_SIZE),
    width_of=st.integers(1, MAX_SIZE),
    mode=st.sampled_from(["shortest", "longest", "squash"]),
)
def test_a_resize_makes_less_than_53_million_pixels_and_enough_for_the_crop(
    width: int, ratio: float, height_of: int, width_of: int, mode: str
) -> None:
    height = min(max(round(width * ratio), -(-width // 50)), 50 * width)
    spec = replace(CLIP, height=height_of, width=width_of, resize_mode=mode)
    found = resized_size(width, height, spec)
    assert found[0] * found[1] < 53_000_000 and min(found) >= 1
    if mode == "shortest":
        assert found[0] >= width_of and found[1] >= height_of
    else:
        assert found[0] <= width_of and found[1] <= height_of


@pytest.mark.parametrize(("side", "expected"), [(224, 0), (225, 0), (226, 1), (227, 2), (229, 2), (231, 4), (298, 37)])
def test_a_crop_begins_at_the_half_rounded_to_even(side: int, expected: int) -> None:
    assert crop_span(side, 224) == (expected, 224)


def test_a_side_that_is_too_short_is_taken_whole() -> None:
    assert crop_span(223, 224) == (0, 223)


def test_what_a_picture_leaves_free_is_filled_evenly() -> None:
    grey = crop_grey(Image.new("RGB", (8, 3), (200, 100, 50)), replace(LONGEST, height=8, width=8, fill=7))
    assert (grey[2:5] == [200, 100, 50]).all()
    assert (grey[:2] == 7).all() and (grey[5:] == 7).all()
    grey = crop_grey(Image.new("RGB", (3, 8), (200, 100, 50)), replace(LONGEST, height=8, width=8))
    assert (grey[:, 2:5] == [200, 100, 50]).all() and not grey[:, :2].any() and not grey[:, 5:].any()


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
    for spec in (CLIP, LONGEST, SQUASH):
        assert crop_grey(_noise(*size), spec).shape == (224, 224, 3)
        assert pixels(_noise(*size), replace(spec, height=160)).shape == (3, 160, 224)


def test_bilinear_and_bicubic_differ() -> None:
    assert not np.array_equal(
        crop_grey(_noise(300, 260), CLIP), crop_grey(_noise(300, 260), replace(CLIP, interpolation="bilinear"))
    )


def as_record(fields: dict[str, Any]) -> Record:
    return Record(fields, Origin("image", "export the bundle again"))


@pytest.mark.parametrize("spec", [CLIP, SQUASH, OBLONG, replace(LONGEST, fill=255, interpolation="bilinear")])
def test_the_settings_survive_json(spec: Preprocessing) -> None:
    assert Preprocessing.from_record(as_record(json.loads(json.dumps(spec.to_dict())))) == spec


def test_the_manifest_says_the_height_first() -> None:
    assert OBLONG.to_dict()["size"] == [160, 224]


MEAN: list[Any] = [[0.5, 0.5], [0.5] * 4, 0.5, [math.nan] * 3, [0.5, 0.5, 2], [0.5, 0.5, True], "abc", None]
RESIZE_MODES: list[Any] = ["widest", 0, None, {}]
SIZES: list[Any] = [[0, 1], [-1, 1], [1, 1025], [224.0, 1], [True, 1], [224], [1, 2, 3], "224", 224, None]
STD: list[Any] = [[0.5, 0.5, 0], [0.5, 0.5, 0.0009], [math.inf] * 3, [-0.5] * 3, {}, ["1"] * 3]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("size", value) for value in SIZES),
        *(("fill", value) for value in (-1, 256, 1.0, None)),
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


@pytest.mark.parametrize(
    ("field", "value"), [("std", [1e-3, 1.0, 1.0]), ("mean", [0.0, 1.0, 1]), ("size", [1024, 1]), ("fill", 255)]
)
def test_the_edges_of_the_settings_are_read(field: str, value: object) -> None:
    assert Preprocessing.from_record(as_record(CLIP.to_dict() | {field: value})).to_dict()[field] == value


@pytest.mark.export
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    "size", [(640, 480), (333, 501), (501, 333), (224, 224), (225, 231), (97, 31), (1, 7), (1023, 767), (50, 1)]
)
@pytest.mark.parametrize("sides", [(224, 224), (97, 97), (96, 160), (161, 90)])
def test_the_crop_equals_open_clips_bit_for_bit(
    sides: tuple[int, int], size: tuple[int, int], interpolation: str, mode: str
) -> None:
    pytest.importorskip("torchvision")
    open_clip: Any = pytest.importorskip("open_clip.transform")
    from edge_nusa.export.source import preprocessing

    common = {"mean": CLIP.mean, "std": CLIP.std, "interpolation": interpolation, "resize_mode": mode, "fill_color": 90}
    spec = preprocessing({**common, "size": sides})
    expected = open_clip.image_transform(sides, is_train=False, **common)(_noise(*size)).numpy()
    grey = np.rint((expected * np.reshape(spec.std, (3, 1, 1)) + np.reshape(spec.mean, (3, 1, 1))) * 255).astype(
        np.uint8
    )
    np.testing.assert_array_equal(crop_grey(_noise(*size), spec), grey.transpose(1, 2, 0))
    np.testing.assert_array_equal(pixels(_noise(*size), spec), expected)


@pytest.mark.export
@pytest.mark.parametrize(
    ("mean", "std"), [((0.0,) * 3, (1.0,) * 3), ((0.5,) * 3, (0.5,) * 3), ((127 / 255,) * 3, (128 / 255,) * 3)]
)
def test_any_mean_and_deviation_give_open_clips_numbers(mean: Any, std: Any) -> None:
    open_clip: Any = pytest.importorskip("open_clip.transform")
    spec = replace(CLIP, mean=mean, std=std, height=64, width=64)
    expected = open_clip.image_transform(64, is_train=False, mean=mean, std=std)(_noise(90, 70)).numpy()
    np.testing.assert_array_equal(pixels(_noise(90, 70), spec), expected)


@pytest.mark.export
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"interpolation": "random"}, "the interpolation 'random' is not supported; expected one of bicubic, bilinear"),
        ({"resize_mode": "stretch"}, "the resize_mode 'stretch' .* expected one of shortest, longest, squash"),
        ({"fill_color": 256}, "the fill_color 256 is not supported; expected a grey level from 0 to 255"),
        ({"fill_color": (1, 2, 3)}, r"the fill_color \(1, 2, 3\)"),
        ({"size": (1025, 8)}, "pictures of 1025 x 8 are not supported; expected at most 1024 a side"),
    ],
)
def test_settings_that_the_board_lacks_are_refused(changes: dict[str, Any], words: str) -> None:
    pytest.importorskip("torch")
    from edge_nusa.export.source import preprocessing

    settings = {"size": 64, "mean": CLIP.mean, "std": CLIP.std, "interpolation": "bicubic", "resize_mode": "shortest"}
    assert preprocessing(settings) == replace(CLIP, height=64, width=64)
    with pytest.raises(UsageError, match=words):
        preprocessing({**settings, **changes})
