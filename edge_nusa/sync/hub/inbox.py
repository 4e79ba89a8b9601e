"""What devices put into the store for the hub: found, verified in the order of least trust, and read one at a time.

    updates/DEVICE/NNNNNNNN-HASH.json      a signed envelope (`edge_nusa.sync.parcel`); HASH: the start of its SHA-256
    updates/DEVICE/SHA256.numbers          the sealed numbers that it names

A device's updates are a chain, taken link by link without a gap. Where two of them follow the same one, as a restored
card or a clone makes them, the one of the smaller hash is taken and the other refused as a fork, which its device sends
again by itself. What does not verify never counts against the device, since anyone may have put it there; what verifies
but must not be merged is refused for good, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError, StoreError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.foreign import named
from edge_nusa.files.identity import another, mismatch
from edge_nusa.sync import parcel, update
from edge_nusa.sync.hub import plausible
from edge_nusa.sync.hub.mail import Accepted, Mail, few
from edge_nusa.sync.hub.whole_step import MOST_UPDATES, UpdateLimits, WholeStep
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.parcel import Cover
from edge_nusa.sync.round_file import MOST_REFUSALS, SHORT, Received, Refusal, RefusalKind, Round, short
from edge_nusa.sync.stores.store import Store
from edge_nusa.sync.trust.sealing_keys import SealingKey

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

    from edge_nusa.sync.change import Change

MOST_CANDIDATES, MOST_LOOKED_AT = 8, 256
"""Envelopes under one number that its device signed, and that are fetched to find them: others may plant some."""
MOST_AHEAD = 1000
"""Rounds that a hub may have lost, with the store that had them, and count on from what its devices know."""
MOST_SETTLED = 4096
"""Numbers of a device back from its newest, of which the hub knows every envelope that it decided on."""
FORK = "another update of this device stands at its place; it is sent again by itself"
WAITS = "this and later ones wait for the next"
KNOWN = "its lessons are in the fleet already, by another update of this device"


@dataclass(frozen=True)
class Known:
    """What the hub remembers of one device. settled: the `short` hashes of updates that were taken or refused; lessons:
    ids of those taken."""

    settled: Collection[str] = frozenset()
    lessons: Collection[str] = frozenset()


@dataclass(frozen=True)
class Judge:
    """What an update is measured by, and the hub's keys that open it."""

    now: Round
    shapes: UpdateShapes
    limits: UpdateLimits
    keys: Sequence[SealingKey]


@dataclass(frozen=True)
class _Found:
    """A verified envelope."""

    cover: Cover
    sha256: str


class _WaitError(EdgeNusaError):
    """An update that cannot be judged yet."""


def collect(store: Store, device: SSlibKey, known: Known, judge: Judge) -> Mail:
    """Everything new of one device. Raises StoreError where the store does not answer."""
    earlier = judge.now.received.get(device.keyid, Received())
    mail = Mail(device=device.keyid, through=earlier.through, last=earlier.last)
    whole = WholeStep(judge.limits, judge.shapes.largest_cores)
    reader = _Reader(store, device, known, judge, mail, earlier, whole)
    listed = sorted(_numbered(store.list(f"updates/{device.keyid}"), mail))
    unsettled = [(number, key) for number, key in listed if _short_of(key) not in known.settled]
    while reader.take([key for number, key in unsettled if number == mail.through + 1]):
        pass
    decided = {*known.settled, *mail.settled}
    places = range(mail.through - MOST_SETTLED + 1, mail.through + 1)
    reader.refuse_late([key for number, key in unsettled if number in places and _short_of(key) not in decided])
    numbers = [number for number, _ in unsettled]
    later = [number for number in numbers if number > mail.through + 1]
    if later and mail.through + 1 not in numbers:
        mail.notes.append(f"update {mail.through + 1} is not there yet, {len(later)} later ones wait for it")
    mail.notes = few(list(dict.fromkeys(mail.notes)))
    return mail


def read(store: Store, one: Accepted, judge: Judge) -> Change:
    """The change of an accepted update, fetched again and verified again. Raises StoreError, TrustError or
    DamagedError."""
    key = parcel.numbers_key(one.cover)
    sealed = store.get(key, one.cover.size)
    if sha256_hex(sealed) != one.cover.sha256:
        raise StoreError(
            f"{key}: expected the bytes that the device signed, found {len(sealed)} others; the store or its transport "
            "changed them"
        )
    numbers = parcel.opened_numbers(one.cover, sealed, judge.keys, key)
    return update.decode(one.statement, numbers, judge.shapes, key)


def _numbered(listed: Iterable[str], mail: Mail) -> Iterator[tuple[int, str]]:
    for key in listed:
        found = parcel.read_key(key)
        if found is not None:
            yield found[0], key
        elif not key.endswith(".numbers"):
            mail.notes.append(f"{named(key.rsplit('/', 1)[1])}: not an update, passed over")


def _short_of(key: str) -> str:
    """The hash in an envelope's name; what the name only claims is checked when it is read."""
    return key.rsplit("-", 1)[1].removesuffix(".json")[:SHORT]


@dataclass(frozen=True)
class _Reader:
    """Takes the updates of one device into its mail."""

    store: Store
    device: SSlibKey
    known: Known
    judge: Judge
    mail: Mail
    earlier: Received
    whole: WholeStep

    def take(self, candidates: Sequence[str]) -> bool:
        """Take or refuse the device's next update; False where there is none or it must wait."""
        mail = self.mail
        if candidates and len(mail.settled) >= MOST_UPDATES:
            mail.notes.append(f"one merge takes {MOST_UPDATES} updates of a device; {WAITS}")
            return False
        found = self._verified(candidates)
        fitting = sorted((one for one in found if one.cover.before == mail.last), key=lambda one: one.sha256)
        chosen = next((one for one in fitting if self._is_decided(one)), None)
        for one in found:
            if one is not chosen and (chosen is not None or one not in fitting):
                self._refuse(one, FORK, "fork")
        if chosen is None:
            return False
        mail.through, mail.last = chosen.cover.sequence, chosen.sha256
        return True

    def _is_decided(self, chosen: _Found) -> bool:
        """Take an update or refuse it for good; False, with a note, where it must wait."""
        mail = self.mail
        try:
            mail.accepted.append(self._judged(chosen))
        except (StoreError, ResourceError, _WaitError) as error:
            mail.notes.append(f"update {chosen.cover.sequence}: {error}")
            return False
        except _KnownError as error:
            self._refuse(chosen, str(error), "known")
        except EdgeNusaError as error:
            self._refuse(chosen, str(error), "refused")
        return True

    def refuse_late(self, keys: Sequence[str]) -> None:
        """Name as forks what stands at places that are taken; the rest another time where they are many."""
        for one in self._verified(keys):
            self._refuse(one, FORK, "fork")

    def _refuse(self, one: _Found, reason: str, kind: RefusalKind) -> None:
        number = one.cover.sequence
        self.mail.refused[short(one.sha256)] = Refusal(number, reason, kind, self.judge.now.number + 1)

    def _verified(self, keys: Sequence[str]) -> list[_Found]:
        """Those that the device signed, each once; of the others a note."""
        found: dict[str, _Found] = {}
        for key in keys[:MOST_LOOKED_AT]:
            if len(found) == MOST_CANDIDATES:
                break
            try:
                envelope = self.store.get(key, parcel.LARGEST_ENVELOPE_BYTES)
                sha256 = sha256_hex(envelope)
                cover = parcel.opened_cover(envelope, self.device, key)
            except (TrustError, StoreError, DamagedError) as error:
                self.mail.notes.append(str(error))
                continue
            if parcel.envelope_key(cover, sha256) != key:
                self.mail.notes.append(f"{key}: an old update under a new name, passed over")
            elif short(sha256) not in self.known.settled:
                found[sha256] = _Found(cover, sha256)
        return list(found.values())

    def _judged(self, one: _Found) -> Accepted:
        """The update if it may be merged. Raises DamagedError with the reason if it never may, StoreError if it is not
        whole yet."""
        limits, where = self.judge.limits, f"update {one.cover.sequence}"
        if one.cover.size > limits.size:
            raise DamagedError(f"its numbers have {one.cover.size} bytes, the bound is {limits.size}")
        statement = parcel.opened_statement(one.cover, self.judge.keys, where)
        reason = misplaced(statement.place, self.device.keyid, self.judge.now)
        if reason:
            raise DamagedError(reason)
        self._check_new(statement.place)
        accepted = Accepted(one.cover, one.sha256, statement, {})
        change = read(self.store, accepted, self.judge)
        plausible.check(change, limits.hidden)
        if not self.whole.has_room(change):
            raise _WaitError(f"one merge takes {limits.pictures} pictures of a device, {WAITS}")
        return replace(accepted, pictures={key: label.pictures for key, label in change.labels.items()})

    def _check_new(self, place: update.Place) -> None:
        """Raises _WaitError for one based on a round that is yet to come here, _KnownError for one whose every lesson
        was taken by another update."""
        now = self.judge.now.number
        if place.round.number > now:
            self.mail.ahead = place.round.number if place.round.number <= now + MOST_AHEAD else 0
            raise _WaitError(
                f"it is based on round {place.round.number}, and the newest that this hub knows is {now}; it waits"
            )
        unseen = sum(one.round > place.round.number for one in self.earlier.refused.values())
        if unseen + len(self.mail.settled) >= MOST_REFUSALS:
            raise _WaitError(f"its device has not seen yet why {unseen} others were refused; it waits until it pulls")
        earlier = {*self.known.lessons, *(id for one in self.mail.accepted for id in one.statement.place.lessons)}
        if place.lessons and earlier.issuperset(place.lessons):
            raise _KnownError(KNOWN)


class _KnownError(EdgeNusaError):
    """An update that says again what was taken already."""


def misplaced(place: update.Place, device: str, now: Round) -> str:
    """Why a verified update does not belong here; empty where it does."""
    if place.fleet != now.fleet:
        return "it is of another fleet"
    if place.identity != now.identity:
        return f"it was learned with {another(now.identity, place.identity)}: {mismatch(now.identity, place.identity)}"
    if place.device != device:
        return f"it says that it is of the device {place.device[:16]}"
    return ""
