"""STATE/sync/settings.json: to which fleet a state belongs, by which places, and what it is called there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files import durable

NAME = "settings.json"
FORMAT_VERSION = 1
LARGEST_BYTES = 1 << 16


@dataclass(frozen=True)
class Settings:
    """fleet: its name; device: the name of this device's key; store: where it pushes; rounds: the hub's mirror that it
    pulls from, None for the store."""

    fleet: str
    device: str
    store: str
    rounds: str | None = None

    def encoded(self) -> bytes:
        """The file's content."""
        fields = {"fleet": self.fleet, "device": self.device, "store": self.store, "format_version": FORMAT_VERSION}
        return (
            json.dumps({**fields, **({"rounds": self.rounds} if self.rounds else {})}, sort_keys=True).encode() + b"\n"
        )


def read(folder: Path) -> Settings:
    """The settings in a state's `sync` folder. Raises InputError where there are none, DamagedError for others than
    `Settings.encoded` made."""
    path = folder / NAME
    try:
        record = json.loads(durable.read_at_most(path, LARGEST_BYTES))
        if record["format_version"] != FORMAT_VERSION:
            raise DamagedError(
                f"{path}: expected format {FORMAT_VERSION}, found {record['format_version']!r}; use the edge-nusa "
                "that wrote it"
            )
        rounds = str(record["rounds"]) if record.get("rounds") else None
        return Settings(str(record["fleet"]), str(record["device"]), str(record["store"]), rounds)
    except FileNotFoundError as error:
        raise InputError(
            f"{folder.parent}: expected a state that belongs to a fleet, found none; run `edge-nusa sync "
            "init STORE --root root.json`"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(
            f"{path}: expected a fleet's settings, found something else ({error}); run `edge-nusa sync init` again"
        ) from error
