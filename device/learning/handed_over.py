"""What two processes hand each other: arrays and settings in a file without a name, passed by its descriptor.

A file with a name stays where both are killed, and these hold a row of each picture. One without is gone with the last
process that has it open. Arrays lie behind each other, each at a multiple of ALIGNED bytes, the settings as JSON at the
end.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from edge_nusa.files import durable

ALIGNED = 64
DOING = "hand the task over in the temporary folder (TMPDIR chooses another)"


@contextmanager
def nameless() -> Iterator[IO[bytes]]:
    """A file in the temporary folder that no name leads to."""
    with durable.explained("make a temporary file (TMPDIR chooses where)"):
        file = tempfile.TemporaryFile(prefix="edge-nusa-", buffering=0)  # noqa: SIM115 - closed below
    with file:
        yield file


def write(file: IO[bytes], arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> list[int]:
    """Write all of it; returns where the JSON begins and how long it is. Raises ResourceError for a full disk."""
    places, start = {}, 0
    with durable.explained(DOING):
        for name, array in arrays.items():
            data = np.ascontiguousarray(array)
            os.lseek(file.fileno(), start, os.SEEK_SET)
            write_all(file, data.reshape(-1).view(np.uint8).data if data.size else b"")
            places[name] = [start, data.dtype.str, list(data.shape)]
            start += -(-data.nbytes // ALIGNED) * ALIGNED
        words = json.dumps({"arrays": places, "settings": dict(settings)}, allow_nan=False).encode()
        os.lseek(file.fileno(), start, os.SEEK_SET)
        write_all(file, words)
    return [start, len(words)]


def read(file: IO[bytes], start: int, length: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays, mapped (what is written into them stays in this process), and the settings."""
    content = json.loads(os.pread(file.fileno(), length, start))
    return {name: _mapped(file, *place) for name, place in content["arrays"].items()}, content["settings"]


def write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """A system may take less than it was given at once."""
    left = memoryview(data)
    while left:
        left = left[os.write(file.fileno(), left) :]


def _mapped(file: IO[bytes], start: int, dtype: str, shape: list[int]) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype=dtype, mode="c", offset=start, shape=tuple(shape))
