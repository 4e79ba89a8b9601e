"""edge_nusa.pictures.pictures.decode against hostile files (row I1 of the fault list); hostile paths are in
test_pictures_paths.py."""

from __future__ import annotations

import io
import os
import struct
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.pictures.picture_file import MAX_BYTES
from edge_nusa.pictures.pictures import decode

SECONDS = 5.0
GREY = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
PHOTO = Image.fromarray(np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1))
CORNERS = np.kron(np.array([[250, 10, 60], [130, 190, 90]], np.uint8), np.ones((16, 16), np.uint8))
"""(32, 48): six plain blocks, different in every corner, so that each of the eight orientations looks different."""
STORED_AS: dict[int, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.T,
    6: lambda upright: upright[:, ::-1].T,
    7: lambda upright: upright[::-1, ::-1].T,
    8: lambda upright: upright[::-1].T,
}
"""By the EXIF standard: 6 says that the stored first row is the visual right side, its first column the visual top."""


def _saved(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, *extra: bytes, data: bytes = bytes(10)) -> bytes:
    """An 8-bit grey PNG that claims its size, whatever `data` its one image chunk unpacks to."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND", b"")


def _cut(data: bytes, percent: int) -> bytes:
    return data[: len(data) * percent // 100]


def _claiming(data: bytes, at: int, layout: str, *numbers: int) -> bytes:
    """`data` with other numbers packed at an offset."""
    return data[:at] + struct.pack(layout, *numbers) + data[at + struct.calcsize(layout) :]


def _frames(count: int) -> list[Image.Image]:
    return [Image.fromarray(np.full((8, 8), index % 256, np.uint8)) for index in range(count)]


def _decodable() -> dict[str, bytes]:
    """Odd files that are pictures all the same."""
    many = {"save_all": True, "append_images": _frames(300)[1:]}
    sixteen = Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64) * 16)
    modes = {mode: _saved(PHOTO.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA")}
    shapes = {f"{w}x{h}": _saved(Image.new("RGB", (w, h)), "PNG") for w, h in ((1, 1), (50, 1), (1, 50), (64, 64))}
    animations = {name: _saved(_frames(300)[0], name, **many) for name in ("GIF", "WEBP", "PNG")}
    plain = {name: _saved(PHOTO, name) for name in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")}
    return {
        **{f"mode {name}": data for name, data in modes.items()},
        **{f"black {name}": data for name, data in shapes.items()},
        **{f"animated {name}": data for name, data in animations.items()},
        **{f"plain {name}": data for name, data in plain.items()},
        "CMYK": _saved(PHOTO.convert("CMYK")),
        "grey JPEG": _saved(PHOTO.convert("L")),
        "progressive": _saved(PHOTO, progressive=True),
        "MPO": _saved(PHOTO, "MPO", save_all=True, append_images=[PHOTO]),
        "16 bit": _saved(sixteen, "PNG"),
        "palette with transparent bytes": _saved(PHOTO.quantize(8), "PNG", transparency=bytes(range(8))),
        "trailing bytes": _saved(PHOTO) + b"PK\x03\x04" * 1000,
        "broken EXIF": _saved(PHOTO, exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(100)),
        "EXIF of noise": _saved(PHOTO, exif=b"Exif\0\0" + GREY.tobytes()[:500]),
    }


def _refusable() -> dict[str, bytes]:
    """Files that are no picture, not a whole one, or too much of one."""
    jpeg, progressive = _saved(PHOTO), _saved(PHOTO, progressive=True)
    renamed = {name: _saved(PHOTO, name) for name in ("EPS", "PDF", "ICO", "TGA", "JPEG2000")}
    last_scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    frame = jpeg.index(b"\xff\xc0") + 5
    return {
        **{f"renamed {name}": data for name, data in renamed.items()},
        **{f"JPEG cut at {percent} %": _cut(jpeg, percent) for percent in (1, 10, 50, 90)},
        **{
            f"{name} cut in half": _cut(_saved(PHOTO, name), 50)
            for name in ("PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
        },
        "nothing": b"",
        "text": b"this is not a picture\n" * 100,
        "script": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "zeros": bytes(5000),
        "FITS": b"SIMPLE  =                    T".ljust(2880),
        "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(500),
        "JPEG of two bytes": jpeg[:2],
        "PNG signature": b"\x89PNG\r\n\x1a\n",
        "JPEG claiming 65500": _claiming(jpeg, frame, ">HH", 65500, 65500),
        "PNG claiming 20000": _png(20_000, 20_000),
        "PNG claiming 95 million pixels": _png(9_500, 10_000),
        "PNG claiming 49 million pixels": _png(7_000, 7_000),
        "PNG of 1 x 65535": _png(1, 65_535, data=bytes(2 * 65_535)),
        "PNG of 51 x 1": _saved(Image.new("L", (51, 1)), "PNG"),
        "PNG of no size": _png(0, 0),
        "GIF claiming 65535": _claiming(_saved(PHOTO, "GIF"), 6, "<HH", 65_535, 65_535),
        "BMP claiming 30000": _claiming(_saved(PHOTO, "BMP"), 18, "<ii", 30_000, 30_000),
        "BMP of negative width": _claiming(_saved(PHOTO, "BMP"), 18, "<i", -64),
        "WebP canvas of 16383": _claiming(
            _saved(PHOTO.convert("RGBA"), "WEBP", exif=b"Exif\0\0"), 24, "<IH", 0xFE003FFE, 0x003F
        ),
        "JPEG of 1000 scans": progressive[:-2] + last_scan * 1000 + b"\xff\xd9",
    }


def _either() -> dict[str, bytes]:
    """Files that a release of Pillow may read or refuse; neither may hang nor raise anything else."""
    bomb = zlib.compress(bytes(64_000_000), 9)
    good = bytes(9 * 8)
    return {
        "JPEG cut at 99 %": _cut(_saved(PHOTO), 99),
        "zTXt bomb": _png(8, 8, _chunk(b"zTXt", b"Comment\0\0" + bomb), data=good),
        "a hundred zTXt bombs": _png(
            8, 8, *[_chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(1_000_000)))] * 100, data=good
        ),
        "iTXt bomb": _png(8, 8, _chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb), data=good),
        "iCCP bomb": _png(8, 8, _chunk(b"iCCP", b"profile\0\0" + bomb), data=good),
        "IDAT bomb": _png(8, 8, data=bytes(64_000_000)),
        "wrong checksum": _claiming(_saved(PHOTO, "PNG"), 29, ">I", 0),
        "GIF cut at 99 %": _cut(_saved(PHOTO, "GIF"), 99),
        "JPEG of noise": b"\xff\xd8\xff\xe0" + GREY.tobytes(),
    }


DECODABLE, REFUSABLE, EITHER = _decodable(), _refusable(), _either()


def _outcome(path: Path) -> Image.Image | str:
    """The picture, or the one line it was refused with; fails on any other exception, a warning, or after 5 s."""
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            image = decode(path)
        except InputError as error:
            assert time.monotonic() - began < SECONDS
            assert str(error).isprintable()
            return str(error)
    assert time.monotonic() - began < SECONDS
    assert image.mode == "RGB"
    assert np.asarray(image).shape == (image.height, image.width, 3)
    return image


def _written(folder: Path, data: bytes, name: str = "picture.jpg") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_at_least_forty_different_hostile_files_are_tried() -> None:
    assert len({*DECODABLE.values(), *REFUSABLE.values(), *EITHER.values()}) >= 40


@pytest.mark.parametrize("name", DECODABLE)
def test_an_odd_picture_is_decoded_to_rgb(name: str, tmp_path: Path) -> None:
    assert isinstance(_outcome(_written(tmp_path, DECODABLE[name])), Image.Image)


@pytest.mark.parametrize("name", REFUSABLE)
def test_what_is_no_usable_picture_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    outcome = _outcome(_written(tmp_path, REFUSABLE[name]))
    assert isinstance(outcome, str)
    assert outcome.startswith(f"{tmp_path}/picture.jpg: expected ")
    assert len(outcome) < len(str(tmp_path)) + 250


@pytest.mark.parametrize("name", EITHER)
def test_a_doubtful_file_is_decoded_or_refused_and_nothing_else(name: str, tmp_path: Path) -> None:
    assert isinstance(_outcome(_written(tmp_path, EITHER[name])), (Image.Image, str))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_picture_stands_upright_whatever_its_exif_orientation(orientation: int, format: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED_AS[orientation](CORNERS)))
    image = decode(_written(tmp_path, _saved(stored, format, exif=exif.tobytes(), quality=95)))
    assert np.abs(np.asarray(image)[..., 0].astype(int) - CORNERS).max() <= 8


def test_sixteen_bit_grey_keeps_its_brightness(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 256, 32768, 65535]], np.uint16)
    image = decode(_written(tmp_path, _saved(Image.fromarray(values), "PNG")))
    assert np.asarray(image)[0, :, 1].tolist() == [0, 0, 1, 1, 128, 255]


def test_of_an_animation_only_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for format in ("GIF", "PNG", "WEBP"):
        image = decode(_written(tmp_path, _saved(frames[0], format, save_all=True, append_images=frames[1:])))
        assert np.abs(np.asarray(image).astype(int) - [255, 0, 0]).max() < 10


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path: Path) -> None:
    path = _written(tmp_path, _saved(PHOTO))
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(InputError, match=f"expected 1 to {MAX_BYTES} bytes, found {MAX_BYTES + 1}"):
        decode(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from([*(name for name in DECODABLE if len(DECODABLE[name]) < 20_000)]))
def test_any_bytes_changed_in_a_picture_are_decoded_or_refused(data: st.DataObject, name: str, tmp_path: Path) -> None:
    changed = bytearray(DECODABLE[name])
    for place in data.draw(st.lists(st.integers(0, min(200, len(changed) - 1)), min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    assert isinstance(_outcome(_written(tmp_path, bytes(changed))), (Image.Image, str))
