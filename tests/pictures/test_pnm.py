"""PBM, PGM and PPM, plain and binary, of any largest value; cut and damaged ones are refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sample_pictures import Written, write

from edge_nusa.errors import InputError
from edge_nusa.pictures.pictures import decode


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return partial(write, tmp_path)


def pnm(kind: int, values: np.ndarray, largest: int = 255) -> bytes:
    size = b"P%d\n# by hand\n%d %d\n" % (kind, values.shape[1], values.shape[0])
    size += b"" if kind in (1, 4) else b"%d\n" % largest
    if kind <= 3:
        return size + b"# and here\n" + b" \n".join(b"%d" % value for value in values.ravel())
    if kind == 4:
        return size + np.packbits(values, axis=1).tobytes()
    return size + values.astype(np.uint8 if largest < 256 else ">u2").tobytes()


@pytest.mark.parametrize("largest", [1, 15, 255, 4095, 65535])
@pytest.mark.parametrize("kind", [2, 3, 5, 6])
def test_a_pnm_is_read_with_any_largest_value(kind: int, largest: int, written: Written) -> None:
    values = np.random.default_rng(0).integers(0, largest + 1, (5, 7, 3) if kind in (3, 6) else (5, 7))
    expected = np.floor(values * 255 / largest + 0.5).astype(np.uint8)
    found = np.asarray(decode(written(pnm(kind, values, largest), "a.pnm")))
    assert np.array_equal(found, expected if kind in (3, 6) else np.stack([expected] * 3, axis=-1))


@pytest.mark.parametrize("kind", [1, 4])
def test_ones_of_a_bitmap_are_black(kind: int, written: Written) -> None:
    values = np.random.default_rng(0).integers(0, 2, (5, 11))
    assert np.array_equal(np.asarray(decode(written(pnm(kind, values), "a.pbm")))[..., 0], np.where(values, 0, 255))
    assert np.asarray(decode(written(b"P1 3 1 101")))[0, :, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6])
def test_a_pnm_that_lacks_its_last_value_is_refused(kind: int, written: Written) -> None:
    values = np.ones((4, 8, 3) if kind in (3, 6) else (4, 8), int)
    with pytest.raises(InputError, match="expected a whole picture, found it cut or damaged"):
        decode(written(pnm(kind, values)[: -2 if kind <= 3 else -1]))


@pytest.mark.parametrize(
    "data",
    [
        b"P5 4 4",
        b"P5 4 4 0\n",
        b"P5 4 4 65536\n",
        b"P5 4\n",
        b"P2 1 1 9 x",
        b"P2 1 1 9 10",
        b"P1 1 1 7",
        b"P5 #" + b"x" * 70_000 + b"\n1 1 255\nx",
    ],
)
def test_a_damaged_pnm_is_refused(data: bytes, written: Written) -> None:
    with pytest.raises(InputError, match="expected a whole picture, found it cut or damaged"):
        decode(written(data))


def test_a_pnm_of_too_many_pixels_is_refused_unread(written: Written) -> None:
    with pytest.raises(InputError, match="expected 1 to 50000000 pixels, found 99999 x 99999"):
        decode(written(b"P6 99999 99999 255\n"))
