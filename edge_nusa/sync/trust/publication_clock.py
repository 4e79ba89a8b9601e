"""Whether a hub's clock fits what it signs: against the root's expiry, and against its own last publication.

HUB/published.json holds when that was, in seconds since 1970. A clock that is behind it would sign what has expired for
everybody else; one that is beyond the root's end signs what no device believes.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_nusa.errors import TrustError
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin

NAME = "published.json"
LARGEST_BYTES = 4096
LARGEST_SECONDS = 253_402_300_799
"""The last second of the year 9999."""
BORNE = timedelta(days=1)
"""A clock may be so far behind the last publication: boards without a battery drift."""


def check(folder: Path, root_expires: datetime, now: datetime) -> None:
    """Raises TrustError where this clock must not date a publication, DamagedError for a file that is none."""
    last = last_publication(folder)
    if last is not None and now < last - BORNE:
        raise TrustError(
            f"expected a clock after the last publication, on {last:%Y-%m-%d}, found {now:%Y-%m-%d}; nothing was "
            f"published: set this clock, or where that one was wrong remove {folder / NAME}"
        )
    if now >= root_expires:
        raise TrustError(
            f"the fleet's root expired on {root_expires:%Y-%m-%d}, and this clock says {now:%Y-%m-%d}; nothing was "
            "published: run `edge-nusa hub rotate`, or set this clock"
        )


def remember(folder: Path, now: datetime) -> None:
    """Keep when something was published."""
    durable.replace_file(folder / NAME, json.dumps({"seconds": int(now.timestamp())}, allow_nan=False).encode() + b"\n")


def expires(folder: Path, days: int) -> datetime | None:
    """Until when devices believe what this folder published last; None before the first time. Raises DamagedError."""
    last = last_publication(folder)
    return last + timedelta(days=days) if last else None


def last_publication(folder: Path) -> datetime | None:
    """When this folder published last; None before the first time. Raises DamagedError."""
    path = folder / NAME
    try:
        data = durable.read_at_most(path, LARGEST_BYTES + 1)
    except FileNotFoundError:
        return None
    record = parse(data, Origin(str(path), "restore the file, or remove it"), LARGEST_BYTES)
    return datetime.fromtimestamp(record.integer("seconds", 0, LARGEST_SECONDS), UTC)
