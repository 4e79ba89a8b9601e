"""What a hub knows of each device besides its round: when it was last heard of, and what was decided on.

devices.json: by device "round" (that it was based on), "seen" (UTC), "refused_rounds", "settled" (hashes of the newest
updates that were decided on), "lessons" (ids of the newest that were taken) and "taken" (hash -> number of the newest
updates that were taken).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync.hub.inbox import MOST_SETTLED, Known
from edge_nusa.sync.hub.mail import Mail
from edge_nusa.sync.round_file import short

LARGEST_BYTES = 256 << 20
MOST_LESSONS_KNOWN = 4096
MOST_REFUSED_ROUNDS = 20
MOST_TAKEN = 200
"""Updates of a device that an undo of the newest rounds can name."""
Records = dict[str, dict[str, Any]]
NOTHING: dict[str, Any] = {
    "round": 0,
    "seen": "",
    "refused_rounds": [],
    "settled": [],
    "lessons": [],
    "taken": {},
}


def decode(data: bytes, where: str) -> Records:
    """The inverse of `encode`. Raises DamagedError naming `where`."""
    record = parse(data, Origin(where, "restore the hub's folder from your backup"), LARGEST_BYTES)
    return {
        device: {
            "round": entry.integer("round"),
            "seen": entry.text("seen"),
            "refused_rounds": list(entry.texts("refused_rounds")),
            "settled": list(entry.texts("settled", MOST_SETTLED)),
            "lessons": list(entry.texts("lessons", MOST_LESSONS_KNOWN)),
            "taken": entry.integers("taken", most_entries=MOST_TAKEN),
        }
        for device in record.fields
        for entry in [record.record(device)]
    }


def known(records: Records, device: str) -> Known:
    """What the inbox needs of them."""
    entry = records.get(device, {})
    return Known(frozenset(entry.get("settled", ())), frozenset(entry.get("lessons", ())))


def with_mails(records: Records, mails: Sequence[Mail]) -> Records:
    """The records after a merge."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for mail in mails:
        if mail.settled:
            entry = records.get(mail.device, NOTHING)
            if mail.accepted:
                place = mail.accepted[-1].statement.place
                entry = {
                    **entry,
                    "round": place.round.number,
                    "seen": now,
                    "refused_rounds": list(place.refused_rounds[:MOST_REFUSED_ROUNDS]),
                }
            lessons = [id for one in mail.accepted for id in one.statement.place.lessons]
            taken = [(short(one.sha256), one.cover.sequence) for one in mail.accepted]
            entry = {
                **entry,
                "settled": [*entry["settled"], *mail.settled][-MOST_SETTLED:],
                "lessons": [*entry["lessons"], *lessons][-MOST_LESSONS_KNOWN:],
                "taken": dict([*entry["taken"].items(), *taken][-MOST_TAKEN:]),
            }
            records = {**records, mail.device: entry}
    return records


def encode(records: Records) -> bytes:
    """The file."""
    return json.dumps(records, sort_keys=True, allow_nan=False).encode()
