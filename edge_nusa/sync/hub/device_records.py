"""What a hub knows of each device besides its round: when it was last heard of, and what it gave.

devices.json: by device "round" (that it was based on), "seen" (UTC), "refused_rounds", and "given" (label key ->
pictures).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync.hub.inbox import Mail

LARGEST_BYTES = 256 << 20
Records = dict[str, dict[str, Any]]


def decode(data: bytes, where: str) -> Records:
    """The inverse of `encode`. Raises DamagedError naming `where`."""
    record = parse(data, Origin(where, "restore the hub's folder from your backup"), LARGEST_BYTES)
    return {
        device: {
            "round": entry.integer("round"),
            "seen": entry.text("seen"),
            "refused_rounds": list(entry.texts("refused_rounds")),
            "given": entry.integers("given", most_entries=LARGEST_BYTES),
        }
        for device in record.fields
        for entry in [record.record(device)]
    }


def encode(records: Records, mails: Sequence[Mail], given: Mapping[str, Mapping[str, int]]) -> bytes:
    """The file after a merge. given: label key -> pictures, of each device."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for mail in mails:
        if mail.accepted:
            place = mail.accepted[-1].statement.place
            entry = {
                "round": place.round.number,
                "seen": now,
                "refused_rounds": list(place.refused_rounds),
                "given": given[mail.device],
            }
            records = {**records, mail.device: entry}
    return json.dumps(records, sort_keys=True).encode()
