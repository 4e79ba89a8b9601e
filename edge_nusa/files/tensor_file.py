"""Reads and writes safetensors files within limits: nothing unexpected, oversized or not finite gets through."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.files import opening
from edge_nusa.files.foreign import decoded, shown
from edge_nusa.files.json_record import Origin

MAX_HEADER_BYTES = 1 << 20
_SOUND, _NEXT_STEP = "a sound safetensors file", "restore the file or export it again"
Expected = Mapping[str, tuple[str, tuple[int, ...]]]
"""Tensor name -> (numpy dtype name, shape); -1 in a shape admits any length."""


def encode(tensors: Mapping[str, np.ndarray]) -> bytes:
    """The safetensors form of the tensors, in name order, so that equal content gives equal bytes."""
    from safetensors.numpy import save

    # "format" is what transformers and open_clip look for; a second entry would make the order of bytes random
    return save({name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}, metadata={"format": "pt"})


def decode(data: bytes, where: str, expected: Expected | None = None) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file. `where` names the file in errors.

    Raises DamagedError for a header over 1 MiB, a malformed container, a missing, extra, misshapen or mistyped
    tensor (where `expected` is given), and for NaN or infinite numbers.
    """
    from safetensors.numpy import load

    check_header_length(data[:8], len(data), where)
    with decoded(Origin(where, _NEXT_STEP), _SOUND):
        json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]], object_pairs_hook=_without_repeats)
        tensors: dict[str, np.ndarray] = load(data)
    if expected is not None:
        check(tensors, where, expected)
    check_finite(tensors, where)
    return tensors


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are all different. Raises ValueError for one that comes twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key of its header comes twice")
    return found


def check_header_length(first_bytes: bytes, size: int, where: str) -> None:
    """Refuse a file that is too short or announces a header over 1 MiB, before any parser sees it."""
    if len(first_bytes) < 8:
        raise DamagedError(
            f"{where}: expected a safetensors file, found {size} bytes; restore the file or export it again"
        )
    length = struct.unpack("<Q", first_bytes[:8])[0]
    if length > MAX_HEADER_BYTES or length + 8 > size:
        raise DamagedError(
            f"{where}: its header announces {length} bytes, expected at most {min(MAX_HEADER_BYTES, size - 8)}; "
            "restore the file"
        )


def check_finite(tensors: Mapping[str, np.ndarray], where: str) -> None:
    """Raises DamagedError where a tensor holds NaN or infinite numbers."""
    for name, tensor in tensors.items():
        if np.issubdtype(tensor.dtype, np.inexact) and not np.isfinite(tensor).all():
            raise DamagedError(
                f"{where}: tensor {shown(name)} holds NaN or infinite numbers; restore the file or export it again"
            )


def check(tensors: Mapping[str, Any], where: str, expected: Expected) -> None:
    """Names, dtypes and shapes must be those expected, no more and no fewer."""
    wrong = sorted(set(tensors) ^ set(expected))
    if wrong:
        kind = "is missing" if wrong[0] in expected else "is not expected"
        raise DamagedError(
            f"{where}: tensor {shown(wrong[0])} {kind} ({len(wrong)} in all); the file belongs to another bundle or "
            "version"
        )
    for name, (dtype, shape) in expected.items():
        found = tensors[name]
        fits = len(found.shape) == len(shape) and all(
            want in (-1, have) for have, want in zip(found.shape, shape, strict=True)
        )
        if found.dtype.name != dtype or not fits:
            raise DamagedError(
                f"{where}: tensor {shown(name)} should be {dtype} {shape}, found {found.dtype.name} {found.shape}; "
                "export it again"
            )


class WeightFile:
    """Lazy reading of single tensors, or runs of their rows, as float32 from a large safetensors file
    (memory-mapped)."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        with opening.opened(path) as descriptor:
            first, size = opening.read(descriptor, 8), os.fstat(descriptor).st_size
            check_header_length(first, size, path.name)
            length = struct.unpack("<Q", first)[0]
            self._header: dict[str, Any] = {}
            with decoded(Origin(path.name, _NEXT_STEP), _SOUND):
                self._file = safe_open(path, framework="numpy")
                self._header = json.loads(opening.read(descriptor, length))
        self._names = set(self._file.keys())
        self._path, self._where, self._start = path, path.name, 8 + length

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows `start:stop` of a tensor, or all of it, as float32."""
        self._check_name(name)
        tensor = self._file.get_tensor(name) if stop is None else self._file.get_slice(name)[start:stop]
        return np.asarray(tensor, dtype=np.float32)

    def in_place(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The same, where float32 is stored without a copy: its pages are the file's and take no memory that the
        system could not take back. What is written into it (nothing should be) is never seen by the file."""
        self._check_name(name)
        entry = self._header[name]
        if entry["dtype"] != "F32":
            return self.rows(name, start, stop)
        first, last = entry["data_offsets"]
        words = self._mapped[self._start + first : self._start + last].view(np.float32)
        return np.asarray(words.reshape(entry["shape"])[start:stop])

    def all_in_place(self, expected: Expected) -> dict[str, np.ndarray]:
        """Every tensor of the file `in_place`. Raises DamagedError where they are not those expected, or not finite."""
        tensors = {name: self.in_place(name) for name in sorted(self._names)}
        check(tensors, self._where, expected)
        check_finite(tensors, self._where)
        return tensors

    @cached_property
    def _mapped(self) -> np.ndarray:
        with opening.opened(self._path) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            return np.memmap(file, dtype=np.uint8, mode="c")

    def _check_name(self, name: str) -> None:
        if name not in self._names:
            raise DamagedError(f"{self._where}: tensor {shown(name)} is missing; export the bundle again")
