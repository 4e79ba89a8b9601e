"""One exchange of a hub with the larger fleet: what its own fleet has gained goes up, then the newest round comes down
and is the hub's next one, to be published like any; what stops the one does not stop the other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_nusa.above import folding
from edge_nusa.above.membership import member
from edge_nusa.device.fleet import other_lives, push
from edge_nusa.device.fleet.exchange import Exchanged
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.other_lives import whole_change
from edge_nusa.device.fleet.push import Pushed
from edge_nusa.device.fleet.remembered import remember, remembered
from edge_nusa.device.fleet.store import asked
from edge_nusa.errors import DamagedError, EdgeNusaError, RefusedError, ResourceError, StoreError, TrustError, tried
from edge_nusa.knowledge.knowledge import RoundMark
from edge_nusa.model.bundle import Bundle
from edge_nusa.sync import round_file, update
from edge_nusa.sync.change import Change
from edge_nusa.sync.hub import sound
from edge_nusa.sync.hub.catching_up import LARGEST_ROUND_LABELS
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.packed import Precision
from edge_nusa.sync.parcel import Cover
from edge_nusa.sync.stores import download
from edge_nusa.sync.stores.store import Store
from edge_nusa.sync.trust import trusted

PRECISION: Precision = "float32"
"""Of the cores that go up: as a round has them, so that another level rounds nothing more than another round does."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What came down. above: number of the larger fleet's round; round: of the own one that holds it, None where it was
    known already; new, gone: labels."""

    above: int
    round: int | None = None
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Its part of what `hub exchange --format json` prints."""
        return asdict(self)


def exchange(hub: Hub, bundle: Bundle, is_forced: bool = False) -> Exchanged[Taken]:
    """Push, then pull, whatever became of the push. Raises InputError for a hub of no larger fleet, StoreError where
    its own store does not answer, and ResourceError where another exchange is running."""
    fleet = member(hub, bundle)
    with fleet.locked():
        with hub.state.writer():
            hub.catch_up()
        push, push_error = tried(lambda: _pushed(hub, fleet))
        pull, pull_error = tried(lambda: _taken(hub, fleet, is_forced))
    return Exchanged(push=push, pull=pull, push_error=push_error, pull_error=pull_error)


class _Whole:
    """Of what another life of this hub told, all was told: its own rounds say what its devices gave, whoever told
    it."""

    def __init__(self, fleet: Fleet, store: Store, mark: RoundMark) -> None:
        self.fleet, self.store, self.mark = fleet, store, mark

    def part(self, cover: Cover, place: update.Place, whole: update.Statement) -> Change:
        """The update as it was sent. Raises StoreError where the store has lost it."""
        try:
            return whole_change(self.fleet, self.store, cover, whole)
        except (StoreError, TrustError, DamagedError) as error:
            raise StoreError(
                f"update {cover.sequence}: expected what this hub told the larger fleet before its folder was "
                f"restored, found it unreadable ({error}); restore that fleet's store, or a newer backup of this hub"
            ) from error


def _pushed(hub: Hub, fleet: Fleet) -> Pushed:
    own, _, shares = hub.current_with_shares()  # of one moment: another command may undo a round between two looks
    above = shares.above
    base, store = fleet.base(above.mark), asked(fleet.store_place)
    others = other_lives.adopt(fleet, store, _Whole(fleet, store, above.mark), base, base)
    return replace(push.send(fleet, store, folding.known(own, above), base, PRECISION), others=others)


def _taken(hub: Hub, fleet: Fleet, is_forced: bool) -> Taken:
    mark = hub.shares().above.mark
    passed = frozenset() if is_forced else frozenset(remembered(fleet))
    largest = fleet.shapes.largest_bytes(LARGEST_ROUND_LABELS)
    bounds = trusted.Bounds(largest, known=passed | {mark.sha256})
    found = trusted.newest_round(asked(fleet.rounds_place), fleet.root, fleet.metadata, bounds, fleet.sealing)
    new = RoundMark(found.number, found.sha256)
    if found.data is not None:
        fleet.keep_base(found.data)
        _hear_of_others(hub, fleet, new)
    with hub.state.writer():
        taken = _folded(hub, fleet, new, found.data is not None, is_forced)
    with suppress(EdgeNusaError):  # the round is taken: that it was, is only needed to notice an undo
        if taken.round is not None:
            remember(fleet, new.sha256, "taken", new.number, f"taken as round {taken.round}")
    download.discard(fleet.metadata / trusted.PARTS)
    with suppress(EdgeNusaError):  # what is damaged beside it is told by whoever needs it
        fleet.prune({hub.shares_of(generation).above.mark for generation in hub.state.history()})
    return taken


def _hear_of_others(hub: Hub, fleet: Fleet, mark: RoundMark) -> None:
    """As on a device (`edge_nusa.device.fleet.pull`)."""
    now = fleet.base(mark)
    if other_lives.is_news(fleet, now):
        old, store = hub.shares().above.mark, asked(fleet.store_place)
        other_lives.adopt(fleet, store, _Whole(fleet, store, old), fleet.base(old), now)


def _folded(hub: Hub, fleet: Fleet, mark: RoundMark, is_here: bool, is_forced: bool) -> Taken:
    (own, records), shares = hub.current(), hub.shares()
    known = shares.above.mark
    if mark == known:
        return Taken(above=mark.number)
    if mark.number < known.number:
        found = f"the larger fleet's newest round is {mark.number}, and this hub knows round {known.number}"
        raise TrustError(f"{found}; nothing was taken: ask who writes to that store")
    if mark.sha256 in remembered(fleet) and not is_forced:
        raise RefusedError(
            f"round {mark.number} of the larger fleet was taken here and undone; the hub is unchanged: wait for the "
            "next round, or use --force"
        )
    if not is_here:
        raise ResourceError(
            f"{hub.folder}: expected the hub to stay while round {mark.number} was looked up, found it changed; run it "
            "again"
        )
    upper = fleet.base(mark)
    if (upper.fleet, upper.number) != (fleet.fleet, mark.number):
        raise TrustError(
            f"round {mark.number}: expected a round of the fleet {fleet.fleet}, found one of {upper.fleet}; nothing "
            "was taken"
        )
    made, after = folding.folded(fleet, own, shares, upper)
    what = f"round {mark.number} of the larger fleet with what this fleet has"
    sound.check(round_file.encode(made), hub.shapes, what, "the hub is unchanged: ask who runs the larger fleet")
    hub.commit(made, records, after, f"round {mark.number} of the larger fleet")
    before, names = own.knowledge.names, made.knowledge.names
    return Taken(
        above=mark.number,
        round=made.number,
        new=tuple(name for name in names if name not in before),
        gone=tuple(name for name in before if name not in names),
    )
