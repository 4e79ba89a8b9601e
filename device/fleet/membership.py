"""A device's own folder of a fleet: whom it trusts, its key, the rounds it is based on, and what it sent that they
lack.

STATE/sync/settings.json  fleet and store         STATE/sync/root.json    the fleet's first root, given by hand
STATE/sync/key.pem        signs what it sends      STATE/sync/sealing.key  opens what is sealed to it
STATE/sync/device.pub     the public halves of both, for `hub enroll`
STATE/sync/bases/         rounds that kept generations are based on, by SHA-256
STATE/sync/sent/          own updates that some of these rounds lack (`edge_nusa.device.fleet.sent`)
STATE/sync/metadata/      the newest TUF metadata seen
STATE/sync/rounds.json    rounds refused or undone here, with the reason
STATE/sync/report.json    which report the hub's store took last (`edge_nusa.device.fleet.reporting`)
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nusa.device.fleet import sent as sents
from edge_nusa.device.fleet import settings
from edge_nusa.device.fleet.first_root import member_root
from edge_nusa.device.fleet.sent import Sent, SentFolder
from edge_nusa.device.fleet.standing import Standing
from edge_nusa.device.fleet.store import asked
from edge_nusa.device.opened import Opened
from edge_nusa.errors import DamagedError, ResourceError, TrustError, UnreadableError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.lock import Lock
from edge_nusa.knowledge.knowledge import RoundMark
from edge_nusa.sync import parcel, round_file, update
from edge_nusa.sync.merging import Step
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.parcel import Cover
from edge_nusa.sync.renaming import spoken
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.stores.store import Store
from edge_nusa.sync.trust import keys, sealing_keys, trusted
from edge_nusa.sync.trust.roots import Terms, fleet_terms
from edge_nusa.sync.trust.sealing_keys import SealingKey
from edge_nusa.sync.update import Statement

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

LARGEST_ROUND_BYTES = 1 << 30


class Fleet:
    """An opened folder, by itself that of the state; device is the name of its key, which is its name in the fleet.
    Raises InputError where this state belongs to no fleet."""

    def __init__(self, model: Opened, folder: Path | None = None) -> None:
        keys.require_packages()
        self.folder = folder or model.state.folder / "sync"
        self.shapes = UpdateShapes(model.bundle)
        found = settings.read(self.folder)
        self.fleet, self.device, self.store_place = found.fleet, found.device, found.store
        self._sealing_name = found.sealing
        self.rounds_place = found.rounds or found.store
        self.has_reports = found.has_reports

    @cached_property
    def signer(self) -> CryptoSigner:
        """This device's key. Raises TrustError where it is not the one that the fleet knows."""
        signer = keys.load_key(self.folder / "key.pem")
        if signer.public_key.keyid != self.device:
            raise TrustError(
                f"{self.folder / 'key.pem'}: expected the key {self.device[:16]}..., found another; restore it, or "
                "join with a new --state"
            )
        return signer

    @cached_property
    def sealing(self) -> SealingKey:
        """The key that opens what is sealed to this device. Raises TrustError where it is not the one that it joined
        with."""
        found = sealing_keys.load_key(self.folder / "sealing.key")
        if found.public.name != self._sealing_name:
            raise TrustError(
                f"{self.folder / 'sealing.key'}: expected the key {self._sealing_name[:16]}..., found another; restore "
                "it, or join with a new --state"
            )
        return found

    @property
    def terms(self) -> Terms:
        """What the fleet shares and whom updates are sealed to, by the newest root that this device has followed.
        Raises TrustError."""
        return fleet_terms(trusted.newest_root(self.root, self.metadata))

    def store(self) -> Store:
        """Where this device pushes; a carrier of messages has another (`edge_nusa.flower.node`)."""
        return asked(self.store_place)

    def rounds(self) -> Store:
        """Where it pulls from: the store, or the hub's mirror."""
        return asked(self.rounds_place)

    @property
    def metadata(self) -> Path:
        """The folder of the newest TUF metadata seen."""
        return self.folder / "metadata"

    @cached_property
    def root(self) -> bytes:
        """The fleet's first root, checked to be the one that the fleet is named after. Raises DamagedError."""
        return member_root(self.folder, self.fleet)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One sync at a time on this state. Raises ResourceError where another runs; learning and asking never wait
        for it."""
        lock = Lock(self.folder / "lock")
        with durable.explained(f"lock {self.folder}"):
            if not lock.acquire():
                raise ResourceError(
                    f"{self.folder}: expected no other sync of this state, found one running; wait for it to end"
                )
        try:
            durable.remove_leftovers(self.folder)
            durable.remove_leftovers(self.folder / sents.NAME)
            durable.remove_leftovers(self.folder / "bases")
            yield
        finally:
            lock.release()

    def base(self, mark: RoundMark) -> Round:
        """The round of a mark. Raises UnreadableError where it is missing, DamagedError where it is changed."""
        if mark.number == 0:
            return round_file.nothing(self.fleet, self.shapes)
        path = self._base_path(mark.sha256)
        data = sents.read_file(path, LARGEST_ROUND_BYTES)
        if sha256_hex(data) != mark.sha256:
            raise DamagedError(
                f"{path}: expected the round with that SHA-256, found another; restore the file, or `edge-nusa undo` "
                "to an earlier round"
            )
        return round_file.decode(data, self.shapes, str(path))

    def keep_base(self, data: bytes) -> None:
        """Keep a round that a generation is about to be based on."""
        path = self._base_path(sha256_hex(data))
        with durable.explained(f"write {path}"):
            durable.make_folder(path.parent)
            durable.replace_file(path, data)

    @cached_property
    def _sent(self) -> SentFolder:
        return SentFolder(self.folder / sents.NAME, self.signer.public_key)

    def sent(self) -> list[Sent]:
        """What was sent and is still needed, oldest first, verified by this device's own key. Raises DamagedError,
        TrustError."""
        return self._sent.all()

    def received(self, now: Round) -> Received:
        """What a round says of this device."""
        return now.received.get(self.device, Received())

    def standing(self, now: Round) -> Standing:
        """Which of what was sent a round holds, refuses, or has passed by."""
        return Standing.of(self.sent(), self.received(now), now.number)

    def pending(self, now: Round) -> list[Step]:
        """The steps that a round does not hold, oldest first; a fork is none, as its content is to be sent again."""
        return [
            Step(
                one.statement.place.sequence,
                one.statement.place.round.number,
                update.decode(one.statement, one.numbers, self.shapes, "sent"),
            )
            for one in self.standing(now).pending
        ]

    def waiting(self, now: Round) -> list[Sent]:
        """Updates of this life of the device that a round neither holds nor refuses, oldest first."""
        return self.standing(now).waiting

    def lessons_in(self, now: Round) -> set[str]:
        """Ids of the lessons that are in a round by this device's updates."""
        return {id for one in self.standing(now).held for id in one.statement.place.lessons}

    def labels_of_others(self, now: Round) -> set[str]:
        """Keys of the labels that other lives of this device accounted for in what a round holds: where it lacks them,
        they took them back."""
        others = [one.statement for one in self.standing(now).held if one.sealed is None]
        return {spoken(label.key, one.place.round.number, now.renamed).key for one in others for label in one.labels}

    def remember_refused(self, now: Round) -> None:
        """Keep why a round refuses own updates, which later rounds do not say again."""
        for one, refusal in self.standing(now).newly_refused:
            self._sent.refuse(one, refusal)

    def keep_sent(self, statement: Statement, numbers: bytes) -> Sent:
        """Seal and sign an update, and keep it before it is sent, so that a cut never makes two of one. Raises
        InputError for one that could not be read back."""
        update.check_readable(statement, numbers, self.shapes)
        made = parcel.parcel(statement, numbers, self.signer, (self.terms.sealing, self.sealing.public))
        return self._sent.keep(statement, numbers, made.cover, made.envelope, made.numbers)

    def keep_of_other(self, statement: Statement, numbers: bytes, cover: Cover, envelope: bytes) -> None:
        """Keep what this state has of an update that another life of the device sent."""
        self._sent.keep(statement, numbers, cover, envelope, None)

    def put(self, one: Sent) -> None:
        """Remember that an update came into the store."""
        self._sent.put(one)

    def drop(self, some: Collection[str]) -> None:
        """Forget that these updates (SHA-256) were made: what they hold is then to be sent again."""
        with durable.explained(f"write {self._sent.folder}"):
            for one in reversed(self.sent()):
                if one.sha256 in some:
                    durable.discard(self._sent.path(one))

    def prune(self, marks: Collection[RoundMark]) -> None:
        """Remove, as far as the disk allows, rounds that no kept generation is based on (`marks`), and own updates
        that all of those that are hold; the newest update stays, as it says how far they are numbered. What is damaged
        is left alone."""
        needed = {mark.sha256 for mark in marks}
        with suppress(OSError, DamagedError, UnreadableError, TrustError):
            rounds = [self.base(mark) for mark in set(marks)]
            for path in (self.folder / "bases").glob("*.round"):
                if path.stem not in needed:
                    os.unlink(path)
            sent = self.sent()
            in_each = [{one.sha256 for one in Standing.of(sent, self.received(now), now.number).held} for now in rounds]
            newest = max((one.cover.sequence for one in sent), default=0)
            for one in sent:
                if one.cover.sequence < newest and all(one.sha256 in held for held in in_each):
                    durable.discard(self._sent.path(one))

    def _base_path(self, sha256: str) -> Path:
        return self.folder / "bases" / f"{sha256}.round"
