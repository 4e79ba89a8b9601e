"""What devices put into the store for the hub: found, verified in the order of least trust, and read one at a time.

    updates/DEVICE/NNNNNNNN-HASH.json      a DSSE envelope over the statement; HASH: the start of its own SHA-256
    updates/DEVICE/SHA256.numbers          the packed numbers that the statement names

A device's updates are taken in the order of their numbers without a gap. What does not verify never counts against the
device, since anyone may have put it there; what verifies but must not be merged is refused for good, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edge_nusa.errors import DamagedError, EdgeNusaError, StoreError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.identity import mismatch
from edge_nusa.sync import update
from edge_nusa.sync.hub import plausible
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.stores.store import Store, put
from edge_nusa.sync.trust import keys
from edge_nusa.sync.update import Statement

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

    from edge_nusa.sync.change import Change


@dataclass(frozen=True)
class UpdateLimits:
    """Of one update: pictures, packed bytes, and labels that it takes back."""

    pictures: int = 1000
    size: int = 64 << 20
    forgets: int = 20


@dataclass(frozen=True)
class Accepted:
    """A verified update that can be merged: its statement, where its numbers are, and label key -> pictures gained."""

    statement: Statement
    numbers_key: str
    pictures: Mapping[str, int]


@dataclass(kw_only=True)
class Mail:
    """What came from one device. accepted: oldest first; refused: number -> reason, for good; notes: what was passed
    over this time, in words; through: the last number that was taken or refused."""

    device: str
    accepted: list[Accepted] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    through: int = 0


def send(store: Store, envelope: bytes, statement: Statement, numbers: bytes) -> None:
    """Put an update, its envelope last; an object of its name and size counts as done, since names are made of
    hashes."""
    device = statement.place.device
    name = f"{statement.place.sequence:08d}-{sha256_hex(envelope)[:16]}.json"
    for key, data in ((f"{statement.sha256}.numbers", numbers), (name, envelope)):
        if store.head(f"updates/{device}/{key}") != len(data):
            put(store, f"updates/{device}/{key}", data)


def seal(statement: Statement, signer: CryptoSigner) -> bytes:
    """The signed envelope of a statement."""
    return keys.sealed(statement.to_bytes(), update.PAYLOAD_TYPE, signer)


def collect(store: Store, device: SSlibKey, now: Round, shapes: UpdateShapes, limits: UpdateLimits) -> Mail:
    """Everything new of one device. Raises StoreError where the store does not answer."""
    earlier = now.received.get(device.keyid, Received())
    mail = Mail(device=device.keyid, through=earlier.through)
    listed = sorted(_numbered(store.list(f"updates/{device.keyid}"), mail))
    while candidates := [key for sequence, key in listed if sequence == mail.through + 1]:
        if not _take(store, candidates, device, _Judge(now, shapes, limits), mail):
            break
    later = [sequence for sequence, _ in listed if sequence > mail.through + 1]
    if later and not candidates:
        mail.notes.append(f"update {mail.through + 1} is not there yet, {len(later)} later ones wait for it")
    return mail


def read(store: Store, one: Accepted, shapes: UpdateShapes) -> Change:
    """The change of an accepted update, fetched again and verified again. Raises StoreError or DamagedError."""
    numbers = store.get(one.numbers_key, one.statement.size)
    if sha256_hex(numbers) != one.statement.sha256:
        raise StoreError(
            f"{one.numbers_key}: expected the bytes that the device signed, found {len(numbers)} others; the store or "
            "its transport changed them"
        )
    return update.decode(one.statement, numbers, shapes, one.numbers_key)


def _numbered(listed: Iterable[str], mail: Mail) -> Iterator[tuple[int, str]]:
    for key in listed:
        name = key.rsplit("/", 1)[1]
        number, _, rest = name.partition("-")
        if len(number) == 8 and number.isascii() and number.isdecimal() and rest.endswith(".json"):
            yield int(number), key
        elif not name.endswith(".numbers"):
            mail.notes.append(f"{key}: not an update, passed over")


@dataclass(frozen=True)
class _Judge:
    """What a verified update is measured by."""

    now: Round
    shapes: UpdateShapes
    limits: UpdateLimits


def _take(store: Store, candidates: list[str], device: SSlibKey, judge: _Judge, mail: Mail) -> bool:
    """Take or refuse the device's next update; False where it must wait."""
    verified: dict[bytes, Statement] = {}
    for key in candidates:
        try:
            statement = _statement(store, key, device)
            verified[statement.to_bytes()] = statement
        except (TrustError, StoreError, DamagedError) as error:
            mail.notes.append(str(error))
    if not verified:
        return False
    sequence = mail.through + 1
    try:
        if len(verified) > 1:
            raise DamagedError("the device signed two different updates of this number")
        mail.accepted.append(_judged(store, next(iter(verified.values())), device.keyid, sequence, judge))
    except StoreError as error:
        mail.notes.append(f"update {sequence}: {error}")
        return False
    except EdgeNusaError as error:
        mail.refused[sequence] = str(error)
    mail.through = sequence
    return True


def _judged(store: Store, statement: Statement, device: str, sequence: int, judge: _Judge) -> Accepted:
    """The update if it may be merged. Raises DamagedError with the reason if it never may, StoreError if it is not
    whole yet."""
    reason = misplaced(statement.place, sequence, device, judge.now)
    if not reason and statement.size > judge.limits.size:
        reason = f"its numbers have {statement.size} bytes, the bound is {judge.limits.size}"
    if not reason and len(statement.forgets) > judge.limits.forgets:
        reason = f"it takes back {len(statement.forgets)} labels at once, the bound is {judge.limits.forgets}"
    if reason:
        raise DamagedError(reason)
    accepted = Accepted(statement, f"updates/{device}/{statement.sha256}.numbers", {})
    change = read(store, accepted, judge.shapes)
    plausible.check(change)
    plausible.check_cores(change, judge.shapes.largest_cores)
    pictures = {key: label.pictures for key, label in change.labels.items()}
    total = sum(abs(count) for count in pictures.values()) + abs(change.spare)
    if total > judge.limits.pictures:
        raise DamagedError(f"it is of {total} pictures, the bound is {judge.limits.pictures}")
    return replace(accepted, pictures=pictures)


def _statement(store: Store, key: str, device: SSlibKey) -> Statement:
    data = store.get(key, 2 * update.LARGEST_STATEMENT_BYTES)
    _, payload = keys.opened(data, update.PAYLOAD_TYPE, {device.keyid: device}, key)
    return Statement.from_bytes(payload, key)


def misplaced(place: update.Place, sequence: int, device: str, now: Round) -> str:
    """Why a verified update does not belong here; empty where it does."""
    if place.fleet != now.fleet:
        return "it is of another fleet"
    if place.identity != now.identity:
        return f"it was learned with another bundle: {mismatch(now.identity, place.identity)}"
    if (place.device, place.sequence) != (device, sequence):
        return f"it says that it is update {place.sequence} of {place.device[:16]}: an old one under a new name"
    if place.round.number > now.number:
        return f"it is based on round {place.round.number}, and the newest is {now.number}"
    return ""
