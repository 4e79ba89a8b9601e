"""Options that several commands share. A command parses, makes one library call and prints; libraries are imported
when it is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import completion, output
from edge_nusa.cli.help import BOARD, OUTPUT, WHERE
from edge_nusa.cli.output import Format
from edge_nusa.errors import MissingPackageError, UsageError
from edge_nusa.files.foreign import shown

if TYPE_CHECKING:
    from edge_nusa.device.model import Model

BundleOption = Annotated[
    Optional[Path],
    typer.Option(
        "--bundle",
        envvar="EDGE_NUSA_BUNDLE",
        help="The exported bundle; the embedded `lite` where none is given.",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
StateOption = Annotated[
    Optional[Path],
    typer.Option(
        "--state",
        envvar="EDGE_NUSA_STATE",
        help="The folder of what was learned; your user data folder where none is given.",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
FormatOption = Annotated[
    Optional[Format],
    typer.Option(
        "--format",
        envvar="EDGE_NUSA_FORMAT",
        help="`human`, or `json` for programs; by itself human on a terminal, else json.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
ThreadsOption = Annotated[
    int,
    typer.Option(
        "--threads",
        envvar="EDGE_NUSA_THREADS",
        min=0,
        max=1024,
        help="Processor threads; 0 means all it may use.",
        rich_help_panel=BOARD,
    ),
]
MemoryOption = Annotated[
    Optional[str],
    typer.Option(
        "--max-memory",
        metavar="SIZE",
        envvar="EDGE_NUSA_MAX_MEMORY",
        help="Bound of memory, such as 512M or 1G.",
        show_default=False,
        rich_help_panel=BOARD,
    ),
]
ProviderOption = Annotated[
    str,
    typer.Option(
        "--provider",
        metavar="NAME",
        envvar="EDGE_NUSA_PROVIDER",
        help="What computes the features of pictures: `cpu`, `auto`, or a name of docs/accelerators.md such as `cuda`.",
        rich_help_panel=BOARD,
    ),
]
LabelsOption = Annotated[
    Optional[str],
    typer.Option(
        "--labels",
        metavar="A,B,C",
        help="Offer these labels too, taught or not: a,b,c.",
        show_default=False,
        autocompletion=completion.label_list,
    ),
]
OfferedOption = Annotated[
    Optional[list[str]],
    typer.Option(
        "--label",
        metavar="NAME",
        help='Offer this label too, whatever is in it, such as "Paris, France"; may be repeated.',
        show_default=False,
        autocompletion=completion.labels,
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.", rich_help_panel=OUTPUT)
]


def memory_bytes(text: str | None, option: str = "--max-memory") -> int | None:
    """`512M`, `1G`, `300K` or plain bytes. Raises UsageError for anything else."""
    if text is None:
        return None
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    number, unit = (text[:-1], units[text[-1].upper()]) if text and text[-1].upper() in units else (text, 1)
    if not number.isascii() or not number.isdigit() or len(number) > 15 or int(number) == 0:
        raise UsageError(f"{option}: expected a size such as 512M or 1G, got {shown(text)}")
    return int(number) * unit


def numbers(text: str, option: str) -> tuple[int, ...]:
    """`5,16` as whole numbers, each once. Raises UsageError for anything else."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) < 7 for word in words):
        raise UsageError(f"{option}: expected whole numbers such as 5,16, got {shown(text)}")
    return tuple(dict.fromkeys(int(word) for word in words))


def noted(model: Model, quiet: bool = False) -> Model:
    """The same; where something else computes than was asked for, that is told."""
    if model.note and not quiet:
        output.note(model.note)
    return model


@contextmanager
def needs(command: str, extra: str | None = None) -> Iterator[None]:
    """Around the imports of a command that needs the packages of an extra, called as it unless said otherwise. Raises
    MissingPackageError."""
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(
            f"{command} needs packages that are missing here ({error}); install them with `pip install "
            f'"edge-nusa[{extra or command}]"`'
        ) from error
