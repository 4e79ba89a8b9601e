"""HEIC is read where its package is, for its price, upright, and loads nothing where no such picture is."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from heic_files import box, full, grid, saved_heic
from PIL import Image
from processes import loaded_after, run_patched
from sample_pictures import SOFT, Written, same, saved, write

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import InputError
from edge_nusa.pictures import heic, price
from edge_nusa.pictures.apart import Apart
from edge_nusa.pictures.pictures import decode, find_pictures

pytest.importorskip("pillow_heif", reason="needs the package of the extra heic")


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return partial(write, tmp_path)


@pytest.mark.parametrize("name", ["a.heic", "a.HEIC", "a.heif", "a.hif", "a.jpg", "photo"])
def test_a_heic_is_read_whatever_its_name(name: str, written: Written) -> None:
    assert same(decode(written(saved_heic(SOFT), name)), SOFT, 8)


def test_files_of_a_phones_endings_are_found_in_a_folder(written: Written, tmp_path: Path) -> None:
    names = ["a.heic", "b.HEIF", "c.hif", "d.avif", "e.jfif", "f.mpo", "g.tiff"]
    for name in names:
        written(b"x", name)
    assert [path.name for path in find_pictures(tmp_path)[0]] == names


def test_the_kinds_that_pillow_reads_by_itself_are_read_under_their_names(written: Written) -> None:
    second = SOFT.rotate(180)
    tiff = [SOFT.copy(), second.copy()]  # the writer of another kind leaves settings in a picture
    kinds = {
        "a.avif": saved(SOFT, "AVIF", quality=95),
        "a.jfif": saved(SOFT, "JPEG"),
        "a.mpo": saved(SOFT, "MPO", save_all=True, append_images=[second]),
        "a.tif": saved(tiff[0], "TIFF", save_all=True, append_images=tiff[1:]),
    }
    for name, data in kinds.items():
        assert same(decode(written(data, name)), SOFT, 40), name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_stands_upright_as_a_jpeg_of_the_same_direction_does(orientation: int, written: Written) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = decode(written(saved(SOFT, "JPEG", exif=exif)))
    assert same(decode(written(saved_heic(SOFT, exif=exif.tobytes()), "a.heic")), turned, 40)


def test_a_direction_of_the_metadata_alone_is_none_of_a_heics(written: Written) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    data = saved_heic(SOFT, exif=exif)
    assert b"irot" not in data and exif.tobytes()[-8:] in data
    assert same(decode(written(data)), SOFT, 8)


def test_the_first_picture_of_several_is_the_one_that_the_file_calls_so(written: Written) -> None:
    others = [SOFT.rotate(180), Image.new("RGB", (64, 64), (0, 200, 0))]
    data = saved_heic(SOFT, save_all=True, append_images=others)
    assert same(decode(written(data)), SOFT, 8)
    data = saved_heic(SOFT, save_all=True, append_images=others, primary_index=1)
    assert same(decode(written(data)), others[0], 12)


def test_grey_and_transparent_pictures_and_those_of_ten_bits_come_as_colours(written: Written) -> None:
    grey = SOFT.convert("L")
    assert same(decode(written(saved_heic(grey))), grey.convert("RGB"), 12)
    clear = SOFT.copy()
    clear.putalpha(128)
    assert decode(written(saved_heic(clear))).mode == "RGB"
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert same(decode(written(saved_heic(wide))), grey.convert("RGB"), 14)


@pytest.mark.parametrize("wide", [False, True])
def test_a_grid_of_tiles_is_one_picture(wide: bool, written: Written) -> None:
    tile = saved_heic(Image.new("RGB", (512, 512), (200, 30, 40)))
    image = decode(written(grid(tile, 3, 2, (1500, 900), wide=wide)))
    assert image.size == (1500, 900)
    assert same(image, Image.new("RGB", (1500, 900), (200, 30, 40)), 4)
    assert heic.worked_pixels(grid(tile, 3, 2, (1500, 900), wide=wide)) == 6 * 512 * 512


def test_a_grid_that_names_a_large_tile_many_times_is_refused_before_a_pixel_is_decoded(
    written: Written,
) -> None:
    tile = grid(saved_heic(Image.new("RGB", (512, 512))), 16, 16, (7000, 7000))
    tile = tile.replace(struct.pack(">II", 512, 512), struct.pack(">II", 4096, 4096))
    assert len(tile) < 20_000
    with pytest.raises(InputError, match=r"at most 1 s of a fast core, found HEIC of \d+ bytes that takes about 47"):
        decode(written(tile))


def test_a_heic_of_too_many_pixels_or_a_strange_shape_is_refused_by_its_header(written: Written) -> None:
    data = saved_heic(Image.new("RGB", (128, 64)))
    large = data.replace(struct.pack(">II", 128, 64), struct.pack(">II", 8000, 8000))
    with pytest.raises(InputError, match="expected 1 to 50000000 pixels, found 8000 x 8000; scale down"):
        decode(written(large))
    long = data.replace(struct.pack(">II", 128, 64), struct.pack(">II", 12800, 64))
    with pytest.raises(InputError, match="expected sides of at most 50 to 1, found 12800 x 64"):
        decode(written(long))
    with pytest.raises(InputError, match="takes at most 0 MiB of memory, found HEIC"):
        decode(written(data), room=8 * 128 * 64)


def test_a_header_that_lies_about_its_picture_is_refused(written: Written) -> None:
    data = saved_heic(Image.new("RGB", (1024, 1024)))
    for size in ((64, 64), (2048, 2048)):
        lying = data.replace(struct.pack(">II", 1024, 1024), struct.pack(">II", *size))
        with pytest.raises(InputError, match="expected a whole picture, found it cut or damaged"):
            decode(written(lying))


def parts_of(*links: tuple[int, list[int]]) -> bytes:
    """A file that says no more than what is put together from what."""
    boxes = [box(b"dimg", struct.pack(f">HH{len(parts)}H", item, len(parts), *parts)) for item, parts in links]
    size = full(b"ispe", 0, 0, struct.pack(">II", 10, 10))
    owner = full(b"ipma", 0, 0, struct.pack(">IHBB", 1, 9, 1, 1))
    primary = full(b"pitm", 0, 0, struct.pack(">H", 1))
    return full(b"meta", 0, 0, primary, full(b"iref", 0, 0, *boxes), box(b"iprp", box(b"ipco", size), owner))


def test_parts_count_as_often_as_they_are_named_at_any_depth() -> None:
    assert heic.worked_pixels(parts_of((1, [2, 2, 3]), (2, [9] * 5), (3, [9, 9]))) == 100 * 12
    assert heic.worked_pixels(parts_of((1, [2] * 9_000), (2, [9] * 9_000))) == 100 * 9_000**2
    assert heic.worked_pixels(parts_of()) == 0


def test_depth_and_number_of_parts_have_a_bound_and_a_circle_is_none() -> None:
    assert heic.worked_pixels(parts_of((1, [2]), (2, [3]), (3, [4]), (4, [9]))) == 100
    for deep in (parts_of((1, [2]), (2, [3]), (3, [4]), (4, [5]), (5, [9])), parts_of((1, [1]))):
        with pytest.raises(InputError, match="pictures within pictures to a depth of at most 4, found more"):
            heic.worked_pixels(deep)
    assert heic.worked_pixels(parts_of((1, [9] * price.MOST_RECORDS))) == 100 * price.MOST_RECORDS
    with pytest.raises(InputError, match="expected at most 20000 parts of pictures in a HEIC, found more"):
        heic.worked_pixels(parts_of((1, [9] * (price.MOST_RECORDS + 1))))


def test_many_boxes_are_refused_by_their_number(written: Written) -> None:
    data = saved_heic(SOFT)
    assert decode(written(data + b"\0\0\0\x08free" * 19_900)).size == SOFT.size
    with pytest.raises(InputError, match="expected at most 20000 boxes in a HEIC, found more; save the picture again"):
        decode(written(data + b"\0\0\0\x08free" * 20_001))


def test_every_cut_and_changed_heic_is_one_line_or_a_picture(written: Written) -> None:
    data = saved_heic(SOFT)
    random = np.random.default_rng(0)
    for _ in range(150):
        at, kind = int(random.integers(0, 700)), int(random.integers(0, 3))
        other = bytearray(data)
        if kind == 0:
            other = other[: int(random.integers(1, len(data)))]
        elif kind == 1:
            other[at] ^= 1 << int(random.integers(0, 8))
        else:
            other[at : at + 4] = random.bytes(4)
        try:
            assert decode(written(bytes(other))).mode == "RGB"
        except InputError as error:
            assert "\n" not in str(error)


def test_the_watchs_decoder_reads_one_too(written: Written) -> None:
    apart = Apart()
    try:
        assert same(decode(written(saved_heic(SOFT)), read=apart), SOFT, 8)
        assert same(decode(written(saved(SOFT)), read=apart), SOFT, 40)
    finally:
        apart.close()


def test_a_picture_of_twelve_megapixels_fits_the_decoder_of_the_watch(written: Written) -> None:
    tile = saved_heic(Image.new("RGB", (512, 512), (200, 30, 40)))
    apart = Apart()
    try:
        assert decode(written(grid(tile, 8, 6, (4032, 3024))), read=apart).size == (4032, 3024)
    finally:
        apart.close()


def test_asking_about_a_jpeg_loads_no_reader_of_heic(taught: Path, pictures: DemoPictures, written: Written) -> None:
    assert "pillow_heif" not in loaded_after("predict", pictures.asked["gravel"], "--state", taught)
    image = written(saved_heic(SOFT), "a.heic")
    assert "pillow_heif" in loaded_after("predict", image, "--state", taught)


def test_without_the_package_a_heic_says_what_to_install_or_to_set(taught: Path, written: Written) -> None:
    done = run_patched(
        "import sys; sys.modules['pillow_heif'] = None",
        "predict",
        written(saved_heic(SOFT), "IMG_0001.HEIC"),
        "--state",
        taught,
    )
    assert done.returncode == 1
    assert (
        'found HEIC, which this installation does not read; install what reads it (pip install "edge-nusa[heic]")'
        in done.stderr
    )
    assert "Settings > Camera > Formats > Most Compatible" in done.stderr
