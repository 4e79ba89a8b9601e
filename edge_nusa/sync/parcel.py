"""An update as it lies in a store: a signed envelope over a cover in the clear, in it the sealed statement, and beside
it the sealed numbers.

The cover says whose update it is, which number in that device's chain, which envelope came before it, and the SHA-256
and size of the sealed numbers: what a store's listing tells anyway. Statement and numbers can be opened by the hub and
by the device itself, so that another life of it (a restored card, a clone) knows what was sent. An update is known by
the SHA-256 of its envelope.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge_nusa.errors import DamagedError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync import update
from edge_nusa.sync.round_file import short
from edge_nusa.sync.stores.store import Store, put
from edge_nusa.sync.trust import keys, sealing
from edge_nusa.sync.trust.sealing_keys import SealingKey, SealingPublic
from edge_nusa.sync.update import Statement

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

PAYLOAD_TYPE = "application/vnd.edge-nusa.sealed-update+json"
LARGEST_ENVELOPE_BYTES = keys.LARGEST_ENVELOPE_BYTES
"""Enough for a statement of a million bytes, written as base64 twice."""


@dataclass(frozen=True, kw_only=True)
class Cover:
    """fleet, device, sequence, before: as in `update.Place`; sha256, size: of the sealed numbers; sealed: the sealed
    statement."""

    fleet: str
    device: str
    sequence: int
    before: str
    sha256: str
    size: int
    sealed: bytes

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        text = base64.b64encode(self.sealed).decode()
        return canonical({**asdict(self), "sealed": text, "format_version": update.FORMAT_VERSION})

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Cover:
        """Raises DamagedError naming `where` for anything but what `to_bytes` of this version gives."""
        record = parse(data, Origin(where, "send it again"), LARGEST_ENVELOPE_BYTES)
        record.version(update.FORMAT_VERSION, "use the same edge-nusa on hub and devices")
        try:
            sealed = base64.b64decode(record.text("sealed", LARGEST_ENVELOPE_BYTES), validate=True)
        except (binascii.Error, ValueError) as error:
            raise record.origin.refused("sealed", "base64", record.fields["sealed"]) from error
        cover = cls(
            fleet=record.text("fleet", update.LONGEST_NAME),
            device=record.text("device", update.LONGEST_NAME),
            sequence=record.integer("sequence", 1, update.MOST_SEQUENCE),
            before=record.sha256("before"),
            sha256=record.sha256("sha256"),
            size=record.integer("size", 0, update.MOST),
            sealed=sealed,
        )
        if cover.to_bytes() != data:
            raise DamagedError(f"{where}: expected a canonical cover, found another form; send it again")
        return cover


@dataclass(frozen=True)
class Parcel:
    """What is put into a store: the envelope and the sealed numbers."""

    cover: Cover
    envelope: bytes
    numbers: bytes

    @property
    def sha256(self) -> str:
        """What the update is known by."""
        return sha256_hex(self.envelope)


def parcel(statement: Statement, numbers: bytes, signer: CryptoSigner, to: Sequence[SealingPublic]) -> Parcel:
    """Seal an update to the hub and its own device, and sign it."""
    place = statement.place
    sealed_numbers = sealing.sealed(numbers, to, _context("numbers", place))
    cover = Cover(
        fleet=place.fleet,
        device=place.device,
        sequence=place.sequence,
        before=place.before,
        sha256=sha256_hex(sealed_numbers),
        size=len(sealed_numbers),
        sealed=sealing.sealed(statement.to_bytes(), to, _context("statement", place)),
    )
    return Parcel(cover, keys.sealed(cover.to_bytes(), PAYLOAD_TYPE, signer), sealed_numbers)


def send(store: Store, parcel: Parcel) -> None:
    """Put an update, its envelope last; an object of its name and size counts as done, since names are made of
    hashes."""
    for key, data in (
        (numbers_key(parcel.cover), parcel.numbers),
        (envelope_key(parcel.cover, parcel.sha256), parcel.envelope),
    ):
        if store.head(key) != len(data):
            put(store, key, data)


def envelope_key(cover: Cover, sha256: str) -> str:
    """Where an envelope lies."""
    return f"updates/{cover.device}/{cover.sequence:08d}-{short(sha256)}.json"


def read_key(key: str) -> tuple[int, str] | None:
    """The number and the hash in an envelope's place; None for any other name. Both are only claimed there."""
    number, _, rest = key.rsplit("/", 1)[1].partition("-")
    if len(number) == 8 and number.isascii() and number.isdecimal() and rest.endswith(".json"):
        return int(number), rest.removesuffix(".json")
    return None


def numbers_key(cover: Cover) -> str:
    """Where its sealed numbers lie."""
    return f"updates/{cover.device}/{cover.sha256}.numbers"


def opened_cover(envelope: bytes, device: SSlibKey, where: str) -> Cover:
    """The cover of an envelope that this device signed. Raises TrustError, DamagedError."""
    _, payload = keys.opened(envelope, PAYLOAD_TYPE, {device.keyid: device}, where)
    return Cover.from_bytes(payload, where)


def opened_statement(cover: Cover, with_keys: Sequence[SealingKey], where: str) -> Statement:
    """The statement under a cover. Raises TrustError where none of the keys opens it, DamagedError where it is of
    another update than the cover says."""
    data = sealing.opened_by_any(cover.sealed, with_keys, _context("statement", cover), where)
    statement = Statement.from_bytes(data, where)
    place = statement.place
    if (place.fleet, place.device, place.sequence, place.before) != (
        cover.fleet,
        cover.device,
        cover.sequence,
        cover.before,
    ):
        raise DamagedError(f"{where}: expected the statement of this very update, found that of another; send it again")
    return statement


def opened_numbers(cover: Cover, sealed: bytes, with_keys: Sequence[SealingKey], where: str) -> bytes:
    """The packed numbers of an update. Raises DamagedError for others than the signed ones, TrustError where none of
    the keys opens them."""
    if (len(sealed), sha256_hex(sealed)) != (cover.size, cover.sha256):
        raise DamagedError(
            f"{where}: expected the {cover.size} bytes that the device signed, found {len(sealed)} others; send it "
            "again"
        )
    return sealing.opened_by_any(sealed, with_keys, _context("numbers", cover), where)


def _context(part: str, place: update.Place | Cover) -> bytes:
    """What a sealed part is bound to, so that none is taken for another."""
    return f"edge-nusa update {part} {place.fleet} {place.device} {place.sequence} {place.before}".encode()
