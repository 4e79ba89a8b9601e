"""What devices report of themselves (`edge_nusa.sync.board_report`), as a hub reads it: the newest of each, by its
enrolled key, for showing and for nothing else.

HUB/reports.json keeps what was read, so that the next look fetches news alone, an older report that someone puts back
is passed over by its number, and a store that does not answer leaves something to show. It may be removed at any time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nusa.errors import DamagedError, EdgeNusaError, StoreError, TrustError
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.files.read_back import keep_file
from edge_nusa.sync import board_report
from edge_nusa.sync.board_report import LARGEST_ENVELOPE_BYTES, MOST_TIME, BoardReport
from edge_nusa.sync.stores.store import Store
from edge_nusa.sync.trust.sealing_keys import SealingKey

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

NAME, LARGEST_BYTES = "reports.json", 64 << 20
FORMAT_VERSION = 1
MOST_LOOKED_AT = 16
"""Newest reports of a device that are fetched to find one that it signed: others may plant some."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a hub knows of a device by its reports. looked: when the store last said which there are; seen: when the
    newest sound one was made, as far as can be told, None before the first (both seconds since 1970); report: that one;
    note: what was passed over on the way to it."""

    looked: int
    seen: int | None = None
    report: BoardReport | None = None
    note: str = field(default="", compare=False)


@dataclass(frozen=True)
class Reader:
    """Reads devices' reports. keys: the hub's own, that open them; now: of the hub's clock."""

    store: Store
    fleet: str
    keys: Sequence[SealingKey]
    now: int

    def look(self, device: SSlibKey, before: Seen | None) -> Seen:
        """The newest sound report of a device, which is the one that is known where none is newer. Raises StoreError
        where the store does not say which there are."""
        known = before.report.number if before and before.report else 0
        listed = self.store.list(f"{board_report.FOLDER}/{device.keyid}")
        numbered = sorted(((board_report.number_of(key), key) for key in listed), reverse=True)
        newer = [key for number, key in numbered if number > known]
        passed: list[str] = []
        for key in newer[:MOST_LOOKED_AT]:
            try:
                envelope = self.store.get(key, LARGEST_ENVELOPE_BYTES)
                found = board_report.opened(envelope, device, self.fleet, self.keys, key)
            except (TrustError, StoreError, DamagedError) as error:
                passed.append(str(error))
                continue
            seen = seen_at(found.time, before.looked if before else 0, self.now)
            return Seen(looked=self.now, seen=seen, report=found, note=_note(passed))
        earlier = (before.seen, before.report) if before else (None, None)
        return Seen(looked=self.now, seen=earlier[0], report=earlier[1], note=_note(passed))


def seen_at(said: int, looked: int, now: int) -> int:
    """When a report was made: when its device says (`said`), but not before the last look, which did not find it, and
    not after this one. A device whose clock is wrong, or that lies, moves it within these two alone."""
    return min(max(said, looked), now)


def _note(passed: Sequence[str]) -> str:
    if not passed:
        return ""
    return f"{len(passed)} newer report{'s' * (len(passed) != 1)} passed over, the newest since: {passed[0]}"


def read(folder: Path) -> dict[str, Seen]:
    """What the hub in a folder knows, by device; nothing where the file is not there or damaged, as the store says it
    all again."""
    with suppress(OSError, DamagedError):
        return decode(durable.read_at_most(folder / NAME, LARGEST_BYTES + 1), str(folder / NAME))
    return {}


def keep(folder: Path, found: Mapping[str, Seen]) -> None:
    """Keep what was read, as far as the disk allows: without it the next look reads more, and nothing else."""
    devices = {
        device: {"looked": one.looked, "seen": one.seen, "report": asdict(one.report) if one.report else None}
        for device, one in found.items()
    }
    whole = {"devices": devices, "format_version": FORMAT_VERSION}
    with suppress(EdgeNusaError), durable.explained(f"write {folder}"):
        data = json.dumps(whole, sort_keys=True, allow_nan=False).encode() + b"\n"
        keep_file(folder / NAME, data, lambda written: decode(written, NAME))


def decode(data: bytes, where: str) -> dict[str, Seen]:
    """The inverse of what `keep` writes, without notes. Raises DamagedError naming `where`."""
    record = parse(data, Origin(where, "remove the file"), LARGEST_BYTES)
    record.version(FORMAT_VERSION)
    found = {}
    for device, one in record.named("devices").items():
        has_report = one.mapping("report") if one.fields.get("report") is not None else None
        found[device] = Seen(
            looked=one.integer("looked", 0, MOST_TIME),
            seen=None if has_report is None else one.integer("seen", 0, MOST_TIME),
            report=None if has_report is None else board_report.of_record(one.record("report")),
        )
    return found
