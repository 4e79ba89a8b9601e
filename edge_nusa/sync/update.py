"""An update: what one device gained since its last one, as packed numbers and a statement that says all else and is
signed.

The statement is canonical JSON; the numbers are named by their SHA-256 in it, so one signature binds both. It holds
label
names, counts and settings, and no picture, path, host name or time. Fields are those of `Statement`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from edge_nusa.errors import DamagedError, EdgeNusaError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.identity import Identity
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.knowledge import Label, RoundMark
from edge_nusa.sync import gram_form, packed
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.packed import Layout, Precision

FORMAT_VERSION = 2
PAYLOAD_TYPE = "application/vnd.edge-nusa.update+json"
MOST_LABELS = 2000
LARGEST_STATEMENT_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an update belongs: the fleet, the bundle, the device's key, its number from 1 up, the round it is based
    on, and
    the rounds that this device refused."""

    fleet: str
    identity: Identity
    device: str
    sequence: int
    round: RoundMark
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
        labels = [{"name": label.name, "template": label.template, "novelty": label.novelty} for label in self.labels]
        record = {**asdict(self), "labels": labels, "format_version": FORMAT_VERSION}
        return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Statement:
        """Raises DamagedError naming `where` for anything but what `to_bytes` of this version gives."""
        try:
            record = json.loads(data)
            if record.pop("format_version") != FORMAT_VERSION:
                raise DamagedError(
                    f"{where}: expected an update of format {FORMAT_VERSION}, found another; use the same edge-nusa on "
                    "hub and devices"
                )
            statement = _statement(record)
            same = statement.to_bytes() == data
        except DamagedError:
            raise
        except (EdgeNusaError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise DamagedError(f"{where}: a field of the update is missing or of the wrong kind ({error})") from error
        if not same or len({label.key for label in statement.labels}) != len(statement.labels):
            raise DamagedError(f"{where}: expected a canonical statement with each label once, found another form")
        return statement


def _statement(record: dict[str, Any]) -> Statement:
    place = record["place"]
    labels = tuple(
        Label(label_names.normalise(e["name"]), 0, e["template"], _finite(e["novelty"])) for e in record["labels"]
    )
    if record["precision"] not in get_args(Precision) or not all(
        label.template is None or _is_template(label.template) for label in labels
    ):
        raise ValueError("precision or template")
    if len(labels) > MOST_LABELS or len(record["forgets"]) > MOST_LABELS or len(place["refused_rounds"]) > MOST_LABELS:
        raise ValueError(f"over {MOST_LABELS} entries")
    return Statement(
        place=Place(
            fleet=str(place["fleet"]),
            identity=Identity.from_record(Record(place["identity"], Origin("identity", "restore it"))),
            device=str(place["device"]),
            sequence=_count(place["sequence"]),
            round=RoundMark(_count(place["round"]["number"]), str(place["round"]["sha256"])),
            refused_rounds=tuple(str(one) for one in place["refused_rounds"]),
        ),
        sha256=str(record["sha256"]),
        size=_count(record["size"]),
        precision=record["precision"],
        gram_sha256=str(record["gram_sha256"]),
        labels=labels,
        spare=_whole(record["spare"]),
        tasks=_whole(record["tasks"]),
        fusion=_losses(record["fusion"]),
        forgets=tuple((str(key), _count(at)) for key, at in record["forgets"]),
    )


def _is_template(template: object) -> bool:
    return isinstance(template, str) and template.count("{}") == 1 and len(template) <= 200 and template.isprintable()


def _finite(value: object) -> float:
    if not isinstance(value, float) or not 0 <= value < 1e12:
        raise ValueError(f"expected a number from 0 up, found {value!r}")
    return value


def _losses(values: list[object]) -> tuple[int, ...]:
    if len(values) != math.prod(fusion.SHAPE):
        raise ValueError(f"expected {fusion.SHAPE} sums of losses, found {len(values)}")
    return tuple(_whole(value) for value in values)


def _whole(value: object) -> int:
    if type(value) is not int or abs(value) >= 2**40:
        raise ValueError(f"expected a whole number, found {value!r}")
    return value


def _count(value: object) -> int:
    if _whole(value) < 0:
        raise ValueError(f"expected a whole number from 0 up, found {value!r}")
    return _whole(value)


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
    labels = tuple(Label(row.label.name, 0, row.label.template, float(row.label.novelty)) for row in rows)
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


def decode(statement: Statement, numbers: bytes, layout: Layout, where: str) -> Change:
    """The change, exact in everything but the precision of the cores. Raises DamagedError naming `where`."""
    if len(numbers) != statement.size or sha256_hex(numbers) != statement.sha256:
        raise DamagedError(
            f"{where}: expected {statement.size} bytes with the signed SHA-256, found {len(numbers)} bytes with "
            "another; send it again"
        )
    tensors = packed.unpack(numbers, layout.largest_bytes(len(statement.labels)), where)
    packed.check_names(tensors, layout, where)
    gram, sums, counts = packed.head_of(tensors, layout, len(statement.labels), where)
    if gram_sha256(gram) != statement.gram_sha256:
        raise DamagedError(
            f"{where}: the matrix restored from its columns is not the one that was signed; send it again"
        )
    cores = packed.cores_of(tensors, layout, (statement.precision,), where)
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
