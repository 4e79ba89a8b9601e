"""What a hub knows of the larger fleet that it is itself a device of: beside each of its rounds, in shares.json.

HUB/above/                   its part in that fleet, as a device's STATE/sync/ (`edge_nusa.above.membership`)
HUB/above/bases/SHA256.round the rounds of that fleet that kept rounds of this one hold
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_nusa.errors import DamagedError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_record import Record
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.knowledge import RoundMark
from edge_nusa.knowledge.stored import read_mark

FOLDER = "above"
LARGEST_ROUND_BYTES = 1 << 30
_MOST_PAIRS, _LARGEST_LOSS = 1 << 20, 2**53
Forgettings = tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Above:
    """mark: the round of the larger fleet that this round holds; folded: the number of the own round that took it;
    forgotten: own forgettings up to then, (label key, number of the own round), which the larger fleet was not told
    of; losses: the fusion's (8, 7), row by row, that came from above."""

    mark: RoundMark = RoundMark()
    folded: int = 0
    forgotten: Forgettings = ()
    losses: tuple[int, ...] = (0,) * math.prod(fusion.SHAPE)

    @property
    def is_used(self) -> bool:
        """Whether a round was ever taken from above."""
        return self.mark.number > 0

    def untold(self, forgotten: Mapping[str, int]) -> Forgettings:
        """Own forgettings that the round `mark` was not told of, oldest first. forgotten: those of the own round."""
        since = sorted((number, key) for key, number in forgotten.items() if number > self.folded)
        return (*self.forgotten, *((key, number) for number, key in since))

    def record(self) -> dict[str, Any]:
        """As shares.json has it."""
        return {
            "round": {"number": self.mark.number, "sha256": self.mark.sha256},
            "folded": self.folded,
            "forgotten": [list(pair) for pair in self.forgotten],
            "losses": list(self.losses),
        }


def read_above(record: Record) -> Above:
    """The inverse of `Above.record`. Raises the record's error."""
    return Above(
        mark=read_mark(record),
        folded=record.integer("folded"),
        forgotten=record.pairs("forgotten", _MOST_PAIRS),
        losses=record.whole_numbers("losses", math.prod(fusion.SHAPE), -_LARGEST_LOSS),
    )


class AboveRounds:
    """The kept rounds of the larger fleet in HUB/above/bases. folder: the hub's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER / "bases"

    def has(self, sha256: str) -> bool:
        """Whether the round with that SHA-256 is here."""
        return self._path(sha256).exists()

    def read(self, sha256: str) -> bytes:
        """A round's file. Raises DamagedError where it is missing or another."""
        path = self._path(sha256)
        try:
            data = durable.read_at_most(path, LARGEST_ROUND_BYTES)
        except FileNotFoundError as error:
            raise DamagedError(
                f"{path}: expected the larger fleet's round, found no file; restore the hub's folder from your backup"
            ) from error
        except OSError as error:
            raise durable.storage_error(error, f"read {path}") from error
        if sha256_hex(data) != sha256:
            raise DamagedError(f"{path}: expected the round with that SHA-256, found another; restore the file")
        return data

    def keep(self, data: bytes) -> None:
        """Keep a round."""
        path = self._path(sha256_hex(data))
        with durable.explained(f"write {path}"):
            durable.make_folder(path.parent)
            durable.replace_file(path, data)

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.round"
