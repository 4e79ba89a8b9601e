"""The rounds that were refused, taken or undone here: STATE/sync/rounds.json, with the reason."""

from __future__ import annotations

import json
from typing import Any

from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.errors import DamagedError
from edge_nusa.files import durable


def remembered(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Rounds that were refused here: SHA-256 -> {"kind", "round", "reason"}. Raises DamagedError."""
    path = fleet.folder / "rounds.json"
    try:
        return dict(json.loads(durable.read_at_most(path, 1 << 20)))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedError(
            f"{path}: expected the rounds refused here, found something else ({error}); remove the file"
        ) from error


def remember(fleet: Fleet, sha256: str, kind: str, number: int, reason: str) -> None:
    """Remember what became of a round."""
    entries = {**remembered(fleet), sha256: {"kind": kind, "round": number, "reason": reason}}
    newest = dict(sorted(entries.items(), key=lambda item: item[1]["round"])[-50:])
    with durable.explained(f"write {fleet.folder}"):
        durable.replace_file(fleet.folder / "rounds.json", json.dumps(newest, sort_keys=True).encode() + b"\n")
