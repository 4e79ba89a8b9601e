"""FOLDER/round.json, which `edge-nusa hub flower` writes: the hub whose rounds a SuperLink runs, and how."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_nusa.errors import InputError
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.whole_step import UpdateLimits
from edge_nusa.sync.rules import RuleName

NAME, REPORT, VARIABLE = "round.json", "last.json", "EDGE_NUSA_FLOWER_ROUND"
FORMAT_VERSION = 1
LARGEST_BYTES = 1 << 16
LEAST_SECONDS, MOST_SECONDS = 5, 86_400
MOST_PICTURES = 10**9


@dataclass(frozen=True, kw_only=True)
class HubSettings:
    """hub, bundle: folders, bundle "" for the embedded one; rule, malicious, most_pictures: of `hub merge`; seconds:
    that the pushes of a round wait for answers, and its pulls again."""

    hub: str
    bundle: str = ""
    rule: RuleName = "mean"
    malicious: float = 0.2
    most_pictures: int = 1000
    seconds: int = 300

    @property
    def merge(self) -> MergeSettings:
        """How the hub merges."""
        return MergeSettings(self.rule, self.malicious, UpdateLimits(self.most_pictures))

    def encoded(self) -> bytes:
        """The file's content."""
        record = {**asdict(self), "format_version": FORMAT_VERSION}
        return json.dumps(record, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def read(path: Path) -> HubSettings:
    """The settings in a file. Raises InputError where there is none, DamagedError for others than `encoded` made."""
    try:
        data = durable.read_at_most(path, LARGEST_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{path}: expected what `edge-nusa hub flower` wrote, found {error.strerror}; run that first"
        ) from error
    return decode(data, str(path))


def decode(data: bytes, where: str) -> HubSettings:
    """The inverse of `HubSettings.encoded`. Raises DamagedError naming `where`."""
    record = parse(data, Origin(where, "run `edge-nusa hub flower` again"), LARGEST_BYTES)
    record.version(FORMAT_VERSION)
    rule: RuleName = "trimmed" if record.choice("rule", ("mean", "trimmed")) == "trimmed" else "mean"
    return HubSettings(
        hub=record.text("hub"),
        bundle=record.text("bundle"),
        rule=rule,
        malicious=record.number("malicious", 0.0, 0.49),
        most_pictures=record.integer("most_pictures", 1, MOST_PICTURES),
        seconds=record.integer("seconds", LEAST_SECONDS, MOST_SECONDS),
    )
