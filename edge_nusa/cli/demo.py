"""The command `demo`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_nusa import kept
from edge_nusa.cli import output
from edge_nusa.cli.options import FormatOption, QuietOption

YOURS = """
Now your own: on a page with a camera, or ten pictures of one thing in a folder, and another one to ask about.
  {command} teach
  {command} learn FOLDER "my mug"
  {command} predict PICTURE --labels cup,plate"""


def called_as() -> str:
    """The word that started this program, for lines that a reader pastes; `edge-nusa` where it is a file of Python."""
    word = sys.argv[0]
    return "edge-nusa" if word.endswith(".py") else shlex.quote(word)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where the state and the report go.")] = Path("demo-out"),
    quiet: QuietOption = False,
    format: FormatOption = None,
) -> None:
    """Teach the embedded model from real pictures, and show the result."""
    from edge_nusa.device.demo.demo import run_demo

    is_json = output.chosen(format) is output.Format.JSON
    with kept.collected():  # what it commits to its own state is nobody's, and made anew by the next run
        result = run_demo(out, output.progress_bar(quiet), (lambda line: None) if is_json else output.emit)
    kept.part(f"the demonstration is in {out}")
    if is_json:
        output.emit_json(result.to_json())
        return
    output.emit(YOURS.format(command=called_as()))
