"""One settings file in TOML: where it lies, who may have written it, and on which line each key stands."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edge_nusa.errors import UsageError
from edge_nusa.files import opening
from edge_nusa.files.foreign import decoded, named
from edge_nusa.files.json_record import Origin

CONFIG = "EDGE_NUSA_CONFIG"
"""Names one file that is read instead of both; empty: none is read."""
SYSTEM = Path("/etc/edge-nusa/config.toml")
LARGEST_BYTES = 64 << 10
NEXT_STEP = "correct it there (docs/settings.md has the keys), or run `edge-nusa config KEY VALUE`"
TABLE = re.compile(r"\s*\[\s*([A-Za-z0-9_.\"' -]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=")
Key = tuple[str, ...]
"""A key with the tables that it stands in: ("watch", "keep") is `keep` under `[watch]`."""


class Place(NamedTuple):
    """Where a settings file may lie, and what `edge-nusa config` calls it."""

    path: Path
    name: str


@dataclass(frozen=True)
class SettingsFile:
    """What stands in a file. values: as TOML has them; lines: of each key that stands on one line of its own."""

    place: Place
    values: dict[str, Any]
    lines: dict[Key, int]
    text: str

    def get(self, key: Key) -> Any:
        """The value of a key, None where the file does not name it."""
        found: Any = self.values
        for part in key:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def named(self) -> Iterator[Key]:
        """Every key that has a value, in the file's order."""
        yield from _keys(self.values, ())

    def origin(self, key: Key) -> Origin:
        """The file and the line of a key, for an error."""
        line = self.lines.get(key)
        return Origin(f"{self.place.path}{f', line {line}' if line else ''}", NEXT_STEP, UsageError)

    def path(self, text: str, key: Key) -> Path:
        """The path that a key means: `~` is the user's home, and a relative one begins where the file lies."""
        try:
            found = Path(text).expanduser()
        except RuntimeError as error:
            raise self.origin(key).refused(dotted(key), "the home of a user that there is", text) from error
        return self.place.path.absolute().parent / found


def dotted(key: Key) -> str:
    """The key as `edge-nusa config` takes it: `watch.keep`."""
    return ".".join(key)


def places() -> list[Place]:
    """The files that are read, the one that decides first: the user's, then the system's."""
    asked = os.environ.get(CONFIG)
    if asked is not None:
        return [Place(Path(asked), "user file")] if asked else []
    found = [] if (own := _user_folder()) is None else [Place(own / "edge-nusa" / "config.toml", "user file")]
    return [*found, Place(SYSTEM, "system file")]


def _user_folder() -> Path | None:
    """XDG_CONFIG_HOME where it is an absolute path, else ~/.config; None where the system knows no home of the user."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "")
    if folder.is_absolute():
        return folder
    try:
        return Path.home() / ".config"
    except (RuntimeError, KeyError):
        return None


def read_all() -> list[SettingsFile]:
    """The settings files that are there, the one that decides first. Raises UsageError."""
    return [found for place in places() if (found := read(place)) is not None]


def read(place: Place) -> SettingsFile | None:
    """The file, None where there is none. Raises UsageError where it is none of ours to trust, or no TOML."""
    origin = Origin(str(place.path), "correct it, or move it away", UsageError)
    try:
        with opening.opened_named(place.path) as descriptor:
            _check_writers(place, os.fstat(descriptor))
            data = opening.read(descriptor, LARGEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"{place.path}: expected a settings file that can be read, found {error.strerror or error}; correct its "
            "permissions, or move it away"
        ) from error
    if len(data) > LARGEST_BYTES:
        raise UsageError(
            f"{place.path}: expected a settings file of at most {LARGEST_BYTES} bytes, found more; move it away"
        )
    return parse(data, place, origin)


def parse(data: bytes, place: Place, origin: Origin) -> SettingsFile:
    """What the bytes of a file say. Raises UsageError for what is no TOML."""
    import tomllib  # imported only where there is a file

    with decoded(origin, "settings in TOML, such as threads = 2"):
        text = data.decode()
        return SettingsFile(place, tomllib.loads(text), lines_of(text), text)


def _check_writers(place: Place, found: os.stat_result) -> None:
    """Raises UsageError where another user may have written it: what it names decides what is answered and written.

    A group whose number is the user's own is the group of this user alone, as Debian and Ubuntu make one.
    """
    mine = {os.geteuid(), 0, _hidden_root()}
    if found.st_uid not in mine:
        raise UsageError(
            f"{place.path}: expected a settings file of this user or of root, found one of user {found.st_uid}; "
            f"run `chown {os.geteuid()} {place.path}` if it is yours, or move it away"
        )
    by_group = found.st_mode & stat.S_IWGRP and found.st_gid not in (found.st_uid, 0)
    if found.st_mode & stat.S_IWOTH or by_group:
        raise UsageError(
            f"{place.path}: expected a settings file that only its owner may write, found mode "
            f"{stat.S_IMODE(found.st_mode):04o}; look at what is in it, then run `chmod go-w {place.path}`"
        )


def _hidden_root() -> int | None:
    """The number that root's files have in a user namespace that does not show root's own, as of a service with
    PrivateUsers; None where it is shown."""
    import contextlib

    with contextlib.suppress(OSError):
        return os.stat("/").st_uid or None
    return None


def lines_of(text: str) -> dict[Key, int]:
    """Key -> its line, from 1; without those that seem to stand twice, as within a text of several lines."""
    table: Key = ()
    found: dict[Key, int] = {}
    twice: set[Key] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if (match := TABLE.match(line)) is not None:
            table = parts(match.group(1))
        elif (match := _KEY.match(line)) is not None:
            key = (*table, *parts(match.group(1)))
            twice |= {key} & found.keys()
            found.setdefault(key, number)
    return {key: number for key, number in found.items() if key not in twice}


def parts(name: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def _keys(values: dict[str, Any], before: Key) -> Iterator[Key]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _keys(value, (*before, name))
        else:
            yield (*before, name)


def unknown(file: SettingsFile, key: Key, expected: str) -> UsageError:
    """The error for a key that nothing knows."""
    origin = file.origin(key)
    return UsageError(f"{origin.where}: expected {expected}, found {named(dotted(key))}; {NEXT_STEP}")
