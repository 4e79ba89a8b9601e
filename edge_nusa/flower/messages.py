"""The two kinds of messages: what the hub asks of a node, and what a node answers. Nobody trusts either: updates and
rounds inside are signed and sealed, and everything beside them is bounded here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

from edge_nusa.flower import freight as freights
from edge_nusa.flower.carried import MOST_WISHES, Verb, Wish
from edge_nusa.flower.freight import Freight
from edge_nusa.sync import update
from edge_nusa.sync.stores.store import check_key

FORMAT_VERSION = 1
Turn = Literal["push", "pull"]
ANSWERED = (
    *("format_version", "fleet", "device", "number", "sha256", "exit_code"),
    *("update", "pictures", "generation", "wishes"),
)
_TURNS, _VERBS = get_args(Turn), get_args(Verb)


@dataclass(frozen=True)
class Question:
    """fleet: its name; turn: what the node is to do; brought: what it may need for it."""

    fleet: str
    turn: Turn
    brought: Freight = field(default_factory=Freight)

    def encode(self) -> bytes:
        """The message."""
        head = {"format_version": FORMAT_VERSION, "fleet": self.fleet, "turn": self.turn}
        return freights.encode(head, self.brought)

    @classmethod
    def decode(cls, data: bytes, where: str) -> Question:
        """The inverse of `encode`. Raises DamagedError naming `where`, StoreError for a key that is none."""
        record, brought = freights.decode(data, where, ("format_version", "fleet", "turn"))
        record.version(FORMAT_VERSION)
        turn: Turn = "push" if record.choice("turn", _TURNS) == "push" else "pull"
        return cls(record.text("fleet", update.LONGEST_NAME), turn, brought)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """fleet, device: whose; number, sha256: of the round that the device's state is based on, 0 and "" for none;
    exit_code: 0 where the turn was done, else the error's, whose words stay on the node, as they may name a label;
    update, pictures: of the update that a push made, generation: that a pull made, 0 for none; wishes: what was not
    brought, and for want of which the turn was not done; puts: what is to be put into the store."""

    fleet: str
    device: str
    number: int = 0
    sha256: str = ""
    exit_code: int = 0
    update: int = 0
    pictures: int = 0
    generation: int = 0
    wishes: Sequence[Wish] = ()
    puts: Freight = field(default_factory=Freight)

    def encode(self) -> bytes:
        """The message."""
        head = {
            "format_version": FORMAT_VERSION,
            "fleet": self.fleet,
            "device": self.device,
            "number": self.number,
            "sha256": self.sha256,
            "exit_code": self.exit_code,
            "update": self.update,
            "pictures": self.pictures,
            "generation": self.generation,
            "wishes": [asdict(one) for one in self.wishes],
        }
        return freights.encode(head, self.puts)

    @classmethod
    def decode(cls, data: bytes, where: str) -> Answer:
        """The inverse of `encode`. Raises DamagedError naming `where`, StoreError for a key that is none."""
        record, puts = freights.decode(data, where, ANSWERED)
        record.version(FORMAT_VERSION)
        wishes = []
        for one in record.records("wishes", MOST_WISHES):
            one.only(("verb", "key", "start", "size"))
            verb: Verb = next(verb for verb in _VERBS if verb == one.choice("verb", _VERBS))
            start, size = one.integer("start", 0, freights.LARGEST_START), one.integer("size", 0, freights.MOST_BYTES)
            wishes.append(Wish(verb, check_key(one.text("key")), start, size))
        return cls(
            fleet=record.text("fleet", update.LONGEST_NAME),
            device=record.text("device", update.LONGEST_NAME),
            number=record.integer("number", 0, update.MOST_SEQUENCE),
            sha256=record.sha256("sha256"),
            exit_code=record.integer("exit_code", 0, 255),
            update=record.integer("update", 0, update.MOST_SEQUENCE),
            pictures=record.integer("pictures", 0, update.MOST),
            generation=record.integer("generation", 0, update.MOST),
            wishes=wishes,
            puts=puts,
        )
