"""STATE/sync/settings.json: to which fleet a state belongs, by which places, and what it is called there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edge_nusa.errors import InputError
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin

NAME = "settings.json"
FORMAT_VERSION = 2
LARGEST_BYTES = 1 << 16


@dataclass(frozen=True)
class Settings:
    """fleet: its name; device: the name of this device's key; sealing: that of the key which rounds are sealed to;
    store: where it pushes; rounds: the hub's mirror that it pulls from, None for the store; has_reports: whether the
    hub is told after a pull where this device stands."""

    fleet: str
    device: str
    sealing: str
    store: str
    rounds: str | None = None
    has_reports: bool = True

    def encoded(self) -> bytes:
        """The file's content."""
        fields = {"fleet": self.fleet, "device": self.device, "sealing": self.sealing, "store": self.store}
        rounds = {"rounds": self.rounds} if self.rounds else {}
        reports = {} if self.has_reports else {"reports": False}
        whole = {**fields, **rounds, **reports, "format_version": FORMAT_VERSION}
        return json.dumps(whole, sort_keys=True, allow_nan=False).encode() + b"\n"


def read(folder: Path) -> Settings:
    """The settings in a state's `sync` folder. Raises InputError where there are none, DamagedError for others than
    `Settings.encoded` made."""
    path = folder / NAME
    try:
        data = durable.read_at_most(path, LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError(
            f"{folder.parent}: expected a state that belongs to a fleet, found none; run `edge-nusa sync "
            "init STORE --root root.json`"
        ) from error
    except OSError as error:
        raise durable.storage_error(error, f"read {path}") from error
    return decode(data, str(path))


def decode(data: bytes, where: str) -> Settings:
    """The inverse of `Settings.encoded`. Raises DamagedError naming `where`."""
    record = parse(data, Origin(where, "run `edge-nusa sync init` again"), LARGEST_BYTES)
    record.version(FORMAT_VERSION, "use the edge-nusa that wrote it, or join with a new --state")
    rounds = record.text_or_none("rounds") if "rounds" in record else None
    fields = {name: record.text(name) for name in ("fleet", "device", "sealing", "store")}
    has_reports = record.flag("reports") if "reports" in record else True
    return Settings(**fields, rounds=rounds or None, has_reports=has_reports)
