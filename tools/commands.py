"""Writes docs/commands.md from the command line itself: `make docs`; with --check it only says whether it is current.

Signatures are read rather than `--help` printed, so that every version of typer gives the same text.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo, ParameterInfo, TyperInfo

from edge_nusa.cli.app import app
from edge_nusa.cli.commands import EXAMPLES, PARTS

TARGET = Path(__file__).parents[1] / "docs" / "commands.md"
HEADER = """# Commands
Made by `make docs` from the command line itself; `make lint` and a test fail where it is out of date. Change the
command's docstring or the option's help (`edge_nusa/cli/`), not this file. `edge-nusa COMMAND --help` says the same.

A result goes to stdout, progress and notes to stderr. Exit codes: [programs.md](programs.md#exit-codes); what
`--format json` prints: [programs.md](programs.md). Only what is asked for touches the network:
an `export` that downloads weights, `sync` and `hub` where their store is not a folder, cameras, brokers and `teach`.
"""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One argument or option. flags: as they are typed, () for an argument; value: what follows, "" for a switch;
    default: as typed, "" where there is none."""

    name: str
    flags: tuple[str, ...]
    value: str
    help: str
    default: str
    environment: str
    required: bool


@dataclass(frozen=True)
class Command:
    """One command: its words after `edge-nusa`, its sentence, and what it takes."""

    words: str
    sentence: str
    parameters: tuple[Parameter, ...]


def commands() -> list[Command]:
    """Every command, those of `sync` and `hub` too, in the order of `--help`."""
    return list(_commands(app, ""))


def _commands(of: typer.Typer, before: str) -> Iterator[Command]:
    for info in of.registered_commands:
        assert info.callback is not None
        name = info.name or info.callback.__name__
        sentence = " ".join(inspect.getdoc(info.callback).split())  # type: ignore[union-attr]  # each has one
        yield Command(before + name, sentence, tuple(_parameters(info.callback)))
    for group in of.registered_groups:
        assert group.typer_instance is not None
        yield from _commands(group.typer_instance, f"{before}{group.name} ")


def _parameters(callback: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        if hints[name] is typer.Context:  # which nobody types
            continue
        kind, info = hints[name].__origin__, hints[name].__metadata__[0]
        assert isinstance(info, ParameterInfo)
        required = parameter.default is inspect.Parameter.empty
        yield Parameter(
            name=name,
            flags=_flags(name, kind, info) if isinstance(info, OptionInfo) else (),
            value=_value(kind, info) if isinstance(info, OptionInfo) else info.metavar or name.upper(),
            help=" ".join((info.help or "").split()),
            default="" if required else _default(parameter.default),
            environment=str(info.envvar or ""),
            required=required,
        )


def _flags(name: str, kind: Any, info: OptionInfo) -> tuple[str, ...]:
    """As declared (typer keeps the first of `Annotated[..., Option("--out", "-o")]` where a default would stand), else
    made of the name as typer makes it."""
    first = (info.default,) if isinstance(info.default, str) and info.default.startswith("-") else ()
    own = f"--{name.replace('_', '-')}"
    return (*first, *(info.param_decls or ())) or ((own, f"--no-{own[2:]}") if kind is bool else (own,))


def _value(kind: Any, info: OptionInfo | ArgumentInfo) -> str:
    """What follows the flag: the choices of a short list, else the kind in capitals."""
    inner = next((each for each in getattr(kind, "__args__", ()) if each is not type(None)), kind)
    if inner is bool:
        return ""
    if isinstance(inner, type) and issubclass(inner, Enum):
        return "|".join(str(member.value) for member in inner)
    names = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "TEXT"}
    low, high = (None if end is None else f"{end:g}" if isinstance(end, float) else end for end in (info.min, info.max))
    limits = {(False, False): f" {low} to {high}", (False, True): f" from {low}", (True, False): f" up to {high}"}
    return names.get(inner, "TEXT") + limits.get((low is None, high is None), "")


def _default(value: Any) -> str:
    if value is None or value is False or value == "":
        return ""
    return str(value.value if isinstance(value, Enum) else value)


def page() -> str:
    """The text of docs/commands.md."""
    found = commands()
    index = ["| command | does |", "|---|---|"]
    sentences = {group.name: _help_of(group) for group in app.registered_groups}
    for name in EXAMPLES:
        sentence = sentences.get(name) or next(each.sentence for each in found if each.words == name)
        index.append(f"| [`edge-nusa {name}`](#{_anchor(name)}) | {sentence} |")
    parts = [HEADER, "\n".join(index) + "\n"]
    begun: set[str] = set()
    for command in found:
        group = command.words.split()[0]
        if group in sentences and group not in begun:
            begun.add(group)
            parts.append(f"## `edge-nusa {group}`\n{sentences[group]}\n\n```sh\n{EXAMPLES[group]}\n```\n")
        parts.append(_section(command, is_part=group in sentences))
    return "\n".join(parts)


def _help_of(group: TyperInfo) -> str:
    assert group.typer_instance is not None
    return str(group.typer_instance.info.help)


def _anchor(name: str) -> str:
    return f"edge-nusa-{name}"


def _section(command: Command, is_part: bool) -> str:
    lines = [f"{'###' if is_part else '##'} `edge-nusa {command.words}`", command.sentence, ""]
    example = PARTS.get(command.words, "") if is_part else EXAMPLES[command.words]
    lines += ["```sh", example, "```", ""] if example else []
    lines += ["| takes | what | default | environment |", "|---|---|---|---|"]
    for one in command.parameters:
        typed = ", ".join(one.flags) + (f" {one.value}" if one.value and one.flags else one.value)
        default = "required" if one.required else f"`{one.default}`" if one.default else ""
        environment = f"`{one.environment}`" if one.environment else ""
        lines.append(f"| `{_cell(typed)}` | {_cell(one.help)} | {default} | {environment} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the page, or with --check compare it; 1 where it is out of date."""
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(page(), encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page():
        sys.stderr.write(f"{TARGET.name} is out of date: run `make docs` and commit it\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
