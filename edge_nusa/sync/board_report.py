"""A board's report to its hub, after a pull: where it stands, in a small file of its own that teaches nothing.

    reports/DEVICE/NNNNNNNN-HASH.json   a signed envelope (DSSE) whose payload is sealed to the hub; HASH: the start of
                                        the envelope's SHA-256

The seal is bound to fleet, device and number, so that a report of another device, or an older one under a newer number,
does not open. Numbers only grow: they are minutes since 2026 where that is more than the last one, so that a restored
card, or a state that has lost its last number, is not taken for an older one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge_nusa.errors import DamagedError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.sync.round_file import short
from edge_nusa.sync.trust import keys, sealing
from edge_nusa.sync.trust.sealing_keys import SealingKey, SealingPublic

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

FORMAT_VERSION = 1
FOLDER = "reports"
PAYLOAD_TYPE = "application/vnd.edge-nusa.report"
LARGEST_ENVELOPE_BYTES = 32_768
"""The largest that a device makes, every sign of its words escaped, is two thirds of it."""
MOST_NUMBER = 99_999_999
"""The last of eight digits."""
FURTHEST = MOST_NUMBER // 2
"""Minutes that a clock is believed, until the year 2121: one that is far ahead must not use up all numbers."""
EPOCH = 1_767_225_600
"""2026-01-01 in seconds since 1970."""
MOST_TIME = 253_402_300_799
"""The last second of the year 9999."""
MOST_REFUSED, LONGEST_REASON, LONGEST_WORD = 5, 200, 100
_VERSION_LETTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyz.+-")
LONGEST_VERSION = 40
_NEXT_STEP = "it is passed over; the device's next one may be sound"


@dataclass(frozen=True, kw_only=True)
class BundleName:
    """The bundle that a device uses, in short: the model's name, for people only; its precision; the first twelve
    digits of its identity's SHA-256."""

    model: str
    precision: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class RefusedRound:
    """A round that the device's judge refused, and why."""

    round: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class BoardReport:
    """What a device says of itself. number: of the report; time: of its own clock, seconds since 1970; round: that it
    holds; version: of edge-nusa; free_bytes: of the disk that its state is on; refused: the newest first."""

    fleet: str
    device: str
    number: int
    time: int
    round: int
    version: str
    bundle: BundleName
    free_bytes: int
    refused: tuple[RefusedRound, ...] = ()

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical({**asdict(self), "format_version": FORMAT_VERSION})

    @property
    def content(self) -> str:
        """SHA-256 of what is worth a report of its own when it changes: all but number, time and free bytes."""
        fields = asdict(self)
        return sha256_hex(canonical({name: fields[name] for name in ("round", "version", "bundle", "refused")}))


def decode(data: bytes, where: str) -> BoardReport:
    """The inverse of `BoardReport.to_bytes`. Raises DamagedError naming `where`."""
    record = parse(data, Origin(where, _NEXT_STEP), LARGEST_ENVELOPE_BYTES)
    record.version(FORMAT_VERSION, "use the same edge-nusa on hub and devices")
    return of_record(record)


def of_record(record: Record) -> BoardReport:
    """A report among other fields. Raises the record's own error."""
    bundle = record.record("bundle")
    return BoardReport(
        fleet=record.text("fleet", 64),
        device=record.text("device", 64),
        number=record.integer("number", 1, MOST_NUMBER),
        time=record.integer("time", 0, MOST_TIME),
        round=record.integer("round"),
        version=_version(record),
        bundle=BundleName(
            model=_printable(bundle, "model", LONGEST_WORD),
            precision=_printable(bundle, "precision", LONGEST_WORD),
            sha256=_printable(bundle, "sha256", 12),
        ),
        free_bytes=record.integer("free_bytes"),
        refused=tuple(
            RefusedRound(round=one.integer("round"), reason=_printable(one, "reason", LONGEST_REASON))
            for one in record.records("refused", MOST_REFUSED)
        ),
    )


def next_number(last: int, seconds: float) -> int | None:
    """The number of the report after `last` (0: none is known), by a clock of so many seconds since 1970; None where
    no number is left."""
    minutes = int(seconds - EPOCH) // 60
    number = max(last + 1, minutes if minutes <= FURTHEST else 0)
    return number if number <= MOST_NUMBER else None


def enveloped(report: BoardReport, signer: CryptoSigner, hub: SealingPublic) -> tuple[str, bytes]:
    """(key in the store, envelope) of a report."""
    context = _context(report.fleet, report.device, report.number)
    envelope = keys.sealed(sealing.sealed(report.to_bytes(), (hub,), context), PAYLOAD_TYPE, signer)
    return place_of(report.device, report.number, envelope), envelope


def place_of(device: str, number: int, envelope: bytes) -> str:
    """Where an envelope lies in a store."""
    return f"{FOLDER}/{device}/{number:08d}-{short(sha256_hex(envelope))}.json"


def opened(envelope: bytes, device: SSlibKey, fleet: str, with_keys: Sequence[SealingKey], key: str) -> BoardReport:
    """The report in an envelope that this device signed for this fleet, and that lies at `key`. Raises TrustError,
    DamagedError."""
    number = number_of(key)
    _, payload = keys.opened(envelope, PAYLOAD_TYPE, {device.keyid: device}, key)
    data = sealing.opened_by_any(payload, with_keys, _context(fleet, device.keyid, number), key)
    report = decode(data, key)
    if (report.fleet, report.device, report.number) != (fleet, device.keyid, number):
        raise DamagedError(f"{key}: expected report {number} of this device, found {report.number}; {_NEXT_STEP}")
    return report


def number_of(key: str) -> int:
    """The number in a report's place, 0 for any other name. It is only claimed there."""
    number, _, rest = key.rsplit("/", 1)[-1].partition("-")
    is_one = len(number) == 8 and number.isascii() and number.isdecimal() and rest.endswith(".json")
    return int(number) if is_one else 0


def _context(fleet: str, device: str, number: int) -> bytes:
    """What a sealed report is bound to."""
    return f"edge-nusa report {fleet} {device} {number}".encode()


def _version(record: Record) -> str:
    """A version as Python writes one: it becomes a word of a metric, so that nothing else may stand there."""
    found = record.text("version", LONGEST_VERSION)
    if not found or set(found) - _VERSION_LETTERS:
        raise record.origin.refused("version", "a version such as 0.1.0", found)
    return found


def _printable(record: Record, name: str, longest: int) -> str:
    found = record.text(name, longest)
    if not found.isprintable():
        raise record.origin.refused(name, "a printable text", found)
    return found
