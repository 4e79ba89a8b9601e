"""One generation of the state: its files, its manifest, and the one-line pointer to it; every byte of them is checked.

manifest.json: canonical JSON (sorted keys, no spaces, one line) of format_version, generation, parent, operation,
created, identity (of the bundle: `edge_nusa.files.identity`), files {name: {sha256, bytes}} and sha256, which is the
SHA-256 of the same line without that entry. CURRENT: canonical JSON of format_version, generation and sha256, the
SHA-256 of that generation's manifest.json; after an undo also undone: {generation, sha256} of each that was left, the
last one first. Neither holds an absolute path or a host name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_nusa.errors import DamagedError, InputError, OtherFormatError, UnreadableError
from edge_nusa.files import durable
from edge_nusa.files.file_record import FileRecord, sha256_hex
from edge_nusa.files.foreign import shown
from edge_nusa.files.identity import Identity
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.files.opening import Below
from edge_nusa.files.os_errors import OtherKindError

FORMAT_VERSION = 2
GENERATIONS_KEPT = 5
MANIFEST_NAME = "manifest.json"

LARGEST_MANIFEST_BYTES, LARGEST_POINTER_BYTES = 1 << 20, 4096
LARGEST_GENERATION = 10**12
"""Far beyond a commit a second for ten thousand years; a larger number was not counted."""

_FILE_NAME = re.compile(r"[a-z0-9_.-]+")
_NAME_RULE = f"a name of small letters, digits, '_', '.' and '-', and not {MANIFEST_NAME}"
_NEXT_STEP = "run `edge-nusa undo` to go back a generation, or `edge-nusa doctor` to see what else is damaged"


NO_USE = (DamagedError, UnreadableError)
"""A generation that cannot be gone on with: its bytes are wrong, or cannot be had."""


def missing(where: Path, expected: str) -> UnreadableError:
    """The error for a file of the state that should be there and is not: it may be on its way, so it is no damage."""
    return UnreadableError(
        f"{where}: expected {expected}, found none; wait where it is being copied or restored, else {_NEXT_STEP}"
    )


def damaged(where: Path, expected: str, found: str) -> DamagedError:
    """The error for a file of the state that is not what was written."""
    return DamagedError(f"{where}: expected {expected}, found {found}; {_NEXT_STEP}")


def other_format(where: Path | str, expected: int, found: object) -> OtherFormatError:
    """The error for a file of the state that another version of edge-nusa wrote, which is whole and stays as it is."""
    if type(found) is int and found < expected:
        told = (
            "an earlier edge-nusa wrote it and this one cannot go on with it; teach again into another --state, or use "
            "the edge-nusa that wrote it"
        )
    else:
        told = "a later edge-nusa wrote it; use that one, or another --state"
    return OtherFormatError(f"{where}: expected a state of format {expected}, found {shown(found)}: {told}")


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One committed state.

    number: from 1 up, the only order there is; parent: the number that undo goes back to, 0 for the empty state;
    created: ISO 8601 UTC, for people only; identity: of the bundle it belongs to.
    """

    number: int
    folder: Path
    parent: int
    operation: str
    created: str
    identity: Identity
    files: Mapping[str, FileRecord]

    def read(self, name: str) -> bytes:
        """The bytes of a file, checked. Raises InputError (not a file of this generation) or DamagedError."""
        record = self.files.get(name)
        if record is None:
            raise InputError(
                f"{self.folder}: expected one of the files {shown(sorted(self.files))}, found {shown(name)}; ask for "
                "one of those"
            )
        data = _read(self.folder / name, record.bytes + 1)
        if len(data) != record.bytes:
            found = f"{len(data)} bytes" if len(data) < record.bytes else "more"
            raise damaged(self.folder / name, f"{record.bytes} bytes", found)
        if sha256_hex(data) != record.sha256:
            raise damaged(self.folder / name, f"SHA-256 {record.sha256}", sha256_hex(data))
        return data

    def verify(self) -> None:
        """Reads every file. Raises DamagedError."""
        for name in self.files:
            self.read(name)

    def manifest(self) -> bytes:
        """The bytes of its manifest.json."""
        record = {
            "format_version": FORMAT_VERSION,
            "generation": self.number,
            "parent": self.parent,
            "operation": self.operation,
            "created": self.created,
            "identity": asdict(self.identity),
            "files": {name: asdict(file) for name, file in self.files.items()},
        }
        return _canonical({**record, "sha256": sha256_hex(_canonical(record))})


@dataclass(frozen=True)
class Pointer:
    """What CURRENT says: a generation and the SHA-256 of its manifest; generation 0 has the SHA-256 of no bytes.

    undone: the later generations that undo left, the last one first, whose own `undone` is empty.
    """

    generation: int
    sha256: str
    undone: tuple[Pointer, ...] = ()

    def to_bytes(self) -> bytes:
        """The line of CURRENT."""
        left = {"undone": [one._named() for one in self.undone]} if self.undone else {}
        return _canonical({"format_version": FORMAT_VERSION, **self._named(), **left})

    @classmethod
    def from_bytes(cls, data: bytes, where: Path) -> Pointer:
        """Checked reading of CURRENT. Raises DamagedError naming `where`, OtherFormatError."""
        record = parse(data, Origin(str(where), _NEXT_STEP), LARGEST_POINTER_BYTES)
        version = record.fields.get("format_version")
        if type(version) is int and version != FORMAT_VERSION:
            raise other_format(where, FORMAT_VERSION, version)
        undone = record.records("undone", GENERATIONS_KEPT) if "undone" in record else ()
        pointer = cls(*_number_and_hash(record), tuple(cls(*_number_and_hash(one)) for one in undone))
        numbers = [pointer.generation, *(one.generation for one in pointer.undone)]
        if pointer.to_bytes() != data or numbers != sorted(set(numbers)):
            raise damaged(where, f"a pointer in format_version {FORMAT_VERSION}", shown(data))
        if pointer.generation == 0 and pointer.sha256 != EMPTY_POINTER.sha256:
            raise damaged(where, f"SHA-256 {EMPTY_POINTER.sha256} for generation 0", str(pointer.sha256))
        return pointer

    def _named(self) -> dict[str, object]:
        return {"generation": self.generation, "sha256": self.sha256}


def _number_and_hash(record: Record) -> tuple[int, str]:
    return record.integer("generation", 0, LARGEST_GENERATION), record.sha256("sha256")


EMPTY_POINTER = Pointer(0, sha256_hex(b""))


def pointer_to(generation: Generation) -> Pointer:
    """The pointer that names this generation."""
    return Pointer(generation.number, sha256_hex(generation.manifest()))


def folder_name(number: int) -> str:
    """The name of a generation's folder."""
    return f"{number:06d}"


def describe(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    """The records of files about to be written. Raises InputError for a name that a generation cannot hold."""
    for name in files:
        if not _is_name(name):
            raise InputError(f"a file of a generation: expected {_NAME_RULE}, found {shown(name)}; rename it")
    return {name: FileRecord(sha256_hex(data), len(data)) for name, data in files.items()}


def _is_name(name: str) -> bool:
    return _FILE_NAME.fullmatch(name) is not None and name not in {".", "..", MANIFEST_NAME}


def load_generation(folder: Path) -> Generation:
    """Reads and checks a generation's manifest, not its files. Raises DamagedError, OtherFormatError."""
    where = folder / MANIFEST_NAME
    data = _read(where, LARGEST_MANIFEST_BYTES + 1)
    record = parse(data, Origin(str(where), _NEXT_STEP), LARGEST_MANIFEST_BYTES)
    rest = {name: value for name, value in record.fields.items() if name != "sha256"}
    if record.sha256("sha256") != sha256_hex(_canonical(rest)):
        raise damaged(where, f"content with the SHA-256 {record.sha256('sha256')}", "other content")
    if (version := record.fields.get("format_version")) != FORMAT_VERSION:
        raise other_format(where, FORMAT_VERSION, version)
    generation = _from_record(folder, record)
    if generation.manifest() != data or not 0 <= generation.parent < generation.number:
        raise damaged(where, "a canonical manifest with its parent before it", "another form")
    if folder_name(generation.number) != folder.name:
        raise damaged(where, f"generation {folder.name}", f"generation {generation.number}")
    return generation


def _from_record(folder: Path, record: Record) -> Generation:
    files = record.named("files")
    strange = next((name for name in files if not _is_name(name)), None)
    if strange is not None:
        raise record.origin.refused("files", _NAME_RULE, strange)
    return Generation(
        number=record.integer("generation", 1, LARGEST_GENERATION),
        folder=folder,
        parent=record.integer("parent", 0, LARGEST_GENERATION),
        operation=record.text("operation"),
        created=record.text("created"),
        identity=Identity.from_record(record.record("identity")),
        files={name: FileRecord(entry.sha256("sha256"), entry.integer("bytes")) for name, entry in files.items()},
    )


def _canonical(record: Mapping[str, object]) -> bytes:
    return canonical(record) + b"\n"


def _read(path: Path, limit: int) -> bytes:
    try:
        # from the state's folder on, which may be a link itself: STATE/generations/NUMBER/NAME
        return durable.read_at_most(Below.of(path, path.parents[2]), limit)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise missing(path, "a file") from error
    except OtherKindError as error:
        raise damaged(path, "a file", error.strerror or "nothing") from error
    except OSError as error:
        raise durable.storage_error(error, f"read {path}") from error
