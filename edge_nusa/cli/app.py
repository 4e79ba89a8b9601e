"""The command line as typer knows it: its name, its help and its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_nusa import __version__
from edge_nusa.cli import commands, help, output
from edge_nusa.errors import EXIT_CODES

app = typer.Typer(
    name="edge-nusa",
    cls=help.Commands,
    help="Teach CLIP new things on a small board: no forgetting, no kept pictures, no cloud.",
    epilog="`edge-nusa help COMMAND` shows a command's options and an example.\n\n"
    "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_asked: bool) -> None:
    if is_asked:
        output.emit(f"edge-nusa {__version__}")
        raise typer.Exit


@app.callback()
def everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What belongs to no command."""


commands.register(app)
