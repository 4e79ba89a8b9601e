"""TIFF: common kinds are read, the first page alone; what would cost too much or is not read is refused with its
reason."""

from __future__ import annotations

import struct
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sample_pictures import SOFT, Written, same, saved, write

from edge_nusa.errors import InputError
from edge_nusa.pictures.pictures import decode


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return partial(write, tmp_path)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
@pytest.mark.parametrize("is_big", [False, True])
def test_a_tiff_of_a_common_kind_is_read(compression: str, mode: str, is_big: bool, written: Written) -> None:
    if compression == "jpeg" and mode in ("P", "1", "RGBA"):
        pytest.skip("no such TIFF")
    image = SOFT.convert(mode)
    data = saved(image, "TIFF", compression=compression, big_tiff=is_big, tiffinfo={270: "words " * 1000})
    assert same(decode(written(data)), image, 30 if compression == "jpeg" else 0)


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_a_fax_is_read(compression: str, written: Written) -> None:
    assert same(decode(written(saved(SOFT.convert("1"), "TIFF", compression=compression))), SOFT.convert("1"))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_tiff_stands_upright(orientation: int, compression: str, written: Written) -> None:
    turned = {1: SOFT, 3: SOFT.rotate(180), 6: SOFT.rotate(-90, expand=True), 8: SOFT.rotate(90, expand=True)}[
        orientation
    ]
    assert same(decode(written(saved(SOFT, "TIFF", tiffinfo={274: orientation}, compression=compression))), turned)


def test_a_tiff_of_sixteen_bits_keeps_its_brightness(written: Written) -> None:
    values = np.array([[0, 128, 129, 256, 32768, 65535]], np.uint16)
    assert np.asarray(decode(written(saved(Image.fromarray(values), "TIFF"))))[0, :, 1].tolist() == [
        0,
        0,
        1,
        1,
        128,
        255,
    ]


def test_of_many_pages_only_the_first_is_read(written: Written) -> None:
    data = saved(SOFT, "TIFF", save_all=True, append_images=[Image.new("L", (9, 9))] * 50)
    assert same(decode(written(data)), SOFT)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("missing", [1, 20, 900])
def test_a_cut_tiff_is_refused(compression: str, mode: str, missing: int, written: Written) -> None:
    """Compressed, the library puts the directory last; its last bytes say that there is no other."""
    data = saved(SOFT.convert(mode), "TIFF", compression=compression)
    if missing == 1 and data.endswith(bytes(4)):
        assert same(decode(written(data[:-1])), decode(written(data, "whole.tif")))
        return
    with pytest.raises(InputError, match="expected a whole picture, found it cut or damaged"):
        decode(written(data[:-missing]))


@pytest.mark.parametrize("is_behind", [False, True])
def test_the_last_strip_of_bare_pixels_must_be_there(is_behind: bool, written: Written) -> None:
    data = saved(Image.new("L", (160, 120)), "TIFF", tiffinfo={278: 50})
    last = len(data) - 20 * 160
    strips = np.frombuffer(data, "<u4", 3, int(struct.unpack("<I", value_of(data, 273))[0]))
    assert strips[-1] == last
    if is_behind:
        with pytest.raises(InputError, match="its pixels end behind the file"):
            decode(written(data[:-1]))
    else:
        assert decode(written(data)).size == (160, 120)


def directory_of(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, 4)[0])


def value_of(data: bytes, tag: int) -> bytes:
    """The four bytes of a tag's value or offset in a little-endian TIFF."""
    at = directory_of(data)
    starts = range(at + 2, at + 2 + 12 * struct.unpack_from("<H", data, at)[0], 12)
    return next(data[start + 8 : start + 12] for start in starts if struct.unpack_from("<H", data, start)[0] == tag)


def changed_tag(data: bytes, tag: int, count: int | None, value: int) -> bytes:
    """A little-endian TIFF with another count and value of a tag."""
    at = directory_of(data)
    for start in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", data, at)[0], 12):
        found, kind, before = struct.unpack_from("<HHI", data, start)
        if found == tag:
            return (
                data[:start]
                + struct.pack("<HHII", tag, 4, before if count is None else count, value)
                + data[start + 12 :]
            )
    raise AssertionError(tag)


def test_a_loop_of_directories_in_a_tiff_is_not_followed(written: Written) -> None:
    data = saved(SOFT, "TIFF", tiffinfo={34665: 0})
    at = directory_of(data)
    end = at + 2 + 12 * struct.unpack_from("<H", data, at)[0]
    looped = changed_tag(data[:end] + struct.pack("<I", at) + data[end + 4 :], 34665, 1, at)
    assert same(decode(written(looped)), SOFT)


@pytest.mark.parametrize(
    ("options", "tag", "count", "value", "reason"),
    [
        ({}, 259, None, 6, "found compression 6, which is not read; convert it"),
        ({}, 259, None, 34712, "found compression 34712, which is not read; convert it"),
        ({}, 258, 1, 32, "found 32 bits of kind 1; save it with 8 bits"),
        ({"compression": "tiff_lzw"}, 279, 1, 2**31, r"cut or damaged \(ValueError: its parts lie over each other"),
        ({}, 273, 200_001, 8, "expected at most 200000 values in tag 273 of a TIFF, found 200001"),
        ({}, 258, 65_537, 8, "expected at most 65536 values in tag 258 of a TIFF, found 65537"),
        ({}, 256, 1, 2**31, "expected 1 to 50000000 pixels, found 2147483648 x 120"),
        ({}, 262, 1, 9, "found one whose colours or bits are not read; convert it"),
        ({}, 262, 1, 8, "found a TIFF of the kind LAB, which is not read; convert it"),
        ({}, 273, 1, 2**31, "expected a whole picture, found it cut or damaged"),
    ],
)
def test_a_tiff_that_is_not_read_says_why(
    options: dict[str, Any], tag: int, count: int | None, value: int, reason: str, written: Written
) -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match=reason):
        decode(written(changed_tag(saved(SOFT, "TIFF", **options), tag, count, value)))
    assert time.monotonic() - began < 2


def test_a_tiff_of_fractions_is_refused_as_what_it_is(written: Written) -> None:
    with pytest.raises(
        InputError,
        match="expected a TIFF of whole numbers of up to 16 bits, found 32 bits of kind 3; save it with 8 bits",
    ):
        decode(written(saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")))


def tiled(side: int, tile: int) -> bytes:
    """A grey TIFF of one tile, of which the last row is behind the file's end where the tile is larger than 64."""
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 277: 1, 322: tile, 323: tile, 324: 8, 325: 4096}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (
        b"II*\0"
        + struct.pack("<I", 8 + 4096)
        + bytes(range(256)) * 16
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


def test_tiles_larger_than_a_picture_may_be_are_refused(written: Written) -> None:
    assert np.asarray(decode(written(tiled(60, 64))))[1, :3, 0].tolist() == [64, 65, 66]
    with pytest.raises(InputError, match="expected tiles of at most 50000000 pixels in a TIFF, found 256000000"):
        decode(written(tiled(60, 16_000)))
    with pytest.raises(InputError, match="expected tiles of at most 4095 pixels in a TIFF, found 4096"):
        decode(written(tiled(60, 64)), max_pixels=4095)
    assert decode(written(tiled(60, 64)), max_pixels=4096).size == (60, 60)


def test_a_directory_of_too_many_tags_is_refused(written: Written) -> None:
    data = saved(SOFT, "TIFF")
    entries = b"".join(struct.pack("<HHII", 700, 1, len(data), 0) for _ in range(4097))
    with pytest.raises(InputError, match="expected at most 4096 tags in a TIFF, found 4097"):
        decode(
            written(data[:4] + struct.pack("<I", len(data)) + data[8:] + struct.pack("<H", 4097) + entries + bytes(4))
        )


@pytest.mark.parametrize(("bits", "largest"), [(8, 255), (16, 65535)])
def test_a_big_endian_tiff_is_read(bits: int, largest: int, written: Written) -> None:
    values = np.arange(64).reshape(8, 8) * (largest // 63)
    tags = {256: 8, 257: 8, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: values.size * bits // 8}
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    pixels = values.astype(f">u{bits // 8}").tobytes()
    data = b"MM\0*" + struct.pack(">I", 8 + len(pixels)) + pixels + struct.pack(">H", len(tags)) + entries + bytes(4)
    found = np.asarray(decode(written(data)))[..., 0].astype(int)
    assert np.abs(found - values * 255 / largest).max() <= 1
