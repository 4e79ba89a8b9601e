"""A picture is what its content says, whatever its name and metadata; what is not read is refused with the true
reason."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_pictures import KINDS_OF_JPEG, SOFT, Written, chunk, same, saved, write

from edge_nusa.errors import InputError
from edge_nusa.pictures.pictures import decode


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return partial(write, tmp_path)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000))),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(3_000_000))),
        chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000))) * 70,
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(np.random.default_rng(0).bytes(2_000_000))),
        chunk(b"iCCP", b"profile\0\7"),
        chunk(b"pHYs", b"12")[:-1] + b"!",
        chunk(b"eXIf", b"MM")[:-1] + b"!",
        chunk(b"tRNS", b"\0"),
        chunk(b"acTL", b"\0"),
    ],
)
def test_no_metadata_of_any_size_or_state_refuses_a_sound_png(extra: bytes, written: Written) -> None:
    data = saved(SOFT, "PNG")
    header = 8 + 25
    assert same(decode(written(data[:header] + extra + data[header:])), SOFT)
    assert same(decode(written(data[:-12] + extra + data[-12:])), SOFT)


def test_a_png_without_its_metadata_keeps_palette_and_direction(written: Written) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    data = saved(SOFT.quantize(16), "PNG", exif=exif)
    whole = decode(written(data))
    assert whole.size == (120, 160)
    assert same(
        decode(written(data[:33] + chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(3_000_000))) + data[33:])), whole
    )


def test_a_cut_png_is_called_cut_whatever_its_metadata(written: Written) -> None:
    data = saved(SOFT, "PNG")
    data = data[:33] + chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000) + data[33:]
    with pytest.raises(InputError, match="expected a whole picture, found it cut or damaged"):
        decode(written(data[:-3000]))


def test_damaged_exif_does_not_refuse_a_sound_avif(written: Written) -> None:
    exif = Image.Exif()
    exif[0x010E] = "description"
    data = saved(SOFT, "AVIF", exif=exif)
    block = data.index(b"II*\0" if b"II*\0" in data else b"MM\0*")
    broken = data[:block] + b"?" * 8 + data[block + 8 :]
    assert same(decode(written(broken)), decode(written(data)))


def bmp(bits: int, compression: int, header: int = 40) -> bytes:
    body = struct.pack("<IiiHHIIiiII", header, 8, 8, 1, bits, compression, 256, 0, 0, 0, 0).ljust(
        header, b"\0"
    ) + bytes(1024)
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 14 + header) + body


@pytest.mark.parametrize(
    ("bits", "compression", "header"),
    [(24, 4, 40), (24, 5, 40), (2, 0, 40), (64, 0, 40), (24, 11, 40), (24, 0, 60), (16, 3, 40)],
)
def test_a_bmp_of_a_kind_that_is_not_read_is_called_that_and_not_damaged(
    bits: int, compression: int, header: int, written: Written
) -> None:
    with pytest.raises(
        InputError,
        match=r"expected a picture of a common kind, found one that is not read \(Unsupported BMP .*; "
        r"convert it to JPEG or PNG",
    ):
        decode(written(bmp(bits, compression, header)))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "found a camera's raw file"),
        (b"II*\0\x10\0\0\0CR\2\0", "found a camera's raw file"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isom", "found a video"),
        (b"\xff\x0a\xfa\x1f", "found JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "found JPEG 2000"),
        (b"%PDF-1.7", "found a PDF"),
        (b"<?xml version='1.0'?><svg>", "found SVG"),
        (b"\n<!DOCTYPE html><html>", "found a web page; download the picture itself"),
        (b"PK\x03\x04", "found an archive; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1", "found a pointer of Git LFS"),
        (bytes(5000), "found nothing but zero bytes; copy or save it again"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI", "found a PNG of Apple's own kind"),
        (b"Pf\n4 4\n-1.0\n", "found something else or a damaged header"),
        (b"not a picture", "found something else or a damaged header; convert or replace it"),
    ],
)
def test_what_is_no_picture_is_called_by_its_content(data: bytes, found: str, written: Written) -> None:
    with pytest.raises(
        InputError, match=f"expected the content of a JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, GIF or PNM, {found}"
    ):
        decode(written(data.ljust(40, b"\0")))


@pytest.mark.parametrize("name", ["a.heic", "a.txt", "photo", "a.png"])
def test_a_jpeg_is_read_under_any_name(name: str, written: Written) -> None:
    assert decode(written(KINDS_OF_JPEG["baseline"], name)).size == SOFT.size


@pytest.mark.parametrize("brands", [b"avif\0\0\0\0avifmif1", b"mif1\0\0\0\0avifmif1"])
def test_an_avif_is_known_by_any_of_its_brands(brands: bytes, written: Written) -> None:
    data = saved(SOFT, "AVIF")
    size = int.from_bytes(data[:4], "big")
    assert decode(written(data[:8] + brands[:4] + data[12:size] + data[size:])).size == SOFT.size
