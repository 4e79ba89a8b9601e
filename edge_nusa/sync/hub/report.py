"""What the hub says of a merge and of its devices: labels new, taken back and spelled in several ways, a row each."""

from __future__ import annotations

from typing import Any

from edge_nusa.sync.hub import spelling
from edge_nusa.sync.hub.enrolled import Device
from edge_nusa.sync.hub.inbox import Mail
from edge_nusa.sync.round_file import Received, Round


def of_labels(before: Round, made: Round, mails: list[Mail]) -> dict[str, Any]:
    """What the hub's user should know of labels: new, taken back, and spelled in more than one way."""
    old, new = before.knowledge.columns, made.knowledge.columns
    sent = [label.name for mail in mails for one in mail.accepted for label in one.statement.labels]
    return {
        "new": [label.name for label in made.knowledge.labels if label.key not in old],
        "forgotten": sorted(key for key, number in made.forgotten.items() if number == made.number and key not in new),
        "spellings": spelling.same(made.knowledge.names, sent),
        "alike": spelling.alike(made.knowledge.names),
    }


def of_mail(mail: Mail) -> dict[str, Any]:
    """What came from one device this time."""
    return {
        "device": mail.device,
        "updates": len(mail.accepted),
        "refused": {str(n): why for n, why in mail.refused.items()},
        "notes": mail.notes,
    }


def of_device(device: Device, received: Received, seen: dict[str, Any]) -> dict[str, Any]:
    """A row of `hub status`. seen: the device's entry of the ledger."""
    return {
        "device": device.key.keyid,
        "name": device.name,
        "revoked": device.is_revoked,
        "updates": received.through,
        "round": seen.get("round"),
        "seen": seen.get("seen"),
        "refused": {str(n): why for n, why in received.refused.items()},
        "refused_rounds": seen.get("refused_rounds", []),
    }
