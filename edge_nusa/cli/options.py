"""Options that several commands share. A command parses, makes one library call and prints; libraries are imported
when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from edge_nusa.cli.output import Format

BundleOption = Annotated[
    Optional[Path],
    typer.Option(
        "--bundle",
        envvar="EDGE_NUSA_BUNDLE",
        help="The exported bundle; the embedded `micro` where none is given.",
        show_default=False,
    ),
]
StateOption = Annotated[
    Optional[Path],
    typer.Option(
        "--state",
        envvar="EDGE_NUSA_STATE",
        help="The folder of what was learned; your user data folder where none is given.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    Optional[Format],
    typer.Option(
        "--format",
        envvar="EDGE_NUSA_FORMAT",
        help="`human`, or `json` for programs; by itself human on a terminal, else json.",
        show_default=False,
    ),
]
ThreadsOption = Annotated[
    int,
    typer.Option(
        "--threads", envvar="EDGE_NUSA_THREADS", min=0, max=1024, help="Processor threads; 0 means all it may use."
    ),
]
MemoryOption = Annotated[
    Optional[str],
    typer.Option(
        "--max-memory", envvar="EDGE_NUSA_MAX_MEMORY", help="Bound of memory, such as 512M or 1G.", show_default=False
    ),
]
LabelsOption = Annotated[
    Optional[str], typer.Option("--labels", help="Offer these labels too, taught or not: a,b,c.", show_default=False)
]
OfferedOption = Annotated[
    Optional[list[str]],
    typer.Option(
        "--label",
        metavar="NAME",
        help='Offer this label too, whatever is in it, such as "Paris, France"; may be repeated.',
        show_default=False,
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]
