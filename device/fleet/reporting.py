"""Telling the hub where this device stands, after a pull: at most once a day, or when something has changed
(`edge_nusa.sync.board_report`). A store that does not take it is no reason for a pull to fail.

STATE/sync/report.json   number, time and content of the last report that a store took
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from edge_nusa import __version__
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.remembered import remembered
from edge_nusa.device.opened import Opened
from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import LARGEST_NUMBER, Origin
from edge_nusa.files.read_back import keep_file
from edge_nusa.sync import board_report
from edge_nusa.sync.board_report import LONGEST_REASON, LONGEST_WORD, MOST_REFUSED, BoardReport, BundleName
from edge_nusa.sync.stores.store import Timed, put

NAME, LARGEST_BYTES = "report.json", 4096
FORMAT_VERSION = 1
EVERY_SECONDS = 23 * 3600
"""Between two reports of the same content: a little less than a day, so that a daily timer reports daily."""
LONGEST_SECONDS = 60.0
"""That a store may be asked to take one."""


@dataclass(frozen=True)
class Last:
    """The last report that a store took: its number, when (seconds since 1970), and the SHA-256 of its content."""

    number: int
    time: int
    content: str


@dataclass(frozen=True)
class Reported:
    """What became of a report. number: of the one that was put; None where none was due, or `error` says why not."""

    number: int | None = None
    error: str | None = None


def report(opened: Opened, fleet: Fleet, holds: int, most_bytes: int | None = None) -> Reported:
    """Put a report into the store where one is due. holds: the round that this state is based on. Call it inside
    fleet.locked(); nothing that fails here is raised."""
    if not fleet.has_reports:
        return Reported()
    try:
        return _reported(opened, fleet, holds, most_bytes)
    except EdgeNusaError as error:
        return Reported(error=str(error))


def _reported(opened: Opened, fleet: Fleet, holds: int, most_bytes: int | None) -> Reported:
    now, last = int(time.time()), _last(fleet.folder)
    number = board_report.next_number(last.number if last else 0, now)
    if number is None:
        return Reported()
    made = _made(opened, fleet, holds, number, now)
    if not is_due(last, made.content, now):
        return Reported()
    key, envelope = board_report.enveloped(made, fleet.signer, fleet.terms.sealing)
    if most_bytes is not None and len(envelope) > most_bytes:
        raise ResourceError(
            f"report: expected at most {most_bytes} bytes (--max-bytes), found {len(envelope)}; allow more, or join "
            "with --no-reports"
        )
    put(Timed(fleet.store(), LONGEST_SECONDS), key, envelope)
    # killed here, the same is reported once more: under a later number, which harms nobody
    _keep(fleet.folder, Last(number, now, made.content))
    return Reported(number)


def is_due(last: Last | None, content: str, now: int) -> bool:
    """Whether there is something to say: never said, changed, or said a day ago by this clock, which may have been set
    back since."""
    return last is None or last.content != content or abs(now - last.time) >= EVERY_SECONDS


def _made(opened: Opened, fleet: Fleet, holds: int, number: int, now: int) -> BoardReport:
    identity = opened.bundle.identity
    # what was refused before the round that is held now is settled: an alert that stayed on would say nothing
    refused = [entry for entry in remembered(fleet).values() if entry["kind"] == "refused" and entry["round"] > holds]
    newest = sorted(refused, key=lambda entry: -int(entry["round"]))[:MOST_REFUSED]
    return BoardReport(
        fleet=fleet.fleet,
        device=fleet.device,
        number=number,
        time=max(0, min(now, board_report.MOST_TIME)),
        round=holds,
        version=__version__,
        bundle=BundleName(
            model=_printable(identity.model, LONGEST_WORD),
            precision=identity.precision,
            sha256=identity.sha256[:12],
        ),
        free_bytes=_free_bytes(opened.state.folder),
        refused=tuple(
            board_report.RefusedRound(round=entry["round"], reason=_printable(entry["reason"], LONGEST_REASON))
            for entry in newest
        ),
    )


def _free_bytes(folder: Path) -> int:
    """What this user can still write on the folder's disk."""
    with durable.explained(f"look at the disk of {folder}"):
        return min(shutil.disk_usage(folder).free, LARGEST_NUMBER)


def _printable(text: str, longest: int) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:longest])


def _last(folder: Path) -> Last | None:
    """What was reported last; None where that is not known, which is no reason not to report."""
    path = folder / NAME
    try:
        return decode(durable.read_at_most(path, LARGEST_BYTES + 1), str(path))
    except (FileNotFoundError, DamagedError):
        return None
    except OSError as error:
        raise durable.storage_error(error, f"read {path}") from error


def decode(data: bytes, where: str) -> Last:
    """The content of report.json. Raises DamagedError naming `where`."""
    record = parse(data, Origin(where, "remove the file"), LARGEST_BYTES)
    record.version(FORMAT_VERSION)
    return Last(
        record.integer("number", 1, board_report.MOST_NUMBER),
        record.integer("time", 0, board_report.MOST_TIME),
        record.sha256("content"),
    )


def _keep(folder: Path, last: Last) -> None:
    fields = {"number": last.number, "time": last.time, "content": last.content, "format_version": FORMAT_VERSION}
    data = json.dumps(fields, sort_keys=True, allow_nan=False).encode() + b"\n"
    with durable.explained(f"write {folder}"):
        keep_file(folder / NAME, data, lambda written: decode(written, NAME))
