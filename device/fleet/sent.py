"""What this device sent and some round it may go back to lacks: STATE/sync/sent/NNNNNNNN-HASH/, an update each.

envelope.json           as it lies in the store, signed and sealed; HASH: the start of its SHA-256
statement-SHA256.json   what this state has of it, in the clear, and numbers, the packed numbers of that
sealed                  the sealed numbers, of an update that this life of the device made; another life's has none
put                     empty, where that came into the store
refused.json            why and in which round the hub refused it for good, where it did: rounds say so for a while only
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nusa.errors import DamagedError, UnreadableError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync import parcel, update
from edge_nusa.sync.chain import Link
from edge_nusa.sync.parcel import Cover, Parcel
from edge_nusa.sync.round_file import LONGEST_REASON, Refusal, read_refusal, short
from edge_nusa.sync.update import Statement

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

NAME, _PUT = "sent", "put"
_REFUSED, _LARGEST_REFUSAL = "refused.json", 8 * LONGEST_REASON


@dataclass(frozen=True)
class Sent:
    """statement, numbers: what this state has of the update; cover, envelope: as signed; sealed: the sealed numbers,
    None where another life of this device sent it; refusal: why and in which round the hub refused it, None where it
    did not; is_put: whether it came into the store."""

    statement: Statement
    numbers: bytes
    cover: Cover
    envelope: bytes
    sealed: bytes | None
    refusal: Refusal | None = None
    is_put: bool = False

    @cached_property
    def sha256(self) -> str:
        """What the update is known by."""
        return sha256_hex(self.envelope)

    @property
    def link(self) -> Link:
        """Its place in the device's chain."""
        return Link(self.cover.sequence, self.sha256, self.cover.before)

    @property
    def parcel(self) -> Parcel | None:
        """What is put into the store; None where another life of this device did that."""
        return None if self.sealed is None else Parcel(self.cover, self.envelope, self.sealed)


def links(sent: Sequence[Sent]) -> list[Link]:
    """Their places in the chain."""
    return [one.link for one in sent]


def put(sent: Sequence[Sent]) -> set[str]:
    """SHA-256 of those that came into the store."""
    return {one.sha256 for one in sent if one.is_put}


class SentFolder:
    """The folder; key: the device's own, by which all was signed."""

    def __init__(self, folder: Path, key: SSlibKey) -> None:
        self.folder, self.key = folder, key

    def all(self) -> list[Sent]:
        """Every update, in the order of their numbers. Raises DamagedError, TrustError."""
        found = []
        for path in self.paths():
            try:
                found.append(self._read(path))
            except UnreadableError:
                if path.is_dir():
                    raise
                # a push or pull beside this one has just removed it, since it is needed no more
        return found

    def keep(self, statement: Statement, numbers: bytes, cover: Cover, envelope: bytes, sealed: bytes | None) -> Sent:
        """Keep an update before it is sent, so that a cut never makes two of one."""
        made = Sent(statement, numbers, cover, envelope, sealed)
        files = {"envelope.json": envelope, _statement_name(statement): statement.to_bytes(), "numbers": numbers}
        if sealed is not None:
            files["sealed"] = sealed
        with durable.explained(f"write {self.folder}"):
            durable.make_folder(self.folder)
            temporary = self.folder / durable.temporary_name()
            durable.write_folder(temporary, files)
            os.rename(temporary, self.path(made))
            durable.sync_folder(self.folder)
        return made

    def put(self, one: Sent) -> None:
        """Remember that an update came into the store."""
        with durable.explained(f"write {self.folder}"):
            durable.replace_file(self.path(one) / _PUT, b"")

    def refuse(self, one: Sent, refusal: Refusal) -> None:
        """Remember that the hub refused an update for good."""
        with durable.explained(f"write {self.folder}"):
            durable.replace_file(self.path(one) / _REFUSED, canonical(asdict(refusal)))

    def path(self, one: Sent) -> Path:
        """Where an update lies."""
        return self.folder / f"{one.cover.sequence:08d}-{short(one.sha256)}"

    def paths(self) -> list[Path]:
        """The folders of updates, in the order of their numbers."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if path.name[:8].isdecimal() and path.name[8:9] == "-")

    def _read(self, folder: Path) -> Sent:
        envelope = read_file(folder / "envelope.json", parcel.LARGEST_ENVELOPE_BYTES + 1)
        if short(sha256_hex(envelope)) != folder.name[9:]:
            raise DamagedError(f"{folder}: expected the envelope of that hash, found another; restore the folder")
        cover = parcel.opened_cover(envelope, self.key, str(folder))
        statement = self._statement(folder)
        numbers = read_file(folder / "numbers", statement.size + 1)
        sealed, refused = folder / "sealed", folder / _REFUSED
        return Sent(
            statement,
            numbers,
            cover,
            envelope,
            self._sealed(sealed, cover) if sealed.exists() else None,
            self._refusal(refused) if refused.exists() else None,
            is_put=not sealed.exists() or (folder / _PUT).exists(),
        )

    def _refusal(self, path: Path) -> Refusal:
        data = read_file(path, _LARGEST_REFUSAL + 1)
        return read_refusal(parse(data, Origin(str(path), "remove the file, and pull again"), _LARGEST_REFUSAL))

    def _statement(self, folder: Path) -> Statement:
        names = sorted(folder.glob("statement-*.json"))
        path = names[0] if names else folder / "statement.json"
        data = read_file(path, update.LARGEST_STATEMENT_BYTES + 1)
        found = Statement.from_bytes(data, str(path))
        if path.name != _statement_name(found):
            raise DamagedError(f"{path}: expected the statement of that SHA-256, found another; restore the folder")
        return found

    def _sealed(self, path: Path, cover: Cover) -> bytes:
        data = read_file(path, cover.size + 1)
        if sha256_hex(data) != cover.sha256:
            raise DamagedError(f"{path}: expected the numbers that were signed, found others; restore the folder")
        return data


def _statement_name(statement: Statement) -> str:
    return f"statement-{sha256_hex(statement.to_bytes())}.json"


def read_file(path: Path, limit: int) -> bytes:
    """A file of a device's part in a fleet. Raises UnreadableError where it is missing, what the disk says
    otherwise."""
    try:
        return durable.read_at_most(path, limit)
    except FileNotFoundError as error:
        raise UnreadableError(f"{path}: expected a file, found none; restore it, or pull again") from error
    except OSError as error:
        raise durable.storage_error(error, f"read {path}") from error
