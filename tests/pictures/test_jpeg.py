"""JPEG: what is behind its end, what is missing at it, damaged metadata, kinds that are not read, and large ones."""

from __future__ import annotations

import struct
import time
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from sample_pictures import KINDS_OF_JPEG, SOFT, Written, same, saved, segment, write

from edge_nusa.errors import InputError
from edge_nusa.pictures import jpeg
from edge_nusa.pictures.pictures import decode


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return partial(write, tmp_path)


@pytest.mark.parametrize("kind", KINDS_OF_JPEG)
@pytest.mark.parametrize(
    "behind", [b"\xff\xda\x00\x08" * 1_500_000, b"\0" * 5_000_000, KINDS_OF_JPEG["progressive"] * 200, b"x\xff"]
)
def test_what_is_behind_the_end_of_a_jpeg_changes_nothing(kind: str, behind: bytes, written: Written) -> None:
    whole = decode(written(KINDS_OF_JPEG[kind], "whole.jpg"))
    assert same(decode(written(KINDS_OF_JPEG[kind] + behind)), whole)


@pytest.mark.parametrize("kind", KINDS_OF_JPEG)
@pytest.mark.parametrize("least_side", [None, 20])
@pytest.mark.parametrize("padding", [b"", b"\xff", bytes(100_000)])
def test_a_jpeg_that_lacks_only_its_end_marker_is_whole(
    kind: str, least_side: int | None, padding: bytes, written: Written
) -> None:
    whole = decode(written(KINDS_OF_JPEG[kind], "whole.jpg"), least_side=least_side)
    assert same(decode(written(KINDS_OF_JPEG[kind][:-2] + padding), least_side=least_side), whole)


@pytest.mark.parametrize("kind", KINDS_OF_JPEG)
@pytest.mark.parametrize("least_side", [None, 20])
@pytest.mark.parametrize("padding", [b"", bytes(100_000)])
def test_a_jpeg_cut_anywhere_is_refused_or_has_every_pixel(
    kind: str, least_side: int | None, padding: bytes, written: Written
) -> None:
    data = KINDS_OF_JPEG[kind]
    whole = decode(written(data, "whole.jpg"), least_side=least_side)
    refused = 0
    for length in [*range(20, len(data) - 10, len(data) // 24), *range(len(data) - 10, len(data) - 2)]:
        try:
            image = decode(written(data[:length] + padding), least_side=least_side)
        except InputError as error:
            assert "expected a whole picture, found it" in str(error)
            refused += 1
        else:
            assert same(image, whole), length
    assert refused >= 24


@pytest.mark.parametrize("height", range(16, 160, 16))
@pytest.mark.parametrize("after", [0, 2])
def test_a_jpeg_cut_at_its_last_restart_is_refused(height: int, after: int, written: Written) -> None:
    """Each row of blocks is an interval here, so that the last restart has every number."""
    data = saved(SOFT.resize((160, height)), restart_marker_rows=1)
    if height == 16:
        assert decode(written(data[:-2])).size == (160, 16)
        return
    cut = data.rindex(bytes((0xFF, 0xD0 + (height // 16 - 2) % 8)))
    with pytest.raises(InputError, match="pixels are missing at its end"):
        decode(written(data[: cut + after]))


def test_a_jpeg_cut_between_two_scans_is_refused_for_the_missing_ones(written: Written) -> None:
    data = KINDS_OF_JPEG["progressive"]
    with pytest.raises(InputError, match="scans are missing at its end"):
        decode(written(data[: data.rindex(b"\xff\xda")]))
    tables = data.rindex(b"\xff\xc4")
    with pytest.raises(InputError, match="scans are missing at its end"):
        decode(written(data[: tables + 8]))


def test_sixty_four_scans_are_decoded_and_one_more_is_not(written: Written) -> None:
    data = KINDS_OF_JPEG["progressive"]
    count, last = data.count(b"\xff\xda"), data[data.rindex(b"\xff\xda") : -2]
    decode(written(data[:-2] + last * (64 - count) + b"\xff\xd9" + b"\xff\xda" * 9))
    with pytest.raises(InputError, match="expected at most 64 scans in a JPEG, found more; save the picture again"):
        decode(written(data[:-2] + last * (65 - count) + b"\xff\xd9"))


def test_the_walk_over_a_jpeg_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = KINDS_OF_JPEG["baseline"]
    count = sum(1 for _ in jpeg._segments(data))
    monkeypatch.setattr(jpeg, "MOST_SEGMENTS", count + 1)
    assert jpeg.walk(data + bytes(10)).ends
    many = data[:2] + segment(0xFE, b"") * 10 + data[2:]
    monkeypatch.setattr(jpeg, "MOST_SEGMENTS", 10)
    with pytest.raises(InputError, match="expected at most 10 segments in a JPEG"):
        jpeg.walk(many)


@pytest.mark.parametrize("end", [b"\xff\xd9", b"\xff\xd9x", b"", b"\0"])
def test_a_long_run_of_marker_bytes_takes_a_moment(end: bytes, written: Written) -> None:
    data = KINDS_OF_JPEG["baseline"]
    began = time.monotonic()
    assert same(decode(written(data[:-2] + b"\xff" * 30_000_000 + end)), decode(written(data)))
    assert time.monotonic() - began < 5


def test_pixel_data_that_itself_ends_in_zeros_is_not_taken_for_padding() -> None:
    found = jpeg.walk(KINDS_OF_JPEG["baseline"][:-2] + b"\0\0")
    assert list(found.endings())[1].endswith(b"\0\0\xff\xd9")
    found = jpeg.walk(KINDS_OF_JPEG["baseline"][:-2] + b"\0\0\0")
    assert not list(found.endings())[1].endswith(b"\0\xff\xd9")
    found = jpeg.walk(KINDS_OF_JPEG["baseline"][:-2] + b"\xff\0\0\0")
    assert list(found.endings())[1].endswith(b"\xff\0\xff\xd9")


@pytest.mark.parametrize(
    "extra",
    [
        segment(0xE0, b"JFIF\0"),
        segment(0xE2, b"MPF\0II*\0\x08\0\0\0\x01\0\x01\xb0\x04\0\x01\0\0\0\x02\0\0\0"),
        segment(0xE2, b"MPF\0"),
        segment(0xEE, b"Adobe"),
        segment(0xED, b"Photoshop 3.0\x00" + b"8BIM\x03\xed"),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE1, b"Exif\0\0"),
    ],
)
def test_no_damaged_metadata_refuses_a_sound_jpeg(extra: bytes, written: Written) -> None:
    data = KINDS_OF_JPEG["baseline"]
    assert same(decode(written(data[:2] + extra + data[2:])), decode(written(data)))


def test_a_mended_jpeg_still_stands_upright(written: Written) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(SOFT, exif=exif)
    assert same(decode(written(data[:2] + segment(0xE0, b"JFIF\0") + data[2:-2])), decode(written(data)))
    assert decode(written(data)).size == (120, 160)


@pytest.mark.parametrize(
    ("at", "value", "found"),
    [
        (1, 0xC3, "a lossless or hierarchical JPEG"),
        (4, 12, "a JPEG of 12 bits a sample"),
        (9, 2, "a JPEG of 2 channels"),
    ],
)
def test_a_jpeg_of_a_kind_that_is_not_read_is_called_that(at: int, value: int, found: str, written: Written) -> None:
    data = bytearray(KINDS_OF_JPEG["baseline"])
    frame = data.index(b"\xff\xc0")
    data[frame + at] = value
    if at == 1:
        data[frame + 4] = 16  # else Pillow may take it for a common one
    with pytest.raises(
        InputError, match=f"expected a JPEG of a common kind, found {found}, which is not read; save it"
    ):
        decode(written(bytes(data)))


def test_a_large_jpeg_is_decoded_at_an_eighth_and_a_progressive_one_is_not(written: Written) -> None:
    large = Image.new("L", (8000, 6300), 77)
    path = written(saved(large))
    assert decode(path, least_side=128).size == (1000, 788)
    with pytest.raises(InputError, match="expected 1 to 50000000 pixels, found 8000 x 6300"):
        decode(path)
    with pytest.raises(
        InputError, match="expected at most 50000000 pixels in a JPEG of several scans, found 8000 x 6300; .* baseline"
    ):
        decode(written(saved(large, progressive=True), "progressive.jpg"), least_side=128)
    assert decode(path, max_pixels=800_000, least_side=128).size == (1000, 788)
    with pytest.raises(InputError, match="expected 1 to 700000 pixels, found 1000 x 788"):
        decode(path, max_pixels=700_000, least_side=128)


@pytest.mark.parametrize(("width", "height", "is_read"), [(20_000, 10_000, True), (20_000, 10_001, False)])
def test_two_hundred_million_pixels_are_the_bound_of_a_jpeg(
    width: int, height: int, is_read: bool, written: Written
) -> None:
    data = bytearray(saved(Image.new("L", (16, 16))))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    before, path = Image.MAX_IMAGE_PIXELS, written(bytes(data))
    if is_read:
        assert decode(path, least_side=128).size == (2500, 1250)
    else:
        with pytest.raises(InputError, match="expected 1 to 200000000 pixels, found 20000 x 10001"):
            decode(path, least_side=128)
    assert before == Image.MAX_IMAGE_PIXELS
