"""A round over Flower, as the hub runs it: every node pushes, the hub merges and publishes, every node pulls.

A node that does not answer in time is left out, and sends with the next round what it has. What a node wished for and
was not brought comes with a turn of its own, MOST_TURNS of them at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from edge_nusa.errors import EdgeNusaError
from edge_nusa.flower import offering, taking
from edge_nusa.flower.carried import Wish
from edge_nusa.flower.freight import Freight, encode
from edge_nusa.flower.messages import Answer, Question, Turn
from edge_nusa.sync.hub.enrolled import Device
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.report import MergeReport

MOST_TURNS = 8
"""Of a push or a pull: a restored card asks for its list, its updates, and the numbers of each."""
SHORT_KEY = 16
"""Digits of a key's name, as people read and type it."""
NO_FREIGHT = encode({}, Freight())


class Nodes(Protocol):
    """The way to the nodes."""

    def known(self) -> Mapping[int, str]:
        """Every node that is there, and what it is called: as its device, by its name or the start of its key's, or
        anything else, which costs a turn."""

    def begin(self) -> None:
        """The time for answers counts from now on, for all that is asked until this is called again."""

    def ask(self, questions: Iterable[tuple[int, bytes]], common: bytes) -> Iterator[tuple[int, bytes | str]]:
        """The answers of those who answer in time, as they come; in words why one did not. common: what every node is
        brought beside its own question."""


@dataclass
class NodeReport:
    """What became of a node in a round. device: its name, "" where it never said; updates: numbers of those that it
    sent; pictures: in them, as it says; round: that it is on now; left_out: why it is not, "" where it is."""

    node: int
    device: str = ""
    updates: list[int] = field(default_factory=list)
    pictures: int = 0
    round: int = 0
    left_out: str = ""


@dataclass(frozen=True)
class RoundReport:
    """The nodes, what the hub merged, and the number of the round that is published now, 0 for none."""

    nodes: list[NodeReport]
    merged: MergeReport
    round: int

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"round": self.round, "nodes": [asdict(one) for one in self.nodes], "merged": self.merged.to_json()}


class RoundOfTurns:
    """One round of a hub with its nodes."""

    def __init__(self, hub: Hub, nodes: Nodes, settings: MergeSettings) -> None:
        self.hub, self.nodes, self.settings = hub, nodes, settings
        self._devices: Mapping[str, Device] = {one.key.keyid: one for one in hub.enrolled.all()}
        names = {keyid[:SHORT_KEY]: keyid for keyid in self._devices}
        names |= {one.name: keyid for keyid, one in self._devices.items() if one.name}
        self.reports = {node: NodeReport(node, names.get(name, "")) for node, name in nodes.known().items()}
        self._silent: set[int] = set()
        self._based: dict[int, str] = {}

    def run(self) -> RoundReport:
        """Raises what the hub's merge and publication do: nothing that a node sends makes either fail, and what fails
        on the way to the nodes is in the report."""
        self.push()
        merged, published = self.hub.merge(self.settings), 0
        if merged.round:
            published = self.hub.publish().round
            self.pull()
        return RoundReport(list(self.reports.values()), merged, published)

    def push(self) -> None:
        """What every node has for the hub comes into its store."""
        self._turns("push", NO_FREIGHT, dict.fromkeys(self.reports, Freight()))

    def pull(self) -> None:
        """The newest round goes to every node that did not fall silent before, and has another."""
        asked = [node for node in self.reports if node not in self._silent]
        try:
            newest = offering.newest(self.hub)
        except EdgeNusaError as error:
            for node in asked:
                self._leave_out(node, str(error))
            return
        if newest is not None:
            self._turns("pull", encode({}, newest.common), self._wraps(newest, asked))

    def _wraps(self, newest: offering.Newest, asked: Iterable[int]) -> dict[int, Freight]:
        """What opens the round for each of these nodes that has another."""
        own = {}
        for node in asked:
            device = self._devices.get(self.reports[node].device)
            if device is None or self._based.get(node) == newest.announced.sha256:
                continue
            try:
                own[node] = newest.own_wrap(self.hub.store, device.sealing)
            except EdgeNusaError as error:
                self._leave_out(node, str(error))
        return own

    def _turns(self, turn: Turn, common: bytes, own: Mapping[int, Freight]) -> None:
        """Ask the nodes until each has done its turn, or the turns are used up. own: what each is brought by itself."""
        wishes: dict[int, list[Wish]] = {node: [] for node in own}
        self.nodes.begin()
        for _ in range(MOST_TURNS):
            if not wishes:
                return
            silent = set(wishes)
            for node, answered in self.nodes.ask(self._questions(turn, own, wishes), common):
                silent.discard(node)
                new = self._heard(node, answered)
                if new and set(new) - set(wishes[node]):
                    # the new ones first: what came before and was kept may fill a message's room no more
                    wishes[node] = [*new, *(one for one in wishes[node] if one not in new)]
                else:
                    if new:
                        self._leave_out(node, "it wished again for what it had been brought, or may not have")
                    del wishes[node]
            for node in silent & wishes.keys():
                self._leave_out(node, "no answer in time; it sends with the next round what it has")
                self._silent.add(node)
                del wishes[node]
        for node in wishes:
            self._leave_out(node, f"not done after {MOST_TURNS} turns; the next round goes on from there")

    def _questions(
        self, turn: Turn, own: Mapping[int, Freight], wishes: dict[int, list[Wish]]
    ) -> Iterator[tuple[int, bytes]]:
        """A question for each node that wishes are kept of; a node for which the store does not answer is left out,
        and its wishes with it."""
        for node in list(wishes):
            try:
                yield node, self._question(turn, node, own[node], wishes[node])
            except EdgeNusaError as error:
                self._leave_out(node, str(error))
                del wishes[node]

    def _question(self, turn: Turn, node: int, own: Freight, wishes: list[Wish]) -> bytes:
        device, brought = self.reports[node].device, own
        if device:
            brought = brought.with_other(offering.own_updates(self.hub.store, device))
            brought = brought.with_other(offering.wished(self.hub.store, device, wishes))
        return Question(self.hub.settings.fleet, turn, brought).encode()

    def _heard(self, node: int, answered: bytes | str) -> list[Wish]:
        """Take an answer; what the node still wishes for."""
        report = self.reports[node]
        try:
            self._silent.add(node)
            if isinstance(answered, str):
                raise EdgeNusaError(answered)
            answer = Answer.decode(answered, f"node {node}")
            device = taking.device_of(self._devices, answer)
            report.device = device.key.keyid
            report.updates += taking.take(self.hub, device, answer, self.settings.limits)
            report.pictures += answer.pictures
            self._silent.discard(node)
            report.round, self._based[node] = answer.number, answer.sha256
            if answer.exit_code:
                raise EdgeNusaError(f"its own error, exit code {answer.exit_code}; its log has the words")
            return list(answer.wishes)
        except EdgeNusaError as error:
            self._leave_out(node, str(error))
            return []

    def _leave_out(self, node: int, why: str) -> None:
        self.reports[node].left_out = why
