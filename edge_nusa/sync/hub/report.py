"""What a hub says of a merge, of a publication, and of where its fleet stands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_nusa.sync.board_report import BoardReport
from edge_nusa.sync.hub import spelling
from edge_nusa.sync.hub.admission import Admitted
from edge_nusa.sync.hub.board_reports import Seen
from edge_nusa.sync.hub.enrolled import Device
from edge_nusa.sync.hub.mail import Mail
from edge_nusa.sync.hub.spelling import Spelling
from edge_nusa.sync.round_file import Received, Refusal, Round


@dataclass(frozen=True)
class DeviceMerge:
    """What a merge did with one device's updates. updates: how many it took; refused: number -> reason; notes: what was
    passed over this time."""

    device: str
    updates: int
    refused: dict[str, str]
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class MergedLabels:
    """The labels of a new round: all, new, and taken back; spellings: of one label in more than one way; alike: perhaps
    one thing under two names."""

    labels: list[str]
    new: list[str]
    forgotten: list[str]
    spellings: list[Spelling]
    alike: list[list[str]]


@dataclass(frozen=True, kw_only=True)
class MergeReport:
    """What a merge did. round: the newest now; made: the labels of a new round, None where nothing came in; joined: the
    boards that enrolled themselves."""

    round: int
    devices: list[DeviceMerge]
    made: MergedLabels | None
    seconds: float
    joined: Admitted = Admitted()

    @property
    def is_merged(self) -> bool:
        """Whether there is a new round."""
        return self.made is not None

    @property
    def labels(self) -> list[str]:
        """Those of the new round; none where there is none."""
        return self.made.labels if self.made else []

    def to_json(self) -> dict[str, Any]:
        """What `hub merge --format json` prints."""
        return {
            "round": self.round,
            "merged": self.is_merged,
            "devices": [asdict(row) for row in self.devices],
            **(asdict(self.made) if self.made else {}),
            "seconds": self.seconds,
            "joined": self.joined.to_json(),
        }


@dataclass(frozen=True)
class Published:
    """A published round; timestamp: the version of the metadata that tells of it. Round 0, "" and 0 bytes: bundles
    alone were signed anew."""

    round: int
    sha256: str
    bytes: int
    timestamp: int

    def to_json(self) -> dict[str, Any]:
        """What `hub publish --format json` prints."""
        return asdict(self)

    @property
    def words(self) -> str:
        """What people read of it."""
        return f"published round {self.round}, {self.bytes} bytes" if self.round else "signed the bundles anew"


LIVES = (
    "{forks} of its updates stand beside its chain, as where a card was restored from a backup or cloned; the device "
    "sends what they hold again by itself"
)


@dataclass(frozen=True, kw_only=True)
class DeviceStatus:
    """Where one device stands. updates: the last number taken or refused; round: that its newest update is based on;
    seen: when that was merged, ISO 8601 UTC; both None before the first; refused: number -> reason; refused_rounds:
    SHA-256 of those that it refused; last_seen: when it was last heard of, by an update or a report; report: what it
    last said of itself (`edge_nusa.sync.board_report`), None where it said nothing; note: which reports were passed
    over, and why."""

    device: str
    name: str
    revoked: bool
    updates: int
    round: int | None
    seen: str | None
    refused: dict[str, str]
    refused_rounds: list[str]
    last_seen: str | None = None
    report: BoardReport | None = None
    note: str = ""

    @property
    def holds(self) -> int:
        """The newest round that it is known to hold, 0 for none."""
        return max(self.round or 0, self.report.round if self.report else 0)


@dataclass(frozen=True, kw_only=True)
class HubStatus:
    """Where the fleet stands; round and labels: of the newest round; published_round, expires: of the publication that
    devices find in the store, and until when they believe it (UTC), None where neither is known; has_answered: whether
    the store said all of what is shown here; store_note: why it did not."""

    fleet: str
    store: str
    round: int
    labels: list[str]
    devices: list[DeviceStatus]
    published_round: int | None = None
    expires: str | None = None
    has_answered: bool = False
    store_note: str = ""

    def to_json(self) -> dict[str, Any]:
        """What `hub status --format json` prints; fleet and device of a report are said beside it."""
        content = asdict(self)
        for row in content["devices"]:
            for name in ("fleet", "device") if row["report"] else ():
                del row["report"][name]
        return content


def with_seen(row: DeviceStatus, seen: Seen | None) -> DeviceStatus:
    """A row with what is known of the device by its reports."""
    if seen is None:
        return replace(row, last_seen=row.seen)
    return replace(row, last_seen=last_seen(row.seen, seen.seen), report=seen.report, note=seen.note)


def last_seen(merged: str | None, reported: int | None) -> str | None:
    """When a device was last heard of: when its newest update was merged (`utc`'s form), or when its newest report was
    made, whichever is later; None where neither was."""
    return max((merged or "", utc(reported) if reported is not None else "")) or None


def utc(seconds: int) -> str:
    """ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def of_labels(before: Round, made: Round, mails: list[Mail]) -> MergedLabels:
    """What the hub's user should know of labels: new, taken back, and spelled in more than one way."""
    old, new = before.knowledge.columns, made.knowledge.columns
    sent = [label.name for mail in mails for one in mail.accepted for label in one.statement.labels]
    return MergedLabels(
        labels=made.knowledge.names,
        new=[label.name for label in made.knowledge.labels if label.key not in old],
        forgotten=sorted(key for key, number in made.forgotten.items() if number == made.number and key not in new),
        spellings=spelling.same(made.knowledge.names, sent),
        alike=spelling.alike(made.knowledge.names),
    )


def of_mail(mail: Mail) -> DeviceMerge:
    """What came from one device this time."""
    forks = sum(one.kind == "fork" for one in mail.refused.values())
    notes = [*mail.notes, *([LIVES.format(forks=forks)] if forks else [])]
    return DeviceMerge(mail.device, len(mail.accepted), reasons(mail.refused), notes)


def of_device(device: Device, received: Received, seen: dict[str, Any]) -> DeviceStatus:
    """A row of `hub status`. seen: the device's entry of `device_records`."""
    return DeviceStatus(
        device=device.key.keyid,
        name=device.name,
        revoked=device.is_revoked,
        updates=received.through,
        round=seen.get("round"),
        seen=seen.get("seen"),
        refused=reasons(received.refused),
        refused_rounds=seen.get("refused_rounds", []),
    )


def reasons(refused: Mapping[str, Refusal]) -> dict[str, str]:
    """number -> reason of what was refused for good; what its device sends again by itself is not among them."""
    return {str(one.number): one.reason for one in refused.values() if one.kind == "refused"}
