"""The sets that pack pictures or labels into binary files: CIFAR-100 (a pickle), MNIST (idx), Flowers102 and
Stanford Cars (MATLAB).

A pickle is a program; here it is read and never run: only its strings and numbers are picked out. Pixels stay in the
files,
memory-mapped, but for a gzipped idx file, which is unpacked (47 MB for MNIST). Letters: B pictures.
"""

from __future__ import annotations

import gzip
import io
import pickletools
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from edge_nusa.errors import InputError, MissingPackageError
from edge_nusa.pictures import printable
from edge_nusa.research.data.sets import Example

CIFAR_SHAPE = (3, 32, 32)
LONGEST_WORD = 1024
"""Bytes; a longer string of a pickle is not read, only its place is noted. CIFAR's words have less than 60, one
picture has 3,072."""
MAX_IDX_BYTES = 256 * 2**20
"""Of a gzipped idx file, unpacked; MNIST has 47 MB."""
AGAIN = "unpack the data set again"
LENGTHS = {
    "SHORT_BINSTRING": "<B",
    "BINSTRING": "<i",
    "SHORT_BINBYTES": "<B",
    "BINBYTES": "<I",
    "BINBYTES8": "<Q",
    "SHORT_BINUNICODE": "<B",
    "BINUNICODE": "<I",
}
"""The opcodes of a pickle that hold a string, each with the format of its length."""
NUMBERS = {"BININT", "BININT1", "BININT2"}
OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}


@dataclass(frozen=True)
class Stretch:
    """A long string inside a file: where it starts and how many bytes it has."""

    offset: int
    length: int


def read_cifar100(folder: Path, keys: list[str]) -> list[Example]:
    """The files train and test; fine labels, each the index of its key."""
    return [
        example
        for part in ("train", "test")
        for example in _numbered(*_cifar_part(folder / part), keys, part == "test", folder / part)
    ]


def _cifar_part(file: Path) -> tuple[np.ndarray, list[int]]:
    """Pixels (B, 32, 32, 3) uint8, memory-mapped, and B labels of one CIFAR pickle. Raises InputError for another
    content."""
    try:
        with file.open("rb") as opened:
            tokens = list(_tokens(opened))
        stretch = next((token for token in _after("data", tokens) if isinstance(token, Stretch)), Stretch(0, 0))
        labels = [token for token in _until_word(_after("fine_labels", tokens)) if isinstance(token, int)]
        if not labels or stretch.length != len(labels) * int(np.prod(CIFAR_SHAPE)):
            raise ValueError(f"{len(labels)} labels for {stretch.length} bytes of pixels")
    except (OSError, ValueError, struct.error) as error:
        raise InputError(
            f"{printable(file)}: expected the pickle of CIFAR-100 with data and fine_labels, found {_reason(error)}; "
            f"{AGAIN}"
        ) from error
    pixels = np.memmap(file, np.uint8, "r", stretch.offset, (len(labels), *CIFAR_SHAPE))
    return pixels.view(np.ndarray).transpose(0, 2, 3, 1), labels


def _tokens(file: BinaryIO) -> Iterator[str | int | Stretch]:
    """The strings and numbers of a pickle in their order; nothing is built or called. Raises ValueError or
    struct.error for another file."""
    while (code := file.read(1)) != b".":
        opcode = OPCODES.get(code)
        if opcode is None:
            raise ValueError(f"no opcode of a pickle before byte {file.tell()}")
        if opcode.name in LENGTHS:
            form = LENGTHS[opcode.name]
            (length,) = struct.unpack(form, file.read(struct.calcsize(form)))
            if length < 0:
                raise ValueError(f"a string of {length} bytes")
            if length <= LONGEST_WORD:
                yield file.read(length).decode("latin-1")
            else:
                yield Stretch(file.tell(), length)
                file.seek(length, io.SEEK_CUR)
        elif opcode.arg is not None:
            value = opcode.arg.reader(file)
            if opcode.name in NUMBERS:
                yield value


def _after(word: str, tokens: list[str | int | Stretch]) -> list[str | int | Stretch]:
    """The tokens behind `word`. Raises ValueError where it is not among them."""
    return tokens[tokens.index(word) + 1 :]


def _until_word(tokens: Iterable[str | int | Stretch]) -> Iterator[int | Stretch]:
    for token in tokens:
        if isinstance(token, str):
            return
        yield token


def read_mnist(folder: Path, keys: list[str]) -> list[Example]:
    """raw/train-images-idx3-ubyte and its three companions, each as it is or with .gz."""
    examples = []
    for part, is_test in (("train", False), ("t10k", True)):
        pixels, labels = (
            _idx(folder / "raw" / f"{part}-images-idx3-ubyte", 3),
            _idx(folder / "raw" / f"{part}-labels-idx1-ubyte", 1),
        )
        examples += _numbered(pixels, labels.tolist(), keys, is_test, folder / "raw" / part)
    return examples


def _idx(file: Path, axes: int) -> np.ndarray:
    """The uint8 array of an idx file: 0, 0, 8 (uint8) and the number of axes, a byte each; big-endian sizes, 4 bytes
    each; values."""
    packed = file.with_name(f"{file.name}.gz")
    source = file if file.exists() else packed
    start = 4 + 4 * axes
    try:
        with file.open("rb") if source is file else gzip.open(packed) as opened:
            magic = list(opened.read(4))
            shape = struct.unpack(f">{axes}I", opened.read(4 * axes))
            if magic != [0, 0, 8, axes]:
                raise ValueError(f"it starts with {magic}")
            count = int(np.prod(shape, dtype=object))
            if source is file:
                return np.memmap(file, np.uint8, "r", start, shape).view(np.ndarray)
            if count > MAX_IDX_BYTES:
                raise ValueError(f"{count} bytes, more than {MAX_IDX_BYTES}")
            # One byte more than there should be: only at its end does gzip compare the checksum.
            return np.frombuffer(opened.read(count + 1), np.uint8).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise InputError(
            f"{printable(source)}: expected an idx file of bytes with {axes} axes, found {_reason(error)}; {AGAIN}"
        ) from error


def read_flowers(folder: Path, _: list[str]) -> list[Example]:
    """imagelabels.mat: the class of each picture; setid.mat: the pictures' numbers of each part. Keys are the
    classes' numbers from 1."""
    labels = dict(enumerate(_numbers(_mat(folder / "imagelabels.mat", "labels")), 1))
    parts = {part: _numbers(_mat(folder / "setid.mat", part)) for part in ("trnid", "tstid")}
    beyond = [number for numbers in parts.values() for number in numbers if number not in labels]
    if beyond:
        raise InputError(
            f"{printable(folder / 'setid.mat')}: expected pictures from 1 to {len(labels)}, found {beyond[0]}; {AGAIN}"
        )
    return [
        Example(str(labels[number]), folder / "jpg" / f"image_{number:05d}.jpg", part == "tstid")
        for part, numbers in parts.items()
        for number in numbers
    ]


def read_stanford_cars(folder: Path, _: list[str]) -> list[Example]:
    """A record for each picture with `fname` and `class`, the classes' numbers from 1, which are the keys."""
    files = {
        "cars_train": folder / "devkit" / "cars_train_annos.mat",
        "cars_test": folder / "cars_test_annos_withlabels.mat",
    }
    examples = []
    for pictures, file in files.items():
        records = np.atleast_1d(_mat(file, "annotations"))
        if not {"fname", "class"} <= set(records.dtype.names or ()):
            raise InputError(
                f"{printable(file)}: expected records with fname and class, found {records.dtype.names or 'none'}; "
                f"{AGAIN}"
            )
        examples += [
            Example(str(record["class"]), folder / pictures / str(record["fname"]), pictures == "cars_test")
            for record in records
        ]
    return examples


def _mat(file: Path, name: str) -> Any:
    """One array of a MATLAB file. Raises InputError where it is missing; MissingPackageError without scipy."""
    try:
        from scipy.io import loadmat  # type: ignore[import-untyped]
        from scipy.io.matlab import MatReadError  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError(
            'the lists of Flowers102 and Stanford Cars need scipy; install it with `pip install "edge-nusa[eval]"`'
        ) from error
    try:
        return loadmat(str(file), squeeze_me=True)[name]
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise InputError(
            f"{printable(file)}: expected a MATLAB file with {name!r}, found {_reason(error)}; {AGAIN}"
        ) from error


def _numbers(array: Any) -> list[int]:
    return np.atleast_1d(array).astype(np.int64).tolist()


def _numbered(pixels: np.ndarray, labels: list[int], keys: list[str], is_test: bool, where: Path) -> list[Example]:
    """An example for each picture and its label, an index of `keys`. Raises InputError where they do not fit."""
    if len(pixels) != len(labels) or not all(0 <= label < len(keys) for label in labels):
        found = f"{len(pixels)} pictures and {len(labels)} labels up to {max(labels, default=0)}"
        raise InputError(
            f"{printable(where)}: expected a label from 0 to {len(keys) - 1} for each picture, found {found}; {AGAIN}"
        )
    return [Example(keys[label], picture, is_test) for picture, label in zip(pixels, labels, strict=True)]


def _reason(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)[:200]
