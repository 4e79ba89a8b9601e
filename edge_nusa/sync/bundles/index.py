"""The index of a bundle in a store: its files, and the parts that each is put together from.

    bundles/SHA256.bundle    the index, JSON as `edge_nusa.files.json_bytes.canonical` writes it
    bundles/SHA256.part      PART_BYTES of a file, or what is left at its end

    {"format_version": 1, "files": {NAME: {"bytes": N, "sha256": SHA256, "parts": [SHA256, ...]}, ...}}

A part lies there once, whichever bundles and files it is in. No object is larger than PART_BYTES, so that every store
takes it and a line that breaks costs little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_nusa.errors import TrustError
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.model.bundle import MAX_MANIFEST_BYTES
from edge_nusa.model.manifest import MOST_FILES, is_plain_name
from edge_nusa.sync.bundles.announced import LARGEST_INDEX_BYTES, PREFIX

FORMAT_VERSION = 1
PART_BYTES = 4 << 20
MANIFEST = "manifest.json"
MOST_PARTS = 12_000
"""Of all files together, 46 GiB of them; more would not fit LARGEST_INDEX_BYTES."""


@dataclass(frozen=True)
class Entry:
    """A file of a bundle. sha256 of all of it; parts: the SHA-256 of each part, in order."""

    bytes: int
    sha256: str
    parts: tuple[str, ...]

    def size_of(self, place: int) -> int:
        """Bytes of the part at a place."""
        return min(PART_BYTES, self.bytes - place * PART_BYTES)


@dataclass(frozen=True)
class Index:
    """The files of a bundle by their names, the manifest among them."""

    files: Mapping[str, Entry]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(entry.bytes for entry in self.files.values())

    @property
    def parts(self) -> list[str]:
        """The SHA-256 of each part, each once, as first met."""
        return list(dict.fromkeys(part for entry in self.files.values() for part in entry.parts))


def part_key(sha256: str) -> str:
    """Where a part lies in a store."""
    return f"{PREFIX}{sha256}.part"


def parts_of(size: int) -> int:
    """How many parts a file of so many bytes has."""
    return -(-size // PART_BYTES)


def encode(index: Index) -> bytes:
    """The index's object."""
    files = {
        name: {"bytes": entry.bytes, "sha256": entry.sha256, "parts": list(entry.parts)}
        for name, entry in index.files.items()
    }
    return canonical({"format_version": FORMAT_VERSION, "files": files})


def decode(data: bytes, where: str) -> Index:
    """The inverse of `encode`. Raises TrustError naming `where`."""
    record = parse(data, Origin(where, "publish the bundle again on the hub", TrustError), LARGEST_INDEX_BYTES)
    record.version(FORMAT_VERSION, "use an edge-nusa of the hub's version")
    record.only(("format_version", "files"))
    files = {name: _entry(name, one) for name, one in record.named("files", MOST_FILES + 1).items()}
    if MANIFEST not in files:
        raise record.origin.refused("files", f"{MANIFEST} among them", sorted(files))
    if files[MANIFEST].bytes > MAX_MANIFEST_BYTES:
        raise record.origin.refused(MANIFEST, f"at most {MAX_MANIFEST_BYTES} bytes", files[MANIFEST].bytes)
    return Index(files)


def _entry(name: str, record: Record) -> Entry:
    """A file's entry, with as many parts as its bytes need."""
    if not is_plain_name(name):
        raise record.origin.refused("name", "a plain name of a file inside the bundle", name)
    record.only(("bytes", "sha256", "parts"))
    size, parts = record.integer("bytes"), record.texts("parts", MOST_PARTS, 64)
    for place in range(len(parts)):
        _sha256(Record({f"parts[{place}]": parts[place]}, record.origin), f"parts[{place}]")
    if len(parts) != parts_of(size):
        raise record.origin.refused("parts", f"{parts_of(size)} of them for {size} bytes", len(parts))
    return Entry(size, _sha256(record, "sha256"), parts)


def _sha256(record: Record, name: str) -> str:
    found = record.sha256(name)
    if not found:
        raise record.origin.refused(name, "a SHA-256", found)
    return found
