"""The rounds that were refused, taken or undone here: STATE/sync/rounds.json, with the reason."""

from __future__ import annotations

import json
from typing import Any

from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin, is_sha256
from edge_nusa.files.read_back import keep_file

NAME, LARGEST_BYTES = "rounds.json", 1 << 20
KINDS, LONGEST_REASON = ("refused", "taken"), 2000
"""Fifty reasons, every sign of them escaped, stay below LARGEST_BYTES."""


def remembered(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Rounds that were refused here: SHA-256 -> {"kind", "round", "reason"}. Raises DamagedError."""
    path = fleet.folder / NAME
    try:
        data = durable.read_at_most(path, LARGEST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise durable.storage_error(error, f"read {path}") from error
    return _decoded(data, str(path))


def _decoded(data: bytes, where: str) -> dict[str, dict[str, Any]]:
    record = parse(data, Origin(where, "remove the file"), LARGEST_BYTES)
    found = {}
    for sha256 in record.fields:
        if not is_sha256(sha256):
            raise record.origin.refused("the name of an entry", "a SHA-256", sha256)
        entry = record.record(sha256)
        found[sha256] = {
            "kind": entry.choice("kind", KINDS),
            "round": entry.integer("round"),
            "reason": entry.text("reason", LARGEST_BYTES),
        }
    return found


def remember(fleet: Fleet, sha256: str, kind: str, number: int, reason: str) -> None:
    """Remember what became of a round."""
    entries = {**remembered(fleet), sha256: {"kind": kind, "round": number, "reason": reason[:LONGEST_REASON]}}
    newest = dict(sorted(entries.items(), key=lambda item: item[1]["round"])[-50:])
    with durable.explained(f"write {fleet.folder}"):
        data = json.dumps(newest, sort_keys=True, allow_nan=False).encode() + b"\n"
        keep_file(fleet.folder / NAME, data, lambda written: _decoded(written, NAME))
