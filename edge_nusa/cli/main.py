"""The entry point: the commands, their errors as one line with a documented exit code, and signals."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

import typer

from edge_nusa.cli import commands, output
from edge_nusa.errors import EXIT_CODES, EdgeNusaError
from edge_nusa.files import durable

app = typer.Typer(
    name="edge-nusa",
    help="Teach CLIP new things on a small board: no forgetting, no kept images, no cloud.",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.register(app)


def _terminate(number: int, frame: FrameType | None) -> None:
    output.note("edge-nusa: stopped by a signal; the state is whole: what was committed stays, what was not is gone")
    raise SystemExit(128 + number)


ClickException: Any = typer.BadParameter.__mro__[2]
"""The parent of all usage errors; newer typer carries its own click, so it is reached through typer's public child."""


def run() -> None:
    """Run the command line; every expected failure is one line on stderr and an exit code of `errors.EXIT_CODES`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        raise SystemExit(app(standalone_mode=False) or 0)
    except ClickException as error:
        output.note("edge-nusa: " + " ".join(error.format_message().split()) + "; see --help")
        raise SystemExit(2) from None
    except EdgeNusaError as error:
        output.note(f"edge-nusa: {error}")
        raise SystemExit(error.exit_code) from None
    except MemoryError:
        output.note("edge-nusa: out of memory; the state is unchanged: pass --max-memory, or close other programs")
        raise SystemExit(5) from None
    except OSError as error:
        known = durable.storage_error(error, "edge-nusa")
        output.note(f"edge-nusa: {known}")
        raise SystemExit(known.exit_code) from None


if __name__ == "__main__":
    run()
