"""The command `config`: what is set and where, and changing one setting."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from edge_nusa.cli import configured, output
from edge_nusa.cli.configured import Tables
from edge_nusa.cli.options import FormatOption
from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import named
from edge_nusa.settings import shared
from edge_nusa.settings.settings_file import Key, Place, SettingsFile, dotted, places, read, read_all

_PASSWORD = re.compile(r"(?<=://)([^/?#@:]*):[^/?#@]*@")


def config(
    context: typer.Context,
    key: Annotated[
        Optional[str], typer.Argument(help="A setting, such as bundle or watch.keep; all of them where none is given.")
    ] = None,
    value: Annotated[
        Optional[list[str]], typer.Argument(help="What it is to be from now on; several where it is a list.")
    ] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Take the setting out of your file.")] = False,
    path: Annotated[bool, typer.Option("--path", help="Say where your settings file is, or would be.")] = False,
    format: FormatOption = None,
) -> None:
    """Show each setting and where it comes from, or change one of yours."""
    tables = configured.tables_of(context.find_root().command)
    asked = None if key is None else _key(key, tables)
    if path:
        own = _own()
        output.show({"path": str(own.path), "exists": own.path.exists()}, str(own.path), format)
    elif asked is not None and (unset or value):
        _change(asked, None if unset else _value(asked, value or [], tables), tables, format)
    elif unset:
        raise UsageError("config --unset: expected a setting, found none; such as: edge-nusa config --unset watch.keep")
    else:
        _show(asked, tables, format)


def _own() -> Place:
    """The user's file. Raises UsageError where there can be none."""
    place = next((place for place in places() if place.name == "user file"), None)
    if place is None:
        raise UsageError(
            "config: expected a home folder for your settings, found none; set HOME, or EDGE_NUSA_CONFIG to a file"
        )
    return place


def _key(name: str, tables: Tables) -> Key:
    """The setting of this name. Raises UsageError for one that nothing knows."""
    key = tuple(name.split("."))
    if key in shared.SHARED or key[-1] in tables.get(key[:-1], ()):
        return key
    known = [*shared.SHARED, *((*words, option) for words in tables for option in tables[words])]
    expected = shared.one_of([dotted(one) for one in known if len(key) == 1 or one[0] == key[0]], name)
    raise UsageError(f"config: expected {expected}, found {named(name)}; docs/settings.md has all settings")


def _value(key: Key, words: list[str], tables: Tables) -> Any:
    """The words as TOML's kind of value; a path becomes a whole one."""
    parameter = None if key in shared.SHARED else tables[key[:-1]][key[-1]]
    kind = (int if key == ("threads",) else str) if parameter is None else parameter.kind
    is_place = shared.SHARED[key].is_place if parameter is None else configured.is_place(key, parameter)
    is_list = key[0] == shared.SERVICES if parameter is None else parameter.is_list
    if len(words) > 1 and not is_list:
        raise UsageError(f"config: expected one value for {dotted(key)}, found {len(words)}; quote what has spaces")
    made = [_one(word, kind, is_place and _is_path(key, word)) for word in words]
    return made if is_list else made[0]


def _is_path(key: Key, word: str) -> bool:
    return not configured.is_address(key, word) and (key != configured.PICTURES or os.path.lexists(word))


def _one(word: str, kind: type, is_place: bool) -> Any:
    """A word as its kind of value; what is none stays as it is, and is refused as every wrong value."""
    if any("\ud800" <= letter <= "\udfff" for letter in word):  # a byte that is no UTF-8, as Python hands it over
        raise UsageError(f"config: expected text in UTF-8, found {named(word)}; settings files hold no other")
    if kind is bool and word in ("true", "false"):
        return word == "true"
    if kind in (int, float):
        try:
            number = kind(word)
        except ValueError:
            return word
        return word if kind is float and not math.isfinite(number) else number
    return _whole(word) if is_place else word


def _whole(path: str) -> str:
    """A path from the root on. Raises UsageError for the home of a user that there is not."""
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError as error:
        raise UsageError(f"config: expected the home of a user that there is, found {named(path)}") from error


def _change(key: Key, value: Any, tables: Tables, format: output.Format | None) -> None:
    """Write one setting, after the whole file as it would be has been checked."""
    from edge_nusa.settings import edit

    place = _own()
    before = read(place) or SettingsFile(place, {}, {}, edit.HEADER)
    after = edit.changed(before, key, value)
    try:
        configured.check_all(after, tables)
    except UsageError as error:
        raise UsageError(f"config: nothing was changed: as it would be, {error}") from error
    edit.write(after)
    said = f"{dotted(key)} is no longer set in" if value is None else f"{dotted(key)} is set in"
    output.show({"key": dotted(key), "value": value, "file": str(place.path)}, f"{said} {place.path}", format)


def _show(asked: Key | None, tables: Tables, format: output.Format | None) -> None:
    files = read_all()
    for file in files:
        configured.check_all(file, tables)
    keys = _keys(files) if asked is None else [asked]
    rows = [(key, _found(key, files, tables)) for key in keys]
    if asked is not None:
        found = rows[0][1]
        output.show(_row(asked, found), "\n".join(_texts(found.value)), format)
        return
    value = {"files": [str(file.place.path) for file in files], "settings": [_row(key, found) for key, found in rows]}
    lines = [[dotted(key), ", ".join(_texts(found.value)) or "-", _source(found)] for key, found in rows]
    output.show(value, output.table(lines, ["setting", "value", "from"]), format)


def _keys(files: list[SettingsFile]) -> Iterator[Key]:
    """What is beside all tables, and what the files have of the commands' tables."""
    yield from (key for key, one in shared.SHARED.items() if one.variable)
    yield from dict.fromkeys(key for file in files for key in file.named() if len(key) > 1)


def _found(key: Key, files: list[SettingsFile], tables: Tables) -> shared.Found:
    """What decides a setting, but for the command line."""
    if key in shared.SHARED:
        return shared.setting(key, files) or _built_in(key)
    parameter = tables[key[:-1]][key[-1]]
    if parameter.variable and (said := os.environ.get(parameter.variable)):
        return shared.Found(said, f"environment ({parameter.variable})")
    for file in files:
        if file.get(key) is not None:
            value = configured.checked(file, key, parameter)
            value = value if configured.is_place(key, parameter) else file.get(key)
            return shared.Found(value, file.place.name, file.place.path, file.lines.get(key))
    return shared.Found(parameter.default, "default")


def _built_in(key: Key) -> shared.Found:
    """What holds where nothing is set."""
    from edge_nusa.device.opened import default_folder

    if key in (("bundle",), ("state",)):
        return shared.Found(default_folder(key[0]), "default")
    return shared.Found({("threads",): 0, ("provider",): "cpu", ("services", "writable"): []}.get(key), "default")


def _row(key: Key, found: shared.Found) -> dict[str, Any]:
    value = [_shown(one) for one in found.value] if isinstance(found.value, list) else found.value
    return {
        "key": dotted(key),
        "value": _shown(value) if isinstance(value, (Path, str)) else value,
        "from": found.source,
        "file": None if found.file is None else str(found.file),
        "line": found.line,
    }


def _source(found: shared.Found) -> str:
    if found.file is None:
        return found.source
    return f"{found.source} {found.file}{f', line {found.line}' if found.line else ''}"


def _texts(value: Any) -> list[str]:
    """A value as people read it, one text for each where it is a list."""
    if value is None:
        return []
    if isinstance(value, bool):
        return [str(value).lower()]
    return [_shown(one) for one in (value if isinstance(value, (list, tuple)) else [value])]


def _shown(value: Any) -> str:
    """Without the password of an address, as what this command shows is what people send to others."""
    text = str(value)
    if text.lower().startswith(("rtsp://", "rtsps://")):  # a camera's path may be its password
        from edge_nusa.device.camera.source import without_login

        return without_login(text)
    return _PASSWORD.sub(r"\1:...@", text)
