"""How `--help` looks: options in groups with those that matter first, commands by what they are for, examples whole;
and what is said of a command that does not exist.

typer groups options by `rich_help_panel` only where rich is installed, and cuts what is said of a command to a line; a
board has no rich, so both are done here, on what every version of typer gives of a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from typer.core import TyperGroup

from edge_nusa.cli.configured import Configured
from edge_nusa.cli.later import Later
from edge_nusa.cli.synonyms import unknown

WHERE, BOARD, OUTPUT = "Where things are", "What it may take of this board", "What it prints"
"""Groups of options that many commands have, for `rich_help_panel`; an option without one is among the first."""
ARGUMENTS, FIRST = "Arguments", "Options"
SECTIONS = {
    "Begin": ("demo", "teach", "learn", "predict", "watch"),
    "What was taught": ("labels", "forget", "rename", "undo", "redo", "history", "report"),
    "This board": ("status", "doctor", "bench", "config"),
    "With other machines": ("mqtt", "pull", "sync", "hub"),
    "On a workstation": ("export", "eval"),
}
"""The commands by what they are for."""
REST = "Commands"
NUMBER = r"(?:<(?:int|float)(?: range)?>|(?:INTEGER|FLOAT)(?: RANGE)?)$"
WORDS = (
    (NUMBER, "N"),
    (r"(?:<(?:path|file|directory)>|PATH|FILE|DIRECTORY)$", "PATH"),
    (r"(?:<(?:str|text)>|TEXT)$", "TEXT"),
    (r"[<\[]([\w|-]+)[>\]]$", r"\1"),
)
"""What follows an option: typer's words of any version, and ours."""
RANGES = (
    (r"\\\[", "["),
    (r"([\d.-]+)<=x<=\d{10,}", r"\1 or more"),
    (r"([\d.-]+)<=x<=([\d.]+)", r"\1 to \2"),
    (r"x>=([\d.-]+)", r"\1 or more"),
)


def words(takes: str, says: str) -> tuple[str, str]:
    """A row of typer's as a person reads it: `--steps <int range>` is `--steps N`, `[1<=x<=9]` is `[1 to 9]`."""
    for typers, ours in WORDS:
        takes = re.sub(typers, ours, takes)
    for typers, ours in RANGES:
        says = re.sub(typers, ours, says)
    return takes, says


class Command(Configured):
    """A configured command whose help has its options in groups, and its examples each on a line of their own."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for each in self.params:
            if each.param_type_name == "argument" and each.metavar is None:
                each.metavar = str(each.name).upper()

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] PICTURES... [LABEL]`, by every version of typer."""
        arguments: list[Any] = [each for each in self.get_params(ctx) if each.param_type_name == "argument"]
        return ["[OPTIONS]", *(_place(each) if each.required else f"[{_place(each)}]" for each in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments, then the options, those of no group first."""
        _write_groups(_groups(self.get_params(ctx), ctx), formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """`Example: ...`, never broken, so that it can be pasted."""
        _write_whole(self.epilog, formatter)


class Commands(TyperGroup):
    """A group of commands, listed by what they are for."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The commands, then the options, which few need."""
        rows = {name: (name, self._sentence(ctx, name)) for name in self.list_commands(ctx)}
        groups = {title: [rows.pop(name) for name in names if name in rows] for title, names in self._sections(ctx)}
        _write_groups({**groups, REST: list(rows.values())}, formatter)
        _write_groups(_groups(self.get_params(ctx), ctx), formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """An example whole, everything else in paragraphs."""
        if self.epilog and self.epilog.startswith("Example"):
            _write_whole(self.epilog, formatter)
        else:
            super().format_epilog(ctx, formatter)

    def get_params(self, ctx: Any) -> list[Any]:
        """The options; a switch that is not given is off, for which typer 0.29 would load pydantic."""
        found = super().get_params(ctx)
        for switch in found:
            if getattr(switch, "is_flag", False) and switch.default is None:
                switch.default = False
        return found

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`help sync push` is `sync push --help`, `sync help push` too, and nothing at all is `--help`."""
        if args[:1] == ["help"]:
            args = args[1:] if ctx.resilient_parsing else [*args[1:], "--help"]
        is_asked = bool(args) or ctx.resilient_parsing
        return list(super().parse_args(ctx, args if is_asked else ["--help"]))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """The command of the first word. Raises UsageError that names what was meant."""
        word = args[0]
        if ctx.resilient_parsing or word.startswith("-") or self.get_command(ctx, word) is not None:
            return super().resolve_command(ctx, args)
        raise unknown(word, "" if ctx.parent is None else self.name or "", self.list_commands(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in the order of a first use."""
        return list(self.commands)

    def _sentence(self, ctx: Any, name: str) -> str:
        """The first sentence of what a command says of itself, which is not built for it where it need not be."""
        text = self.commands.sentences[name] if isinstance(self.commands, Later) else self.commands[name].help or ""
        return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]

    def _sections(self, ctx: Any) -> Iterable[tuple[str, tuple[str, ...]]]:
        return SECTIONS.items() if ctx.parent is None else ()


def _groups(parameters: Iterable[Any], ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """The rows of parameters by group; what many commands have comes last."""
    groups: dict[str, list[tuple[str, str]]] = {ARGUMENTS: [], FIRST: []}
    for each in parameters:
        row = each.get_help_record(ctx)
        if row is None:
            continue
        is_argument = each.param_type_name == "argument"
        name = ARGUMENTS if is_argument else getattr(each, "rich_help_panel", None) or FIRST
        if each.name == "help" and OUTPUT in groups:
            name = OUTPUT
        takes, says = words(*row)
        groups.setdefault(name, []).append((_place(each) if is_argument else takes, says))
    return groups | {name: groups.pop(name) for name in (WHERE, BOARD, OUTPUT) if name in groups}


def _place(argument: Any) -> str:
    return f"{argument.metavar}{'' if argument.nargs == 1 else '...'}"


def _write_groups(groups: dict[str, list[tuple[str, str]]], formatter: Any) -> None:
    """Sections of rows, whose second columns are all at one place."""
    longest = max((len(first) for rows in groups.values() for first, _ in rows if len(first) <= 30), default=0)
    for name, rows in groups.items():
        if rows:
            with formatter.section(name):
                formatter.write_dl([(first.ljust(longest), second) for first, second in rows])


def _write_whole(text: str | None, formatter: Any) -> None:
    if text:
        title, _, lines = text.partition(": ")
        formatter.write(f"\n{title}:\n" + "".join(f"  {line}\n" for line in lines.splitlines()))
