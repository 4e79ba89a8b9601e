"""A node's turn: a push or a pull of this device over what the hub's message brought, and its answer.

The fleet's own code does both; its store is the message. The words of an error stay here, as they may name a label.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from edge_nusa.device.fleet import pull as pulling
from edge_nusa.device.fleet import push as pushing
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.sent import Sent
from edge_nusa.device.opened import Opened
from edge_nusa.errors import EdgeNusaError, TrustError
from edge_nusa.flower import freight
from edge_nusa.flower.carried import CarriedStore
from edge_nusa.flower.freight import Freight
from edge_nusa.flower.messages import Answer, Question
from edge_nusa.knowledge.knowledge import RoundMark
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load
from edge_nusa.sync import parcel
from edge_nusa.sync.hub.whole_step import MOST_UPDATES
from edge_nusa.sync.round_file import Round
from edge_nusa.sync.stores.store import Store


@dataclass(frozen=True)
class Turned:
    """The answer for the hub, and what was done, or why not, for who runs this node."""

    answer: Answer
    words: str


class CarriedFleet(Fleet):
    """This device's part in its fleet, over the store that a message brought."""

    def __init__(self, opened: Opened, carried: CarriedStore) -> None:
        super().__init__(opened)
        self._carried = carried

    def store(self) -> Store:
        """What the message brought."""
        return self._carried

    def rounds(self) -> Store:
        """The same."""
        return self._carried

    def waiting(self, now: Round) -> list[Sent]:
        """`Fleet.waiting`: those that the hub's store does not list, as many as a merge takes of a device."""
        listed = set(self._carried.list(f"updates/{self.device}"))
        missing = (one for one in super().waiting(now) if _key(one) not in listed)
        return list(islice(missing, MOST_UPDATES))

    def put(self, one: Sent) -> None:
        """Nothing yet: it is only on its way, and the answer may be lost (`confirm`)."""

    def confirm(self, listed: list[str]) -> None:
        """Remember of own updates that the hub's store lists them."""
        with self.locked():
            for one in self.sent():
                if not one.is_put and _key(one) in listed:
                    super().put(one)


def _key(one: Sent) -> str:
    return parcel.envelope_key(one.cover, one.sha256)


def turned(opened: Opened, asked: bytes, common: bytes) -> Turned:
    """Take a turn. asked: the question (`Question`); common: freight that the hub brings every node.

    Raises DamagedError or StoreError for messages that are none, InputError for a state of no fleet.
    """
    question = Question.decode(asked, "the hub's message")
    brought = freight.decode(common, "the hub's message")[1].with_other(question.brought)
    store = CarriedStore(brought)
    fleet = CarriedFleet(opened, store)
    empty = Answer(fleet=fleet.fleet, device=fleet.device)
    try:
        done = _done(opened, fleet, question, brought, empty)
    except EdgeNusaError as error:
        # what was wished for and not brought is said by whoever asked the store, at times in other words
        exit_code = 0 if store.wishes else error.exit_code
        done = Turned(replace(empty, exit_code=exit_code, wishes=store.wishes), str(error))
    # Where a turn failed too: a judge that refuses a round reports that. A report counts as sent here, so that one
    # whose answer is lost comes again after a day, as after any other (`edge_nusa.device.fleet.reporting`).
    mark = _based_on(opened)
    answer = replace(done.answer, number=mark.number, sha256=mark.sha256, puts=Freight(wholes=store.puts))
    return replace(done, answer=answer)


def _done(opened: Opened, fleet: CarriedFleet, question: Question, brought: Freight, empty: Answer) -> Turned:
    if question.fleet != fleet.fleet:
        raise TrustError(
            f"expected a message of the fleet {fleet.fleet[:16]}, found one of {question.fleet[:16]}; ask who runs "
            "the SuperLink"
        )
    fleet.confirm(list(brought.lists.get(f"updates/{fleet.device}", ())))
    return _pushed(opened, fleet, empty) if question.turn == "push" else _pulled(opened, fleet, empty)


def _based_on(opened: Opened) -> RoundMark:
    """The round that this state is based on; none where it cannot be read, which the turn has said."""
    try:
        return load(opened.bundle, opened.state, DEVICE)[1].round
    except EdgeNusaError:
        return RoundMark(0, "")


def _pushed(opened: Opened, fleet: CarriedFleet, empty: Answer) -> Turned:
    done = pushing.push(opened, fleet=fleet)
    if done.update is None:
        return Turned(empty, f"nothing new; sent: {len(done.sent)} updates")
    if done.update not in done.sent:
        answer = replace(empty, update=done.update)
        return Turned(answer, f"update {done.update} waits; sent first: {len(done.sent)} earlier updates")
    answer = replace(empty, update=done.update, pictures=max(done.pictures, 0))
    return Turned(answer, f"update {done.update} with {done.pictures} pictures is on its way")


def _pulled(opened: Opened, fleet: CarriedFleet, empty: Answer) -> Turned:
    done = pulling.pull(opened, fleet=fleet)
    if done.generation is None:
        return Turned(empty, f"round {done.round} is known already")
    return Turned(
        replace(empty, generation=done.generation), f"took round {done.round} as generation {done.generation}"
    )
