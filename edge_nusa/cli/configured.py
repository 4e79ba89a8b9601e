"""Where an option's value comes from when it is not on the command line: the variable, then the settings files.

Typer asks for a default only when it runs a command, so `--help` and completion read no file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Any

from typer.core import TyperCommand, TyperGroup

from edge_nusa.cli.parameters import Parameter, parameters
from edge_nusa.errors import UsageError
from edge_nusa.settings import shared
from edge_nusa.settings.settings_file import Key, SettingsFile, dotted, read_all, unknown

PICTURES: Key = ("learn", "pictures")
"""Of these words the last may be a label, so only what is there is a path."""
PLACES: frozenset[Key] = frozenset(
    {
        *(("watch", "source"), ("teach", "camera"), ("learn", "images"), PICTURES, ("predict", "images")),
        *(("sync", "init", "store"), ("sync", "init", "rounds"), ("sync", "set-store", "store")),
        *(("sync", "set-store", "rounds"), ("hub", "init", "store"), ("hub", "check", "store")),
        ("hub", "set-store", "store"),
    }
)
"""Texts that may be paths: or the address of a camera or a store, a pattern, or `-`."""
OWN = ("config",)
"""The command that has no table, as it is about these files."""
APART: Mapping[Key, tuple[Key, ...]] = {("learn",): (("dataset",), ("pictures", "images", "label"))}
"""Command -> the ways to say one thing, of which a command takes one."""
Tables = Mapping[Key, Mapping[str, Parameter]]
"""The words of every command -> what it takes, by name; these are the tables that a file may have."""


class Configured(TyperCommand):
    """A command whose options may stand in the settings files: in its own table, or beside all tables."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does, with defaults from the settings files."""
        ctx.default_map = _Defaults(ctx)
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            _leave_out(ctx)
        return rest


def is_of_file(context: Any, name: str) -> bool:
    """Whether it is a settings file that says the value of an option."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "DEFAULT_MAP"


def said(context: Any) -> dict[str, str]:
    """The options that stand on the command line itself, and not in a variable or a settings file: name -> how it is
    written, in the order of the help."""
    options = {one.name: one.opts[0] for one in context.command.params if one.param_type_name == "option"}
    sources = {name: context.get_parameter_source(name) for name in options}
    return {name: options[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _leave_out(context: Any) -> None:
    """Where the command line says a thing in one way, leave out what a file says in another."""
    ways = APART.get(_words_of(context), ())
    said = {name for way in ways for name in way if context.params.get(name) and not is_of_file(context, name)}
    for way in ways:
        if said and not said & {*way}:
            context.params.update(dict.fromkeys(way))


class _Defaults(dict[str, Any]):
    """Option -> what the settings files say of it, read when the first is asked for."""

    def __init__(self, context: Any) -> None:
        super().__init__()
        self._context, self._is_read = context, False

    def get(self, name: str, default: Any = None) -> Any:
        if self._context.resilient_parsing:  # help and completion
            return default
        if not self._is_read:
            self._is_read = True
            # What is about the files looks at all of them itself, and says where a broken one is.
            with suppress(UsageError) if self._context.info_name == OWN[0] else nullcontext():
                self.update(_settings_of(self._context))
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        return self.get(str(name)) is not None


def _settings_of(context: Any) -> dict[str, Any]:
    """Option -> the value of the file that decides, as the command line would give it."""
    files = read_all()
    if not files:
        return {}
    names = set(context.find_root().command.commands) - {*OWN}
    words = _words_of(context)
    found: dict[str, Any] = {}
    for file in files:
        for name, value in _values(file, names, words, parameters(context.command.callback)).items():
            found.setdefault(name, value)
    return found


def _values(file: SettingsFile, tables: set[str], words: Key, takes: Mapping[str, Parameter]) -> dict[str, Any]:
    """What a file says to a command: its own table before what stands beside all tables. Raises UsageError."""
    shared.check(file, tables)
    check_table(file, words, takes)
    found: dict[str, Any] = {}
    for name, parameter in takes.items():
        beside = shared_key(parameter)
        if file.get((*words, name)) is not None:
            found[name] = checked(file, (*words, name), parameter)
        elif beside is not None and (value := shared.value(file, beside)) is not None:
            found[name] = str(value)
    return found


def shared_key(parameter: Parameter) -> Key | None:
    """The key beside all tables of an option, which has the same variable."""
    named = (key for key, one in shared.SHARED.items() if one.variable and one.variable == parameter.variable)
    return next(named, None)


def tables_of(root: Any) -> Tables:
    """Every command of the command line."""
    return {words: parameters(command.callback) for words, command in _commands(root, ())}


def check_table(file: SettingsFile, words: Key, takes: Mapping[str, Parameter]) -> None:
    """Every key of a command's table is an option of the command. Raises UsageError."""
    for key in file.named():
        if key[: len(words)] == words and (len(key) != len(words) + 1 or key[-1] not in takes):
            known = [dotted((*words, name)) for name in takes]
            raise unknown(file, key, shared.one_of(known, dotted(key)))


def check_all(file: SettingsFile, tables: Tables) -> None:
    """The whole file: every table is a command's, and every value fits its option. Raises UsageError."""
    shared.check(file, {words[0] for words in tables})
    for key in file.named():
        if key in shared.SHARED:
            continue
        words = next((words for words in tables if key[: len(words)] == words), None)
        if words is None:
            names = [dotted(words) for words in tables if words[0] == key[0]]
            raise unknown(file, key, f"a key of {' or '.join(names)}")
        check_table(file, words, tables[words])
        checked(file, key, tables[words][key[-1]])


def checked(file: SettingsFile, key: Key, parameter: Parameter) -> Any:
    """A value as the command line would give it; a path as it is meant. Raises UsageError."""
    value = file.get(key)
    if not parameter.fits(value):
        raise file.origin(key).refused(dotted(key), parameter.expected, value)
    if not is_place(key, parameter):
        return value if parameter.kind in (bool, str) or parameter.is_list else str(value)
    placed = [_placed(file, key, one) for one in (value if parameter.is_list else [value])]
    return placed if parameter.is_list else placed[0]


def is_place(key: Key, parameter: Parameter) -> bool:
    """Whether its text may be a path."""
    return "Path" in parameter.kind.__name__ or key in PLACES


def is_address(key: Key, text: str) -> bool:
    """Whether a text is no path: an address, the camera that has no file, stdin, or a pattern."""
    if "://" in text or text == "picamera":
        return True
    return key in PLACES and (text == "-" or any(letter in text for letter in "*?["))


def _placed(file: SettingsFile, key: Key, text: str) -> str:
    placed = text if is_address(key, text) else str(file.path(text, key))
    return text if key == PICTURES and not os.path.lexists(placed) else placed


def _commands(group: Any, before: Key) -> list[tuple[Key, Any]]:
    found: list[tuple[Key, Any]] = []
    for name, command in group.commands.items():
        if (*before, name) == OWN:
            continue
        is_group = isinstance(command, TyperGroup)
        found += _commands(command, (*before, name)) if is_group else [((*before, name), command)]
    return found


def _words_of(context: Any) -> Key:
    """The words that start a command, none of which is built for it."""
    return () if context.parent is None else (*_words_of(context.parent), str(context.info_name))
