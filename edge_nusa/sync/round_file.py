"""A round: what a fleet knows together, as the hub publishes it; packed numbers after one line of JSON.

Line 1 is canonical JSON (format_version, fleet, number, identity, recipe, tasks, fusion, labels, spare, forgotten,
withdrawn, received, renamed where there is any, and the SHA-256 and bytes of what follows); then come the packed
numbers with float32 cores. A device trusts a round by the hub's TUF metadata, which holds the SHA-256 of the whole
file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, cast, get_args

import numpy as np

from edge_nusa.errors import DamagedError, ResourceError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.foreign import shown
from edge_nusa.files.identity import Identity, another, fleet_way_out, mismatch
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import LARGEST_NUMBER, Origin, Record
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge, RoundMark
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import read_labels
from edge_nusa.sync import gram_form, packed, renaming
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.renaming import Renaming

FORMAT_VERSION = 4
LARGEST_LINE_BYTES = 8 << 20
"""Of the first line, which so bounds the labels and devices that it names; ten thousand labels have about one
million."""
SHORT = 16
_SAME = "use the same edge-nusa on hub and devices"


@dataclass(frozen=True)
class Forgot:
    """A forgetting by one device: the number of its update, and of the round that this was based on."""

    sequence: int
    base: int


RefusalKind = Literal["refused", "fork", "known"]
REFUSAL_KINDS: tuple[RefusalKind, ...] = get_args(RefusalKind)
MOST_REFUSALS, LONGEST_REASON = 20, 200
"""Of one device in a round, and of one in characters."""


@dataclass(frozen=True)
class Refusal:
    """An update that is not in the round as it came. number: its place in the device's chain; kind: "refused" with its
    reason, "fork": another update of this device stands at that place, so its content has to be sent again, or
    "known": its lessons are in the round by another update; round: the one that said so first."""

    number: int
    reason: str
    kind: RefusalKind
    round: int


@dataclass(frozen=True)
class Received:
    """What the hub has of one device: its chain of updates up to number `through`, whose envelope has the SHA-256
    `last`, but for those refused, by the start of their envelope's SHA-256 (`short`); forgot: label key -> the device's
    own forgetting of it, until that device has seen the round that did it."""

    through: int = 0
    last: str = ""
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    forgot: Mapping[str, Forgot] = field(default_factory=dict)

    def with_refused(self, more: Mapping[str, Refusal]) -> Received:
        """The newest MOST_REFUSALS of them, forks last, each with a reason of at most LONGEST_REASON characters."""
        known = {**self.refused, **{key: replace(one, reason=one.reason[:LONGEST_REASON]) for key, one in more.items()}}
        newest = sorted(
            known.items(), key=lambda item: (item[1].kind != "fork", item[1].round, item[1].number, item[0])
        )[-MOST_REFUSALS:]
        return replace(self, refused=dict(newest[-MOST_REFUSALS:]))


def short(sha256: str) -> str:
    """The start of an envelope's SHA-256, by which stores and rounds name it."""
    return sha256[:SHORT]


@dataclass(frozen=True, kw_only=True)
class Round:
    """number from 1 up (0: before the first); knowledge without anchors; forgotten: label key -> the last round that
    took it back; withdrawn: label key -> the last round in which all who taught it had undone that; received by
    device; renamed: labels that have another name now, oldest first."""

    fleet: str
    number: int
    identity: Identity
    knowledge: Knowledge
    forgotten: Mapping[str, int] = field(default_factory=dict)
    received: Mapping[str, Received] = field(default_factory=dict)
    withdrawn: Mapping[str, int] = field(default_factory=dict)
    renamed: tuple[Renaming, ...] = ()


def nothing(fleet: str, shapes: UpdateShapes) -> Round:
    """The round before the first."""
    none = np.zeros((0, 0), np.float32)
    cores = {name: np.zeros((rank, rank)) for name, rank in shapes.ranks.items()}
    return Round(
        fleet=fleet,
        number=0,
        identity=shapes.identity,
        knowledge=Knowledge(
            recipe=DEVICE,
            labels=(),
            frozen_anchors=none,
            adapted_anchors=none,
            cores=cores,
            head=Head.empty(shapes.features),
        ),
    )


def encode(one: Round) -> bytes:
    """The file. Raises ResourceError where its first line would be longer than `decode` reads."""
    knowledge, head = one.knowledge, one.knowledge.head
    tensors = {
        "gram.upper": gram_form.planes(head.gram[np.triu_indices(len(head.gram))]),
        "sums": gram_form.planes(head.sums.T),
        "counts": head.counts,
        **packed.packed_cores(knowledge.cores, "float32"),
    }
    numbers = packed.pack(tensors)
    record = {
        "format_version": FORMAT_VERSION,
        "fleet": one.fleet,
        "number": one.number,
        "identity": asdict(one.identity),
        "tasks": knowledge.tasks,
        "fusion": knowledge.fusion.ravel().tolist(),
        "labels": [asdict(label) for label in knowledge.labels],
        "spare": head.spare,
        "forgotten": dict(one.forgotten),
        "withdrawn": dict(one.withdrawn),
        "received": {device: asdict(entry) for device, entry in one.received.items()},
        "recipe": knowledge.recipe.name,
        "sha256": sha256_hex(numbers),
        "bytes": len(numbers),
    }
    if one.renamed:
        record["renamed"] = renaming.to_json(one.renamed)
    line = canonical(record)
    if len(line) > LARGEST_LINE_BYTES:
        found = (
            f"expected labels and devices of at most {LARGEST_LINE_BYTES} bytes, found {len(line)} for "
            f"{len(knowledge.labels)} labels"
        )
        raise ResourceError(f"round {one.number}: {found}; forget labels that nobody needs, or begin a second fleet")
    return line + b"\n" + numbers


def decode(data: bytes, shapes: UpdateShapes, where: str) -> Round:
    """The inverse of `encode`; the knowledge's mark is this very round. Raises DamagedError naming `where`."""
    end = data.find(b"\n", 0, LARGEST_LINE_BYTES + 1)
    if end < 0:
        raise DamagedError(
            f"{where}: expected a round whose first line has at most {LARGEST_LINE_BYTES} bytes, found none such; pull "
            "it again"
        )
    numbers = data[end + 1 :]
    record = parse(data[:end], Origin(where, "pull it again"), LARGEST_LINE_BYTES)
    record.version(FORMAT_VERSION, _SAME)
    if record.text("recipe") != DEVICE.name:
        raise DamagedError(f"{where}: recipe: expected {DEVICE.name}, found {shown(record.text('recipe'))}; {_SAME}")
    if (len(numbers), sha256_hex(numbers)) != (record.integer("bytes"), record.sha256("sha256")):
        raise DamagedError(f"{where}: expected {record.integer('bytes')} bytes of numbers, found others; pull it again")
    identity = Identity.from_record(record.record("identity"))
    if identity != shapes.identity:
        raise DamagedError(
            f"{where}: a round of {another(shapes.identity, identity)}: {mismatch(shapes.identity, identity)}; "
            f"{fleet_way_out(shapes.identity, identity)}"
        )
    mark = RoundMark(record.integer("number"), sha256_hex(data))
    return Round(
        fleet=record.text("fleet"),
        number=mark.number,
        identity=shapes.identity,
        knowledge=_knowledge(record, numbers, shapes, mark),
        forgotten=record.integers("forgotten", most_entries=LARGEST_LINE_BYTES),
        received={device: _received(entry) for device, entry in record.named("received", LARGEST_LINE_BYTES).items()},
        withdrawn=record.integers("withdrawn", most_entries=LARGEST_LINE_BYTES),
        renamed=renaming.from_record(record, "renamed"),
    )


def _knowledge(record: Record, numbers: bytes, shapes: UpdateShapes, mark: RoundMark) -> Knowledge:
    """Spare pictures and tasks are sums of what devices say, which may be less than none."""
    where, labels = record.origin.where, read_labels(record, LARGEST_LINE_BYTES)
    tensors = packed.unpack(numbers, shapes.largest_bytes(len(labels)), where)
    packed.check_names(tensors, shapes, where)
    gram, sums, counts = packed.head_of(tensors, shapes, len(labels), where)
    none = np.zeros((len(labels), 0), np.float32)
    losses = record.whole_numbers("fusion", math.prod(fusion.SHAPE))
    return Knowledge(
        recipe=DEVICE,
        labels=labels,
        frozen_anchors=none,
        adapted_anchors=none,
        cores=packed.cores_of(tensors, shapes, ("float32",), where),
        head=Head(gram, np.ascontiguousarray(sums.T), counts, record.integer("spare", -LARGEST_NUMBER)),
        tasks=record.integer("tasks", -LARGEST_NUMBER),
        fusion=np.array(losses, np.int64).reshape(fusion.SHAPE),
        report={},
        round=mark,
    )


def _received(record: Record) -> Received:
    odd = [key for key in record.mapping("refused") if len(key) != SHORT or set(key) - set("0123456789abcdef")]
    if odd:
        raise record.origin.refused("refused", "the hashes of updates", odd[0])
    return Received(
        record.integer("through"),
        record.sha256("last"),
        {key: read_refusal(one) for key, one in record.named("refused", MOST_REFUSALS).items()},
        {
            key: Forgot(own.integer("sequence"), own.integer("base"))
            for key, own in record.named("forgot", LARGEST_LINE_BYTES).items()
        },
    )


def read_refusal(record: Record) -> Refusal:
    """The inverse of `asdict`. Raises the record's error."""
    kind = record.choice("kind", REFUSAL_KINDS)
    reason = record.text("reason", LONGEST_REASON)
    return Refusal(record.integer("number"), reason, cast(RefusalKind, kind), record.integer("round"))
