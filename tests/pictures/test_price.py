"""Pictures have a price: records are counted before a decoder sees them, and time and memory told before a pixel is
decoded."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import costly
import numpy as np
import pytest
from PIL import Image
from sample_pictures import KINDS_OF_JPEG, SOFT, Written, chunk, same, saved, segment, write

from edge_nusa.errors import InputError
from edge_nusa.pictures import boxes, gif, jpeg, jpeg_reading, png, pnm, price, tiff
from edge_nusa.pictures.bounds import Bounds
from edge_nusa.pictures.pictures import MOST_ROOM, decode


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return partial(write, tmp_path)


@pytest.mark.parametrize(
    ("kind", "pixels", "bytes", "room", "text"),
    [
        ("JPEG", 1000, 50, 0, 3),
        ("JPEG of several scans", 1666, 20, 0, 3),
        ("arithmetic JPEG", 50, 10, 0, 3),
        ("PNG", 222, 200, 8, 3),
        ("GIF", 181, 83, 5, 3),
        ("BMP", 333, 1000, 5, 3),
        ("run-length BMP", 166, 5, 5, 3),
        ("WebP", 71, 66, 16, 3),
        ("AVIF", 111, 10, 10, 3),
        ("HEIC", 90, 10, 8, 3),
        ("TIFF", 285, 166, 8, 3),
        ("fax TIFF", 200, 16, 5, 3),
        ("PNM", 166, 1000, 8, 3),
        ("plain PNM", None, 33, 0, 14),
    ],
)
def test_each_kind_is_taken_up_to_its_price_and_not_beyond(
    kind: str, pixels: int | None, bytes: int, room: int, text: int
) -> None:
    """pixels and bytes: so many millions take a second; room and text: bytes of memory a pixel and a byte."""
    for millions, is_pixels in ((pixels, True), (bytes, False)):
        if millions is not None:
            most, more = millions * 1_000_000, millions * 1_020_000 + 500_000
            price.check(kind, most * is_pixels, most * (not is_pixels), 10**12)
            with pytest.raises(InputError, match=f"takes at most 1 s of a fast core, found {kind} of .* scale it down"):
                price.check(kind, more * is_pixels, more * (not is_pixels), 10**12)
    price.check(kind, 1000, 100, 1000 * room + 100 * text)
    with pytest.raises(InputError, match=f"takes at most 0 MiB of memory, found {kind} of 100 bytes .*; scale it down"):
        price.check(kind, 1000, 100, 1000 * room + 100 * text - 1)


def test_work_is_counted_once_for_each_time_a_pixel_is_worked_on() -> None:
    price.check("PNG", 22_000_000, 0, 10**12, 10)
    with pytest.raises(InputError, match=r"about 1\.0[34] s"):
        price.check("PNG", 23_000_000, 0, 10**12, 10)


MANY = 20_000


def pgm(comments: int) -> bytes:
    return b"P2 10 10 255\n" + b"#\n" * comments + b"1 " * 100


def gif_of(extra: bytes) -> bytes:
    return costly.in_gif(extra)


@pytest.mark.parametrize(
    ("made", "least", "what"),
    [
        (lambda n: costly.in_jpeg(segment(0xFE, b""), n), 7, "segments in a JPEG"),
        (lambda n: costly.in_png(chunk(b"prVt", b"") * n), 2, "chunks in a PNG"),
        (lambda n: costly.in_gif(b"\x21\xfe\x01A\0" * n), 0, "blocks before the picture of a GIF"),
        (lambda n: costly.in_gif(b"\x21\xfe" + b"\x01A" * n + b"\0"), 0, "parts of a block of a GIF"),
        (lambda n: costly.in_webp(b"XYZW\0\0\0\0" * n), 1, "chunks in a WebP"),
        (lambda n: costly.small("AVIF") + b"\0\0\0\x08free" * n, 5, "boxes in an AVIF"),
        (pgm, 0, "comments in a PNM"),
    ],
)
def test_twenty_thousand_records_are_read_and_few_more_are_not(
    made: Callable[[int], bytes], least: int, what: str, written: Written
) -> None:
    assert decode(written(made(MANY - 40), "many")).size[0] in (10, 64)
    with pytest.raises(InputError, match=f"expected at most 20000 {what}, found more; save the picture again"):
        decode(written(made(MANY + 1 - least), "more"))


@pytest.mark.parametrize("module", [boxes, gif, png, pnm])
def test_records_have_one_bound(module: object) -> None:
    assert getattr(module, "MOST_RECORDS") == jpeg.MOST_SEGMENTS == MANY  # noqa: B009 - a module of four


def test_frames_of_a_webp_are_looked_into() -> None:
    frames = [Image.new("RGB", (16, 16), (80 * index, 0, 0)) for index in range(3)]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    at = data.index(b"ANMF")
    inside = data[at : at + 4] + struct.pack("<I", 16 + 8 * MANY) + data[at + 8 : at + 24] + b"XYZW\0\0\0\0" * MANY
    with pytest.raises(InputError, match="expected at most 20000 chunks in a WebP"):
        boxes.check_webp(data[:at] + inside)


@pytest.mark.parametrize("box", [b"meta\0\0\0\0", b"moov", b"stbl"])
def test_boxes_of_an_avif_are_looked_into(box: bytes) -> None:
    inside = box + b"\0\0\0\x08free" * MANY
    with pytest.raises(InputError, match="expected at most 20000 boxes in an AVIF"):
        boxes.check_boxes(struct.pack(">I", len(inside) + 4) + inside)
    boxes.check_boxes(struct.pack(">I", len(inside) + 4) + b"mdat" + inside)
    boxes.check_boxes(struct.pack(">I4sQ", 1, b"mdat", len(inside) + 16) + inside)
    boxes.check_boxes(struct.pack(">I4s", 0, b"mdat") + inside)


def test_a_gif_is_the_same_without_the_blocks_before_its_picture(written: Written) -> None:
    picture = SOFT.quantize(64)
    picture.info["transparency"] = 3
    data = saved(picture, "GIF", comment=b"hello", transparency=3)
    assert b"hello" not in gif.first_picture(data)
    assert b"\x21\xf9" in gif.first_picture(data)
    assert same(decode(written(data)), SOFT.quantize(64).convert("RGB"))


def test_of_a_png_the_first_block_that_may_say_a_direction_is_kept_and_no_large_one(written: Written) -> None:
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'
    assert decode(written(costly.in_png(b""))).size == (64, 64)
    data = saved(SOFT, "PNG")
    assert decode(written(data[:33] + chunk(b"iTXt", xmp) + data[33:])).size == (120, 160)
    twice = chunk(b"iTXt", xmp + bytes(300_000)) + chunk(b"iTXt", xmp)
    assert decode(written(data[:33] + twice + data[33:])).size == (160, 120)
    kept = chunk(b"eXIf", bytes(256 * 1024))
    assert kept in png.without_metadata(data[:33] + kept + data[33:])
    assert b"eXIf" not in png.without_metadata(data[:33] + chunk(b"eXIf", bytes(256 * 1024 + 1)) + data[33:])


def test_of_a_jpeg_one_exif_block_and_one_of_xmp_are_kept_and_still_say_the_direction(written: Written) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(SOFT, exif=exif)
    at = data.index(b"\xff\xe1")
    block = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    assert decode(written(data[:2] + block * 5 + data[2:])).size == (120, 160)
    assert jpeg.trimmed(data[:2] + block * 5 + data[2:]).data.count(b"Exif\0\0") == 1
    plain = KINDS_OF_JPEG["baseline"]
    xmp = segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="8"/>')
    assert decode(written(plain[:2] + xmp * 2 + plain[2:])).size == (120, 160)


def test_a_large_exif_block_is_not_read(written: Written) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "x" * (256 * 1024 - 100)
    assert decode(written(saved(SOFT, "WEBP", exif=exif))).size == (120, 160)
    exif[0x010E] = "x" * (256 * 1024)
    assert decode(written(saved(SOFT, "WEBP", exif=exif))).size == (160, 120)


def test_of_a_damaged_jpeg_a_decoder_sees_little() -> None:
    data = b"\xff\xd8" + segment(0xFE, b"x") * 3 + b"\xff\xe3\0\0" * 100_000
    assert len(jpeg.trimmed(data).data) == 2 + 4096
    assert jpeg.trimmed(data).frame == 0


def test_what_lies_behind_the_end_of_a_jpeg_costs_nothing(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    data = KINDS_OF_JPEG["progressive"]
    monkeypatch.setattr(price, "MOST_SECONDS", len(data) * 70e-9 + SOFT.width * SOFT.height * 20 * 0.6e-9)
    assert same(decode(written(data + b"\xff\xda film" * 1000)), decode(written(data)))
    with pytest.raises(InputError, match="found JPEG of several scans"):
        decode(written(data[:-2]))  # which is decoded three times


@pytest.mark.parametrize(
    ("frame", "components", "kind"),
    [
        (0xC0, 3, "JPEG"),
        (0xC1, 3, "JPEG"),
        (0xC0, 1, "JPEG of several scans"),
        (0xC2, 3, "JPEG of several scans"),
        (0xC9, 3, "arithmetic JPEG"),
        (0xCA, 3, "arithmetic JPEG"),
    ],
)
def test_a_jpeg_is_priced_by_its_frame_and_its_first_scan(
    frame: int, components: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(KINDS_OF_JPEG["baseline"])
    data[data.index(b"\xff\xc0") + 1] = frame
    data[data.index(b"\xff\xda") + 4] = components
    asked = []
    monkeypatch.setattr(price, "check", lambda kind, *rest: asked.append(kind))
    jpeg_reading._check_price(jpeg.trimmed(bytes(data)), bytes(data), 1, Bounds(1, None, 1))
    assert asked == [kind]


@pytest.mark.parametrize(
    ("bits", "colour", "work"), [(8, 2, 4), (16, 2, 7), (16, 6, 9), (1, 3, 1.125), (8, 4, 3), (8, 0, 2)]
)
def test_the_work_of_a_png_is_in_its_header(bits: int, colour: int, work: float) -> None:
    assert png.work_a_pixel(bytes(24) + bytes([bits, colour])) == work


def test_tiles_count_whole(written: Written) -> None:
    tiles = [zlib.compress(bytes(64 * 64 * 3))] * 4
    assert decode(written(costly.tiff((65, 65), 8, tiles, (64, 64)))).size == (65, 65)
    values = {256: np.array([65]), 257: np.array([65]), 322: np.array([64]), 323: np.array([64]), 324: np.array([1])}
    assert tiff._worked_pixels(values) == 128 * 128
    del values[324]
    assert tiff._worked_pixels(values) == 65 * 65


@pytest.mark.parametrize(("scans", "is_read"), [(1, True), (4, True), (5, False)])
def test_a_part_of_a_tiff_has_at_most_four_scans(scans: int, is_read: bool) -> None:
    part = b"\xff\xda" * scans
    data, one = part * 2, np.array([0, len(part)])
    if is_read:
        tiff._check_scans(data, one, np.array([len(part)] * 2))
    else:
        with pytest.raises(InputError, match="expected at most 4 scans in a part of a TIFF, found more; save"):
            tiff._check_scans(data, one, np.array([len(part)] * 2))


def test_grey_of_sixteen_bits_is_scaled_alike_in_every_row(written: Written) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (700, 40), np.uint16)
    found = np.asarray(decode(written(saved(Image.fromarray(values), "PNG"))))[..., 0]
    assert (found == ((values.astype(int) + 128) // 257)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", costly.REFUSED)
def test_what_costs_more_is_refused_before_it_does(name: str, tmp_path: Path) -> None:
    suffix, make = costly.REFUSED[name]
    if suffix == ".heic":
        pytest.importorskip("pillow_heif", reason="needs the package of the extra heic")
    (tmp_path / f"a{suffix}").write_bytes(make())
    seconds, mebibytes, said = costly.cost(tmp_path / f"a{suffix}")
    assert said.startswith("refused")
    assert (seconds < 0.5, mebibytes < 64) == (True, True), (seconds, mebibytes)


@pytest.mark.slow
@pytest.mark.parametrize("name", costly.TAKEN)
def test_what_is_decoded_costs_about_a_second_and_half_a_gibibyte_at_most(name: str, tmp_path: Path) -> None:
    suffix, make = costly.TAKEN[name]
    if suffix == ".heic":
        pytest.importorskip("pillow_heif", reason="needs the package of the extra heic")
    (tmp_path / f"a{suffix}").write_bytes(make())
    seconds, mebibytes, said = costly.cost(tmp_path / f"a{suffix}")
    assert said.startswith("decoded")
    assert (seconds < 2, mebibytes < MOST_ROOM >> 20) == (True, True), (seconds, mebibytes)  # 1 s on a quiet machine
