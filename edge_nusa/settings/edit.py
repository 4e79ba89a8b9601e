"""Changes one key of a settings file, and leaves every other line and comment as it is.

The lines are found by their looks; what came of it is read again, and refused unless exactly that key has changed.
"""

from __future__ import annotations

import copy
import json
import os
import stat
from pathlib import Path
from typing import Any

from edge_nusa.errors import UsageError
from edge_nusa.files import durable, opening
from edge_nusa.settings.settings_file import TABLE, Key, SettingsFile, dotted, lines_of, parse, parts

HEADER = "# Settings of edge-nusa, for its commands and services alike; docs/settings.md has every key.\n"


def changed(file: SettingsFile, key: Key, value: Any) -> SettingsFile:
    """The file as it would be with this value of a key (None: without the key). Raises UsageError where the key is
    written in a way that is not one line."""
    from tomllib import TOMLDecodeError, loads

    lines = file.text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    _put(lines, key, lines_of(file.text).get(key), value)
    made, wanted = "".join(lines), copy.deepcopy(file.values)
    try:
        _set(wanted, key, value)
        is_right = _bare(loads(made)) == _bare(wanted)
    except (TOMLDecodeError, ValueError, AttributeError):
        is_right = False
    if not is_right:
        raise UsageError(
            f"{file.place.path}: expected {dotted(key)} on a line of its own, found it written in another way; change "
            "it there with an editor"
        )
    return parse(made.encode(), file.place, file.origin(key))


def write(file: SettingsFile) -> None:
    """Replace the file, through a link of the user's; its folder is made. Raises an EdgeNusaError where the disk
    refuses."""
    target = Path(os.path.realpath(file.place.path))
    with durable.explained(f"write {file.place.path}"):
        durable.make_folder(target.parent)
        durable.replace_file(target, file.text.encode(), _mode_of(target))


def _mode_of(path: Path) -> int:
    """A file keeps its mode; a new one is this user's alone, as a camera's or a broker's password may stand in it."""
    found = opening.mode_of(path)
    return durable.FILE_MODE if found is None else stat.S_IMODE(found)


def _put(lines: list[str], key: Key, at: int | None, value: Any) -> None:
    """Change the lines in place. at: the key's line, from 1."""
    written = "" if value is None else f"{key[-1]} = {_toml(value)}"
    if at is not None:
        old = lines[at - 1]
        lines[at - 1 : at] = [] if value is None else [f"{written}{_comment(old)}\n"]
    elif value is not None:
        place = _end_of_table(lines, key[:-1])
        if place is None:
            gap = ["\n"] if lines and lines[-1].strip() else []
            lines += [*gap, f"[{dotted(key[:-1])}]\n"]
            place = len(lines)
        lines.insert(place, f"{written}\n")


def _end_of_table(lines: list[str], table: Key) -> int | None:
    """Behind the last key of a table, None where it has no header; that of no table begins with the file."""
    begins = 0 if not table else None
    ends = len(lines)
    for at, line in enumerate(lines):
        match = TABLE.match(line)
        if match is None:
            continue
        if begins is not None:
            ends = at
            break
        if parts(match.group(1)) == table:
            begins = at + 1
    if begins is None:
        return None
    while ends > begins and not lines[ends - 1].strip():
        ends -= 1
    return ends


def _comment(line: str) -> str:
    """What stands behind the value of a line, with the space before it."""
    from tomllib import TOMLDecodeError, loads

    for at, letter in enumerate(line):
        if letter == "#":
            try:
                if loads(line[:at]) == loads(line):
                    return line[len(line[:at].rstrip()) :].rstrip("\n")
            except TOMLDecodeError:
                continue
    return ""


def _toml(value: Any) -> str:
    """A value as TOML writes it, which JSON does too for these kinds, but for one letter."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def _set(values: dict[str, Any], key: Key, value: Any) -> None:
    for part in key[:-1]:
        values = values.setdefault(part, {})
    if value is None:
        values.pop(key[-1], None)
    else:
        values[key[-1]] = value


def _bare(values: dict[str, Any]) -> dict[str, Any]:
    """Without tables that are empty."""
    found = {name: _bare(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in found.items() if value != {}}
