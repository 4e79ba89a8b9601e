"""Commands that are built when they are asked for: typer reads the signature of every option of every command, which
takes a third of the time of a `--help`, and one command is run at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import typer
from typer.main import get_command, get_group
from typer.models import CommandInfo, TyperInfo


class Later(dict[str, Any]):
    """Name -> command, which is made when it is first looked at."""

    def __init__(self, makers: Mapping[str, Callable[[], Any]], sentences: Mapping[str, str]) -> None:
        """makers: what makes each; sentences: what each says of itself, for whoever makes none."""
        super().__init__(dict.fromkeys(makers))
        self._makers, self.sentences = makers, sentences

    def __getitem__(self, name: str) -> Any:
        if super().__getitem__(name) is None:
            self[name] = self._makers[name]()
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The command, or the default where there is none of this name."""
        return self[name] if name in self._makers else default

    def items(self) -> Any:
        """All of them, made."""
        return {name: self[name] for name in self}.items()

    def values(self) -> Any:
        """All of them, made."""
        return {name: self[name] for name in self}.values()


def program(app: typer.Typer) -> Any:
    """The command line of an app with a callback, as typer would build it at once."""
    return _filled(get_command(_bare(app)), app)


def _bare(app: typer.Typer) -> typer.Typer:
    bare = copy.copy(app)
    bare.registered_commands, bare.registered_groups = [], []
    return bare


def _filled(group: Any, app: typer.Typer) -> Any:
    """The built group, with the commands and groups of the app it was built from."""
    makers: dict[str, Callable[[], Any]] = {}
    sentences: dict[str, str] = {}
    for command in app.registered_commands:
        makers[str(command.name)] = partial(_command, command)
        sentences[str(command.name)] = _one_line(command.help)
    for part in app.registered_groups:
        makers[str(part.name)] = partial(_group, part)
        sentences[str(part.name)] = _one_line(part.typer_instance.info.help if part.typer_instance else "")
    group.commands = Later(makers, sentences)
    return group


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _command(info: CommandInfo) -> Any:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.registered_commands.append(info)
    return get_command(alone)


def _group(info: TyperInfo) -> Any:
    assert info.typer_instance is not None
    group = get_group(_bare(info.typer_instance))
    group.name = str(info.name)
    return _filled(group, info.typer_instance)
