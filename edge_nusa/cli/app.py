"""The command line as typer knows it: its name, its help and its commands."""

from __future__ import annotations

import typer

from edge_nusa.cli import commands
from edge_nusa.errors import EXIT_CODES

app = typer.Typer(
    name="edge-nusa",
    help="Teach CLIP new things on a small board: no forgetting, no kept images, no cloud.",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.register(app)
