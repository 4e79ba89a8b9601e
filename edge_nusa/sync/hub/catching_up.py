"""A hub that is behind its own publications, since its folder was restored from a backup or made anew from its keys,
takes the newest of them from the store before it merges, takes back or publishes: so it neither offers an old round as
the newest nor refuses what devices learned on newer ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync.hub import shares, stored
from edge_nusa.sync.hub.above import AboveRounds
from edge_nusa.sync.hub.enrolled import Enrolled
from edge_nusa.sync.hub.kept_list import KeptList
from edge_nusa.sync.hub.shares import GivenFolder
from edge_nusa.sync.hub.stored import OwnStore
from edge_nusa.sync.hub.tokens import Tokens
from edge_nusa.sync.trust.own_rounds import newest_own
from edge_nusa.sync.trust.repository import Repository
from edge_nusa.sync.trust.trusted import PARTS, Bounds

LARGEST_ROUND_LABELS = 10_000
LARGEST_LIST_BYTES = 256 << 20
Files = tuple[bytes, bytes, bytes]
"""A round, the device records beside it, and the shares (`edge_nusa.sync.hub.hub.FILES`)."""


@dataclass(frozen=True)
class Publications:
    """What a hub has published. folder: the hub's own; largest: bytes of the largest possible round."""

    repository: Repository
    own: OwnStore
    given: GivenFolder
    enrolled: Enrolled
    tokens: Tokens
    folder: Path
    largest: int

    def keep(self, files: Files) -> str:
        """Keep in the store what stands beside a round that is about to be published; the SHA-256 of the records."""
        _, records, given = files
        found = shares.decode(given, shares.NAME)
        contents = {one.sha256: lambda name=one.sha256: self.given.bytes_of(name) for one in found.devices.values()}
        if found.above.is_used:
            name = found.above.mark.sha256
            self.own.keep_base(name, lambda: AboveRounds(self.folder).read(name))
        return self.own.keep((records, given, *self._lists()), contents)

    def name_of(self, files: Files) -> str:
        """What `keep` would answer, and nothing is put: it tells whether devices or their records are others now."""
        _, records, given = files
        return stored.name_of((records, given, *self._lists()))

    def _lists(self) -> tuple[bytes, bytes]:
        return _list_of(self.enrolled), _list_of(self.tokens)

    def newer(self, number: int, data: bytes | None) -> tuple[int, Files] | None:
        """The number and the files of the newest published round, where it is not older than the round `number` whose
        file is `data`, and another. What each device had given, and the lists of devices and tokens, are then here.

        Raises StoreError where the store does not answer or has lost what belongs to that round, TrustError.
        """
        bounds = Bounds(self.largest, known=frozenset({sha256_hex(data)} if data else ()))
        found = newest_own(self.repository, self.folder / PARTS, bounds)
        if found is None or found.data is None or found.number < number:
            return None
        records, given, devices, tokens = self.own.records(found.records)
        told = shares.decode(given, shares.NAME)
        for one in told.devices.values():
            if not self.given.has(one.sha256):
                self.given.keep(self.own.given(one.sha256))
        above = AboveRounds(self.folder)
        if told.above.is_used and not above.has(told.above.mark.sha256):
            above.keep(self.own.base(told.above.mark.sha256))
        _take_list(self.enrolled, devices)
        _take_list(self.tokens, tokens)
        return found.number, (found.data, records, given)


def _list_of(kept: KeptList[Any]) -> bytes:
    """Every entry's file, as one line."""
    files = {name: data.decode() for name, data in kept.files().items()}
    return json.dumps(files, sort_keys=True, allow_nan=False).encode()


def _take_list(kept: KeptList[Any], line: bytes) -> None:
    """The entries that this folder does not know, or does not know to be revoked."""
    record = parse(line, Origin("the hub's own list in the store", "restore the hub's folder"), LARGEST_LIST_BYTES)
    for name in record.fields:
        kept.take(name, record.text(name).encode())
