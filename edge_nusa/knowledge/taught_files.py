"""Which picture files were taught: 8 bytes of each file's SHA-256 with its label, so that the same folder taught again
adds only what is new in it.

They stay on the device: no update and no round holds them. From 8 bytes no picture can be made; who has a picture can
tell whether it was taught. Letters: N files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.files import tensor_file

NAME = "taught.safetensors"
"""The file of a generation that holds them."""
MOST_FILES = 50_000
"""So many are remembered, 12 bytes each; of more the oldest go."""
_EXPECTED: tensor_file.Expected = {"digests": ("uint64", (-1,)), "columns": ("int32", (-1,))}


def digest_of(sha256: str) -> int:
    """The first 8 bytes of a file's SHA-256, which is given in hex."""
    return int(sha256[:16], 16)


@dataclass(frozen=True)
class TaughtFiles:
    """digests (N,) uint64, oldest first, each once; columns (N,) int64: the place of each one's label among the
    knowledge's."""

    digests: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    columns: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @cached_property
    def column_of(self) -> Mapping[int, int]:
        """The column of each digest. Not to be changed."""
        return dict(zip(self.digests.tolist(), self.columns.tolist(), strict=True))

    def added(self, digests: np.ndarray, columns: np.ndarray) -> TaughtFiles:
        """With these too; one that is there already has its newest label, and of more than MOST_FILES the oldest go."""
        both = {**self.column_of}
        for digest, column in zip(digests.tolist(), columns.tolist(), strict=True):
            both.pop(digest, None)
            both[digest] = column
        kept = list(both.items())[-MOST_FILES:]
        return TaughtFiles(
            np.array([digest for digest, _ in kept], np.uint64), np.array([column for _, column in kept], np.int64)
        )

    def moved(self, places: Mapping[int, int]) -> TaughtFiles:
        """With labels at other places: old column -> new column; files of a label that has none are gone."""
        stays = np.isin(self.columns, list(places))
        columns = np.array([places[column] for column in self.columns[stays].tolist()], np.int64)
        return TaughtFiles(self.digests[stays], columns)

    def encoded(self) -> bytes:
        """The bytes of `taught.safetensors`."""
        return tensor_file.encode({"digests": self.digests, "columns": self.columns.astype(np.int32)})


def decoded(data: bytes, label_count: int) -> TaughtFiles:
    """The inverse of `encoded`, of a knowledge of so many labels. Raises DamagedError."""
    tensors = tensor_file.decode(data, NAME, _EXPECTED)
    digests, columns = tensors["digests"], tensors["columns"].astype(np.int64)
    is_sound = (
        len(digests) == len(columns) <= MOST_FILES
        and len(np.unique(digests)) == len(digests)
        and ((columns >= 0) & (columns < label_count)).all()
    )
    if not is_sound:
        raise DamagedError(
            f"{NAME}: expected at most {MOST_FILES} digests, each once and of one of {label_count} labels, found "
            "others; run `edge-nusa undo`"
        )
    return TaughtFiles(digests, columns)
