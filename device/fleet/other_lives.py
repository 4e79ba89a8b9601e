"""Updates that another life of this device sent: the one that a card was restored from a backup of, or a clone.

They are found by their names in the store, under this device's own key, and opened, since updates are sealed to their
own device too. Which of this state's lessons they hold is told by the lessons' ids; what they hold beside those comes
back with the next round. So nothing is sent twice, and nothing is left out, as far as the store still has them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Protocol

from edge_nusa.device.fleet import sent as sents
from edge_nusa.device.fleet.gained import gained_until, unsent
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.opened import Opened
from edge_nusa.errors import DamagedError, StoreError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.knowledge.knowledge import Knowledge, RoundMark
from edge_nusa.sync import chain, parcel, update
from edge_nusa.sync.chain import Link
from edge_nusa.sync.change import Change, nothing_changed
from edge_nusa.sync.parcel import Cover
from edge_nusa.sync.round_file import Round, short
from edge_nusa.sync.stores.store import NotBroughtError, Store

MOST_ADOPTED, MOST_LOOKED_AT = 64, 1000
"""Updates of other lives that are taken notice of at a time, and envelopes that are fetched to find them: who writes to
the store may plant some."""


def adopt(fleet: Fleet, store: Store, finder: Finder, base: Round, now: Round) -> list[int]:
    """Take notice of what other lives of this device sent beyond `base`; the numbers of those updates. finder: says
    what of them is known here; now: the newest round that is known, which may have passed own updates by: these are
    forgotten, to be sent again.

    Call it with the fleet's lock held. Raises StoreError where the store does not answer.
    """
    own, received = fleet.sent(), fleet.received(base)
    stored = dict(_listed(store, fleet.device))
    known = {short(one.sha256) for one in own}
    unknown = [key for name, (number, key) in stored.items() if name not in known and number > received.through]
    covers = dict(islice(_verified(fleet, store, unknown[:MOST_LOOKED_AT]), MOST_ADOPTED))
    links = [Link(cover.sequence, sha256, cover.before) for sha256, (cover, _) in covers.items()]
    others = {*covers, *(one.sha256 for one in own if one.sealed is None)}
    every = [*sents.links(own), *links]
    gone = chain.unsent_beside(every, others, stored.keys())
    gone |= chain.forks(every, fleet.received(now)) | chain.forks(every, received)
    dropped = {one.sha256 for one in own if one.sha256 in gone}
    if dropped:
        # which lessons the others' updates hold of ours is looked at anew, now that ours hold them no more
        in_base = chain.held(sents.links(own), received, sents.put(own))
        anew = [one for one in own if one.sealed is None and one.sha256 not in in_base | gone]
        anew = [one for one in anew if short(one.sha256) in stored]
        fleet.drop(dropped | {one.sha256 for one in anew})
        covers |= {one.sha256: (one.cover, one.envelope) for one in anew}
        links += sents.links(anew)
    kept = {one.sha256 for one in fleet.sent()}
    adopted = []
    for link in chain.connected(links, {received.last, *kept}):
        if link.sha256 in gone or short(link.sha256) in received.refused:
            continue
        cover, envelope = covers[link.sha256]
        _adopt_one(fleet, finder, cover, envelope)
        adopted.append(cover.sequence)
    return adopted


def _listed(store: Store, device: str) -> Iterator[tuple[str, tuple[int, str]]]:
    """(`short` hash, (number, key)) of every update of the device in the store, in the order of their numbers."""
    for key in sorted(store.list(f"updates/{device}")):
        if (found := parcel.read_key(key)) is not None:
            number, name = found
            yield name, (number, key)


def _verified(fleet: Fleet, store: Store, keys: Collection[str]) -> Iterator[tuple[str, tuple[Cover, bytes]]]:
    """SHA-256 -> cover and envelope of those that this device's key signed; others are nobody's."""
    for key in keys:
        try:
            envelope = store.get(key, parcel.LARGEST_ENVELOPE_BYTES)
            cover = parcel.opened_cover(envelope, fleet.signer.public_key, key)
        except NotBroughtError:
            raise
        except (TrustError, DamagedError, StoreError):
            continue  # nobody's, or not to be had: the hub names what then stands beside the chain
        if cover.fleet == fleet.fleet and parcel.envelope_key(cover, sha256_hex(envelope)) == key:
            yield sha256_hex(envelope), (cover, envelope)


class Finder(Protocol):
    """Says what of another life's update is known here. mark: of the round that it is based on."""

    mark: RoundMark

    def part(self, cover: Cover, place: update.Place, whole: update.Statement) -> Change:
        """What of it is known here."""


class LessonFinder:
    """What of other lives' updates a device's state has, by the ids of its lessons."""

    def __init__(self, opened: Opened, fleet: Fleet, store: Store, knowledge: Knowledge, base: Round) -> None:
        self.opened, self.fleet, self.store, self.knowledge, self.base = opened, fleet, store, knowledge, base
        self.mark = knowledge.round

    def part(self, cover: Cover, place: update.Place, whole: update.Statement) -> Change:
        """What this state's knowledge holds of an update: nothing, all of it, or the lessons from before the backup."""
        assigned = {id for one in self.fleet.sent() for id in one.statement.place.lessons}
        mine = [id for id in self.knowledge.lessons if id not in assigned]
        common = [id for id in mine if id in set(place.lessons)]
        if not common:
            return nothing_changed(self.fleet.shapes)
        if set(common) == set(place.lessons):
            try:
                return whole_change(self.fleet, self.store, cover, whole)
            except NotBroughtError:
                raise
            except (StoreError, TrustError, DamagedError):
                pass  # the store has lost or changed its numbers
        if common == mine[: len(common)]:
            then = gained_until(self.opened, self.knowledge, common[-1])
            if then is not None:
                return unsent(then, self.base, self.fleet.pending(self.base), self.fleet.device)
        return nothing_changed(self.fleet.shapes)


def whole_change(fleet: Fleet, store: Store, cover: Cover, statement: update.Statement) -> Change:
    """An own update as it was sent. Raises StoreError, TrustError or DamagedError where the store has lost or changed
    its numbers."""
    key = parcel.numbers_key(cover)
    sealed = store.get(key, cover.size)
    numbers = parcel.opened_numbers(cover, sealed, [fleet.sealing], key)
    return update.decode(statement, numbers, fleet.shapes, key)


def _adopt_one(fleet: Fleet, finder: Finder, cover: Cover, envelope: bytes) -> None:
    where = f"update {cover.sequence}"
    try:
        whole = parcel.opened_statement(cover, [fleet.sealing], where)
        place, part = whole.place, finder.part(cover, whole.place, whole)
    except TrustError:
        # sealed to an earlier key of this device: what it holds is not to be had, and comes with the next round
        place = update.Place(
            fleet=cover.fleet,
            identity=fleet.shapes.identity,
            device=cover.device,
            sequence=cover.sequence,
            before=cover.before,
            round=finder.mark,
        )
        part = nothing_changed(fleet.shapes)
    statement, numbers = update.encode(part, place, "float32")
    fleet.keep_of_other(statement, numbers, cover, envelope)


def is_news(fleet: Fleet, now: Round) -> bool:
    """Whether a round holds updates of this device that this state has never heard of, or passes own ones by."""
    links, received = sents.links(fleet.sent()), fleet.received(now)
    return not chain.is_known(links, received) or bool(chain.forks(links, received))
