"""What a message carries of a store: lists, objects and parts of objects, as one line of JSON and the bytes behind it.

The line has these fields and no other:

    lists      prefix -> names under it, without the prefix; a list may be stale, as a store's may
    missing    keys that the store does not have
    wholes     [key, bytes] of each whole object          parts    [key, bytes, start] of each part of one

and behind the line's end the bytes of the wholes, then those of the parts, in that order and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_nusa.errors import DamagedError
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.sync.stores.store import check_key

MOST_BYTES = 256 << 20
"""Of a message, from either side: no round and no step of a device comes near."""
LARGEST_LINE_BYTES = 8 << 20
MOST_NAMES, MOST_OBJECTS, MOST_LISTS = 50_000, 4096, 16
LARGEST_START = 2**40
NEXT_STEP = "use the same edge-nusa on hub and devices"


@dataclass(frozen=True)
class Part:
    """The bytes of an object from `start` on."""

    key: str
    start: int
    data: bytes


@dataclass(frozen=True)
class Freight:
    """lists: prefix -> keys under it, sorted; missing: keys that are not there; wholes: key -> object; parts: of
    objects."""

    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    wholes: Mapping[str, bytes] = field(default_factory=dict)
    parts: Sequence[Part] = ()

    @property
    def size(self) -> int:
        """Bytes of the objects and the parts."""
        return sum(map(len, self.wholes.values())) + sum(len(part.data) for part in self.parts)

    def with_other(self, other: Freight) -> Freight:
        """Both; of what both have, the other's."""
        lists, wholes = {**self.lists, **other.lists}, {**self.wholes, **other.wholes}
        return Freight(lists, self.missing | other.missing, wholes, (*self.parts, *other.parts))


def encode(head: Mapping[str, object], freight: Freight) -> bytes:
    """A message: a line with the fields of `head` and those of the freight, then the bytes."""
    line = {
        **head,
        "lists": {prefix: [key.removeprefix(f"{prefix}/") for key in keys] for prefix, keys in freight.lists.items()},
        "missing": sorted(freight.missing),
        "wholes": [[key, len(data)] for key, data in freight.wholes.items()],
        "parts": [{"key": part.key, "bytes": len(part.data), "start": part.start} for part in freight.parts],
    }
    return b"".join((canonical(line), b"\n", *freight.wholes.values(), *(part.data for part in freight.parts)))


def decode(data: bytes, where: str, names: Iterable[str] = ()) -> tuple[Record, Freight]:
    """The inverse of `encode`; names: of the head's fields, which the caller reads. Raises DamagedError naming `where`,
    StoreError for a key that is none."""
    if not isinstance(data, bytes) or len(data) > MOST_BYTES:
        raise DamagedError(f"{where}: expected at most {MOST_BYTES} bytes, found another message; {NEXT_STEP}")
    line, end, body = data.partition(b"\n")
    record = parse(line, Origin(where, NEXT_STEP), LARGEST_LINE_BYTES)
    record.only({"lists", "missing", "wholes", "parts", *names})
    lists = _lists(record)
    missing = frozenset(map(check_key, record.texts("missing", MOST_OBJECTS)))
    wholes = [(check_key(key), size) for key, size in record.pairs("wholes", MOST_OBJECTS, largest=MOST_BYTES)]
    parts = [
        (check_key(one.text("key")), one.integer("start", 0, LARGEST_START), one.integer("bytes", 0, MOST_BYTES))
        for one in record.records("parts", MOST_OBJECTS)
    ]
    sizes = [size for _, size in wholes] + [size for _, _, size in parts]
    if not end or sum(sizes) != len(body):
        raise DamagedError(f"{where}: expected {sum(sizes)} bytes behind the line, found {len(body)}; {NEXT_STEP}")
    pieces = list(_cut(body, sizes))
    found = {key: piece for (key, _), piece in zip(wholes, pieces, strict=False)}
    if len(found) != len(wholes):
        raise DamagedError(f"{where}: expected each object once, found one twice; {NEXT_STEP}")
    rest = zip(parts, pieces[len(wholes) :], strict=True)
    return record, Freight(lists, missing, found, tuple(Part(key, start, piece) for (key, start, _), piece in rest))


def _lists(record: Record) -> dict[str, list[str]]:
    """The lists, their keys whole again."""
    inside = record.record("lists")
    if len(inside.fields) > MOST_LISTS:
        raise record.origin.refused("lists", f"at most {MOST_LISTS} lists", len(inside.fields))
    return {
        check_key(prefix): sorted(check_key(f"{prefix}/{name}") for name in inside.texts(prefix, MOST_NAMES))
        for prefix in inside.fields
    }


def _cut(body: bytes, sizes: Iterable[int]) -> Iterable[bytes]:
    start = 0
    for size in sizes:
        yield body[start : start + size]
        start += size
