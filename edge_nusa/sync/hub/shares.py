"""What every device has given, beside the hub's round: shares.json, and a file a device that it names by SHA-256.

    HUB/given/SHA256.given   `edge_nusa.sync.hub.given_file`, written before the generation that names it

shares.json, in each generation of HUB/state: "forgettings" (label key -> the rounds that took it back), "cores_round"
(the last one that took up the cores that waited), "bad" (how many bad devices its merge allowed for), "content" (the
generation whose content this one has, where an undo went back to it), and by device "sha256", "pictures",
"freedom", "tasks", "fusion" and "waiting" (the last round in which its cores began to wait). "above"
(`edge_nusa.sync.hub.above`) is there where the hub has taken rounds of a larger fleet.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.knowledge import fusion
from edge_nusa.sync.hub import given as givens
from edge_nusa.sync.hub import given_file
from edge_nusa.sync.hub.above import Above, read_above
from edge_nusa.sync.hub.given import Given

FORMAT_VERSION = 1
NAME = "shares.json"
LARGEST_BYTES = 256 << 20
MOST_FORGETTINGS = 100
"""Of one label."""
_NEXT_STEP = "restore the hub's folder from your backup"


@dataclass(frozen=True, kw_only=True)
class Share:
    """Of one device: the file of what it gave, pictures of all labels, degrees of freedom of its scatter, tasks and
    fusion's losses (8, 7) int64; waiting: the round in which its cores began to wait, 0 where none ever did."""

    sha256: str
    pictures: int
    freedom: int
    tasks: int
    fusion: np.ndarray
    waiting: int = 0


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The whole file (module docstring)."""

    devices: Mapping[str, Share] = field(default_factory=dict)
    forgettings: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    cores_round: int = 0
    bad: int = 0
    content: int | None = None
    above: Above = field(default_factory=Above)

    def forgetting(self, keys: Iterable[str], number: int) -> Shares:
        """With labels that the round of that number takes back."""
        more = {key: (*self.forgettings.get(key, ()), number)[-MOST_FORGETTINGS:] for key in keys}
        return replace(self, forgettings={**self.forgettings, **more})

    def is_waiting(self, device: str) -> bool:
        """Whether a device's cores wait to be taken up."""
        share = self.devices.get(device)
        return share is not None and share.waiting > self.cores_round


def encode(shares: Shares) -> bytes:
    """The file."""
    devices = {
        device: {
            "sha256": one.sha256,
            "pictures": one.pictures,
            "freedom": one.freedom,
            "tasks": one.tasks,
            "fusion": one.fusion.ravel().tolist(),
            "waiting": one.waiting,
        }
        for device, one in shares.devices.items()
    }
    record = {
        "format_version": FORMAT_VERSION,
        "devices": devices,
        "forgettings": shares.forgettings,
        "cores_round": shares.cores_round,
        "bad": shares.bad,
        "content": -1 if shares.content is None else shares.content,
    }
    if shares.above.is_used:
        record["above"] = shares.above.record()
    return json.dumps(record, sort_keys=True, allow_nan=False).encode()


def decode(data: bytes, where: str) -> Shares:
    """The inverse of `encode`. Raises DamagedError naming `where`."""
    record = parse(data, Origin(where, _NEXT_STEP), LARGEST_BYTES)
    record.version(FORMAT_VERSION, "use the edge-nusa that wrote it")
    forgettings, size = record.record("forgettings"), math.prod(fusion.SHAPE)
    content = record.integer("content", -1)
    return Shares(
        devices={
            device: Share(
                sha256=one.sha256("sha256"),
                pictures=one.integer("pictures"),
                freedom=one.integer("freedom"),
                tasks=one.integer("tasks", -(2**53)),
                fusion=np.array(one.whole_numbers("fusion", size, -(2**53)), np.int64).reshape(fusion.SHAPE),
                waiting=one.integer("waiting"),
            )
            for device, one in record.named("devices", LARGEST_BYTES).items()
        },
        forgettings={
            key: forgettings.whole_numbers(key, len(forgettings.entries(key, MOST_FORGETTINGS)))
            for key in forgettings.fields
        },
        cores_round=record.integer("cores_round"),
        bad=record.integer("bad"),
        content=None if content < 0 else content,
        above=read_above(record.record("above")) if "above" in record else Above(),
    )


class GivenFolder:
    """The files of what each device gave. features: F of the fleet's bundle."""

    def __init__(self, folder: Path, features: int) -> None:
        self.folder, self.features = folder, features

    def read(self, shares: Shares, device: str) -> Given:
        """What a device gave, with the labels put aside that the fleet took back since. Raises DamagedError."""
        share = shares.devices.get(device)
        if share is None:
            return givens.nothing(self.features)
        data = self.bytes_of(share.sha256)
        found = given_file.decode(data, str(self._path(share.sha256))).settled(shares.forgettings)
        return found if shares.is_waiting(device) else replace(found, waiting={})

    def has(self, sha256: str) -> bool:
        """Whether there is a file of that name."""
        return self._path(sha256).exists()

    def bytes_of(self, sha256: str) -> bytes:
        """A whole file. Raises DamagedError where it is missing or another."""
        path = self._path(sha256)
        try:
            data = durable.read_at_most(path, given_file.LARGEST_BYTES)
        except FileNotFoundError as error:
            raise DamagedError(f"{path}: expected what a device gave, found no file; {_NEXT_STEP}") from error
        except OSError as error:
            raise durable.storage_error(error, f"read {path}") from error
        if sha256_hex(data) != sha256:
            raise DamagedError(f"{path}: expected the file with that SHA-256, found another; {_NEXT_STEP}")
        return data

    def write(self, given: Given) -> str:
        """Keep what a device gave; returns its SHA-256."""
        return self.keep(given_file.encode(given))

    def keep(self, data: bytes) -> str:
        """Keep a whole file; returns its SHA-256."""
        sha256 = sha256_hex(data)
        path = self._path(sha256)
        if not path.exists():
            with durable.explained(f"write {path}"):
                durable.make_folder(self.folder)
                durable.replace_file(path, data)
        return sha256

    def prune(self, needed: Collection[str]) -> None:
        """Remove, as far as the disk allows, what no kept generation names. Call it under the hub's lock."""
        if not self.folder.is_dir():
            return
        durable.remove_leftovers(self.folder)
        for path in self.folder.glob("*.given"):
            if path.stem not in needed:
                with suppress(OSError):
                    os.unlink(path)

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.given"
