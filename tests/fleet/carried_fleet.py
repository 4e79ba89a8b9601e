"""A fleet over the carrier without Flower: the hub's turns, and nodes that answer in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fleet_world import Member, bundle

from edge_nusa.device.fleet import settings as member_settings
from edge_nusa.device.model import Model
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.flower import node
from edge_nusa.flower.messages import Answer, Question
from edge_nusa.flower.turns import RoundOfTurns, RoundReport
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.stored import to_files
from edge_nusa.state.state import State
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings


@dataclass
class Direct:
    """Nodes by their numbers. known_as: what the SuperLink calls them; asked: turns that each was asked for; sizes:
    bytes to and from the nodes; words: what each said to its own user; begun: how many turns had been asked
    for each time that the time began."""

    members: Mapping[int, Member]
    known_as: Mapping[int, str] = field(default_factory=dict)
    asked: list[tuple[int, str]] = field(default_factory=list)
    sizes: list[tuple[int, int, int]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)

    def known(self) -> Mapping[int, str]:
        return {number: self.known_as.get(number, "") for number in self.members}

    def begin(self) -> None:
        self.begun.append(len(self.asked))

    def ask(self, questions: Iterable[tuple[int, bytes]], common: bytes) -> Iterator[tuple[int, bytes | str]]:
        for number, question in questions:
            self.asked.append((number, Question.decode(question, "here").turn))
            answered = self.answered(number, question, common)
            if answered is not None:
                self.sizes.append((len(question), len(common), len(answered)))
                self.seen += [question, common, *([answered] if isinstance(answered, bytes) else [])]
                yield number, answered

    def answered(self, number: int, question: bytes, common: bytes) -> bytes | str | None:
        """What a node answers, None for nothing in time; tests have others."""
        done = node.turned(self.members[number].model, question, common)
        self.words.append(done.words)
        return done.answer.encode()


class Deaf(Direct):
    """Some nodes do what they are asked, and their answer is lost, or they do nothing at all."""

    lost: frozenset[tuple[int, str]] = frozenset()
    gone: frozenset[tuple[int, str]] = frozenset()

    def answered(self, number: int, question: bytes, common: bytes) -> bytes | str | None:
        which = (number, self.asked[-1][1])
        if which in self.gone:
            return None
        found = super().answered(number, question, common)
        return None if which in self.lost else found


def direct(members: Sequence[Member]) -> Direct:
    return Direct(dict(enumerate(members)), {number: member.name for number, member in enumerate(members)})


def carried_round(hub: Hub, nodes: Direct, settings: MergeSettings | None = None) -> RoundReport:
    return RoundOfTurns(hub, nodes, settings or MergeSettings()).run()


def left_out(report: RoundReport) -> dict[int, str]:
    return {one.node: one.left_out for one in report.nodes if one.left_out}


def changed(answered: bytes, **fields: object) -> bytes:
    """An answer with other fields."""
    return replace(Answer.decode(answered, "here"), **fields).encode()  # type: ignore[arg-type]


def opened(folder: Path, names: str = "abc") -> tuple[Hub, list[Member]]:
    """The hub and the members of a copied folder, whose store is beside them."""
    settings = hub_folder.read_settings(folder / "hub")
    hub_folder.write_settings(folder / "hub", replace(settings, store=str(folder / "store")))
    hub = Hub(folder / "hub", bundle())
    return hub, [member_of(folder / name) for name in names]


def member_of(folder: Path) -> Member:
    found: Any = object.__new__(Member)
    found.name, found.model = folder.name, Model(bundle(), State(folder, bundle().manifest.identity), threads=1)
    joined = member_settings.read(folder / "sync")
    found.key = joined.device
    (folder / "sync" / member_settings.NAME).write_bytes(replace(joined, store=str(folder.parent / "store")).encoded())
    return found


def sums(knowledge: Knowledge) -> dict[str, str]:
    """The exact sums, and the cores, as the SHA-256 of their files."""
    files = to_files(knowledge)
    return {name: sha256_hex(files[name]) for name in ("head.safetensors", "core.safetensors")}
