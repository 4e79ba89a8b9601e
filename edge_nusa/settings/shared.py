"""The keys that all commands share, each with its variable, and which of option, variable and files decides.

The order is: the command's option, the variable, the user's file, the system's file, what is built in. The command line
hands over what its options say; these are what is left.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from edge_nusa.settings.settings_file import Key, SettingsFile, dotted, read_all, unknown

MOST_THREADS = 1024
MOST_FOLDERS = 32
RUN = ("watch", "teach", "mqtt", "sync", "hub")
"""The services that there are."""
FORMATS = ("human", "json")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
_SIZE = re.compile(r"0*[1-9][0-9]{0,14}[KMG]?", re.IGNORECASE)


class Shared(NamedTuple):
    """expected: what a value must be, in words; fits: whether it is; variable: of the environment, "" for none;
    is_place: whether it is a path, or a list of them."""

    expected: str
    fits: Callable[[Any], bool]
    variable: str
    is_place: bool = False


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_THREADS


def _is_size(value: Any) -> bool:
    return isinstance(value, str) and _SIZE.fullmatch(value) is not None


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _are_paths(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_FOLDERS and all(map(_is_path, value))


def _are_services(value: Any) -> bool:
    return isinstance(value, list) and all(one in RUN for one in value)


SHARED: dict[Key, Shared] = {
    ("bundle",): Shared("the path of a folder", _is_path, "EDGE_NUSA_BUNDLE", True),
    ("state",): Shared("the path of a folder", _is_path, "EDGE_NUSA_STATE", True),
    ("threads",): Shared(f"a whole number from 0 to {MOST_THREADS}", _is_whole, "EDGE_NUSA_THREADS"),
    ("max_memory",): Shared('a size such as "512M" or "1G"', _is_size, "EDGE_NUSA_MAX_MEMORY"),
    ("provider",): Shared('"auto", "cpu", "cuda" or another provider\'s name', _is_word, "EDGE_NUSA_PROVIDER"),
    ("format",): Shared('"human" or "json"', lambda value: value in FORMATS, "EDGE_NUSA_FORMAT"),
    ("services", "run"): Shared(f"a list of {', '.join(RUN)}", _are_services, ""),
    ("services", "writable"): Shared(f"a list of at most {MOST_FOLDERS} paths", _are_paths, "", True),
}
"""What stands in no command's own table. `services.run`: those that install.sh keeps;
`services.writable`: folders that they may write beside the state."""
SERVICES = "services"


class Found(NamedTuple):
    """A setting's value (a path as it is meant), what decided it, and its line there (None: unknown, or no file)."""

    value: Any
    source: str
    file: Path | None = None
    line: int | None = None


def check(file: SettingsFile, tables: Iterable[str] | None) -> None:
    """Every key outside of the commands' tables is one of SHARED and fits; tables: the names of these tables, None
    where the caller does not know them. Raises UsageError."""
    for key in file.named():
        if key in SHARED:
            value(file, key)
        elif len(key) == 1 or key[0] == SERVICES or (tables is not None and key[0] not in tables):
            known = [dotted(one) for one in SHARED] if len(key) == 1 or key[0] == SERVICES else sorted(tables or ())
            raise unknown(file, key, one_of(known, dotted(key) if key[0] == SERVICES else key[0]))


def value(file: SettingsFile, key: Key) -> Any:
    """What a file says of a shared key, None where it does not name it; a path as it is meant. Raises UsageError."""
    found, shared = file.get(key), SHARED[key]
    if found is None:
        return None
    if not shared.fits(found):
        raise file.origin(key).refused(dotted(key), shared.expected, found)
    if not shared.is_place:
        return found
    return [file.path(one, key) for one in found] if isinstance(found, list) else file.path(found, key)


def setting(key: Key, files: list[SettingsFile] | None = None) -> Found | None:
    """What the environment or a file says of a shared key, None where nothing does. Raises UsageError."""
    variable = SHARED[key].variable
    if variable and (said := os.environ.get(variable)):
        return Found(Path(said) if SHARED[key].is_place else said, f"environment ({variable})")
    for file in read_all() if files is None else files:
        check(file, None)
        if (found := value(file, key)) is not None:
            return Found(found, file.place.name, file.place.path, file.lines.get(key))
    return None


def chosen_folder(name: str) -> Path | None:
    """The bundle or the state that environment or settings name, None where they name none. Raises UsageError."""
    found = setting((name,))
    return None if found is None else found.value


def one_of(names: list[str], found: str) -> str:
    """What was expected instead of a name: the nearest one where one is near, else all."""
    near = difflib.get_close_matches(found, names, 1)
    return f"{near[0]} (did you mean that?)" if near else "one of " + ", ".join(names)
