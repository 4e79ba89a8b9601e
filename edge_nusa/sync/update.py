"""An update: what one device gained since its last one, as packed numbers and a statement that says all else.

The statement is canonical JSON; the numbers are named by their SHA-256 in it. It holds label names, counts and
settings, and no picture, path, host name or time. Fields are those of `Statement`; how both are signed and sealed is
`edge_nusa.sync.parcel`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import cast, get_args

import numpy as np

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.identity import Identity
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.knowledge import Label, RoundMark
from edge_nusa.knowledge.stored import read_labels, read_lessons, read_mark
from edge_nusa.sync import gram_form, packed
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.packed import Precision, UpdateShapes

FORMAT_VERSION = 4
MOST_LABELS = 2000
LARGEST_STATEMENT_BYTES = 1 << 20
MOST = 2**40 - 1
"""Of any number: what a hub adds up of thousands of devices still fits."""
LONGEST_NAME = 100
"""Characters of a fleet, a device, a round, which are hashes."""
MOST_SEQUENCE = 10**8 - 1
"""Updates of a device: their numbers have eight digits in the store."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an update belongs: the fleet, the bundle, the device's key, its number from 1 up in the device's chain, the
    SHA-256 of the envelope before it there ("" of the first), the round it is based on, the lessons that it holds
    (`Knowledge.lessons`), and the rounds that this device refused."""

    fleet: str
    identity: Identity
    device: str
    sequence: int
    before: str = ""
    round: RoundMark
    lessons: tuple[str, ...] = ()
    refused_rounds: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Statement:
    """place; sha256 and size (bytes) of the packed numbers; precision of the cores; gram_sha256 of G's triangle;
    labels, spare, tasks, fusion (row by row) and forgets: `Change`."""

    place: Place
    sha256: str
    size: int
    precision: Precision
    gram_sha256: str
    labels: tuple[Label, ...]
    spare: int
    tasks: int
    fusion: tuple[int, ...]
    forgets: tuple[tuple[str, int], ...]

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        labels = [{"name": label.name, "template": label.template} for label in self.labels]
        record = {**asdict(self), "labels": labels, "format_version": FORMAT_VERSION}
        return canonical(record)

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Statement:
        """Raises DamagedError naming `where` for anything but what `to_bytes` of this version gives."""
        record = parse(data, Origin(where, "send it again"), LARGEST_STATEMENT_BYTES)
        record.version(FORMAT_VERSION, "use the same edge-nusa on hub and devices")
        statement = _statement(record)
        if statement.to_bytes() != data:
            raise DamagedError(f"{where}: expected a canonical statement, found another form; send it again")
        return statement


def _statement(record: Record) -> Statement:
    precision = record.choice("precision", get_args(Precision))
    return Statement(
        place=_place(record.record("place")),
        sha256=record.sha256("sha256"),
        size=record.integer("size", 0, MOST),
        precision=cast(Precision, precision),
        gram_sha256=record.sha256("gram_sha256"),
        labels=read_labels(record, MOST_LABELS, has_images=False),
        spare=record.integer("spare", -MOST, MOST),
        tasks=record.integer("tasks", -MOST, MOST),
        fusion=record.whole_numbers("fusion", math.prod(fusion.SHAPE), -MOST, MOST),
        forgets=record.pairs("forgets", MOST_LABELS, 0, MOST),
    )


def _place(record: Record) -> Place:
    return Place(
        fleet=record.text("fleet", LONGEST_NAME),
        identity=Identity.from_record(record.record("identity")),
        device=record.text("device", LONGEST_NAME),
        sequence=record.integer("sequence", 1, MOST_SEQUENCE),
        before=record.sha256("before"),
        round=read_mark(record),
        lessons=read_lessons(record),
        refused_rounds=record.texts("refused_rounds", MOST_LABELS, LONGEST_NAME),
    )


def gram_sha256(gram: np.ndarray) -> str:
    """SHA-256 of the upper triangle, row by row, as little-endian int64."""
    return sha256_hex(gram[np.triu_indices(len(gram))].astype("<i8").tobytes())


def encode(change: Change, place: Place, precision: Precision) -> tuple[Statement, bytes]:
    """The statement and the packed numbers of a change."""
    rows = list(change.labels.values())
    features = len(change.gram)
    tensors = {
        **{f"gram.{name}": tensor for name, tensor in gram_form.compact(change.gram).items()},
        **packed.packed_cores(change.cores, precision),
        "sums": gram_form.planes(np.array([row.sums for row in rows], np.int64).reshape(len(rows), features)),
        "counts": np.array([row.pictures for row in rows], np.int64),
    }
    numbers = packed.pack(tensors)
    labels = tuple(Label(row.label.name, 0, row.label.template) for row in rows)
    return Statement(
        place=place,
        sha256=sha256_hex(numbers),
        size=len(numbers),
        precision=precision,
        gram_sha256=gram_sha256(change.gram),
        labels=labels,
        spare=change.spare,
        tasks=change.tasks,
        fusion=tuple(change.fusion.ravel().tolist()),
        forgets=change.forgets,
    ), numbers


def check_readable(statement: Statement, numbers: bytes, shapes: UpdateShapes) -> None:
    """Whoever makes an update asks this before it keeps or sends it. Raises InputError where no hub could read it,
    nor this device itself again."""
    if len(statement.labels) > MOST_LABELS:
        raise InputError(
            f"push: expected at most {MOST_LABELS} labels with pictures that the fleet was not told of, found "
            f"{len(statement.labels)}; nothing is kept or sent: forget some (`edge-nusa forget`, of a whole site "
            "`edge-nusa hub forget`) and teach them after the next push, or begin a second fleet"
        )
    try:
        decode(Statement.from_bytes(statement.to_bytes(), "the update"), numbers, shapes, "the update")
    except DamagedError as error:
        raise InputError(
            f"push: expected an update that can be read again, found that it cannot; nothing is kept or sent: {error}"
        ) from error


def decode(statement: Statement, numbers: bytes, shapes: UpdateShapes, where: str) -> Change:
    """The change, exact in everything but the precision of the cores. Raises DamagedError naming `where`."""
    if len(numbers) != statement.size or sha256_hex(numbers) != statement.sha256:
        raise DamagedError(
            f"{where}: expected {statement.size} bytes with the signed SHA-256, found {len(numbers)} bytes with "
            "another; send it again"
        )
    tensors = packed.unpack(numbers, shapes.largest_bytes(len(statement.labels)), where)
    packed.check_names(tensors, shapes, where)
    gram, sums, counts = packed.head_of(tensors, shapes, len(statement.labels), where)
    if gram_sha256(gram) != statement.gram_sha256:
        raise DamagedError(
            f"{where}: the matrix restored from its columns is not the one that was signed; send it again"
        )
    cores = packed.cores_of(tensors, shapes, (statement.precision,), where)
    labels = {
        label.key: LabelChange(label, int(count), row)
        for label, count, row in zip(statement.labels, counts, sums, strict=True)
    }
    return Change(
        cores=cores,
        gram=gram,
        labels=labels,
        spare=statement.spare,
        tasks=statement.tasks,
        fusion=np.array(statement.fusion, np.int64).reshape(fusion.SHAPE),
        forgets=statement.forgets,
    )
