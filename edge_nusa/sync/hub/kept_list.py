"""A list that a hub keeps as a folder: a file of JSON for each entry, named after it; what is revoked stays on it as
such. Its devices (`edge_nusa.sync.hub.enrolled`) and its join tokens (`edge_nusa.sync.hub.tokens`) are kept so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from edge_nusa import kept
from edge_nusa.files import durable
from edge_nusa.files.read_back import keep_file


class Entry(Protocol):
    """What stands on a list. stem: the name of its file, without `.json`."""

    @property
    def stem(self) -> str: ...
    @property
    def is_revoked(self) -> bool: ...
    def encoded(self) -> bytes: ...
    def words(self) -> str:
        """What was done where it was written, for people."""


_Entry = TypeVar("_Entry", bound=Entry)


class KeptList(Generic[_Entry]):
    """The entries in `folder`. decoded: the inverse of `Entry.encoded` for a file of that path, which raises
    DamagedError; most_bytes: of one file."""

    def __init__(self, folder: Path, decoded: Callable[[bytes, Path], _Entry], most_bytes: int) -> None:
        self.folder, self._decoded, self._most_bytes = folder, decoded, most_bytes

    def all(self) -> list[_Entry]:
        """Every entry, in the order of their files' names. Raises DamagedError."""
        return [self._read(path) for path in sorted(self.folder.glob("*.json"))]

    def files(self) -> dict[str, bytes]:
        """Every entry's file by its name. Raises DamagedError."""
        return {f"{one.stem}.json": one.encoded() for one in self.all()}

    def take(self, name: str, data: bytes) -> None:
        """An entry of an older list of this hub's: one that is missing here, or not known to be revoked. Raises
        DamagedError for a file that is none."""
        found = self._decoded(data, self.folder / name)
        known = next((one for one in self.all() if one.stem == found.stem), None)
        if known is None or (found.is_revoked and not known.is_revoked):
            self.write(found)

    def write(self, one: _Entry) -> _Entry:
        """Keep an entry, in the place of the one of its name. Raises ResourceError."""
        with durable.explained(f"write {self.folder}"):
            durable.make_folder(self.folder)
            path = self.folder / f"{one.stem}.json"
            keep_file(path, one.encoded(), lambda written: self._decoded(written, path))
        kept.done(one.words())
        return one

    def _read(self, path: Path) -> _Entry:
        try:
            data = durable.read_at_most(path, self._most_bytes + 1)
        except OSError as error:
            raise durable.storage_error(error, f"read {path}") from error
        return self._decoded(data, path)
