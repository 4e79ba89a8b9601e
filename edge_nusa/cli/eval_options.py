"""The options of `eval`, in the order of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from edge_nusa.cli import completion
from edge_nusa.cli.help import BOARD, OUTPUT, WHERE

DATA, TRAINING, SPREAD = "What is learned", "How it is learned", "Beyond one machine"
"""Groups of options."""
SuiteArgument = Annotated[
    Optional[str],
    typer.Argument(
        help="`mtil` (data sets in sequence), `cil` (one growing label space) or `orders` (mtil in ten orders); or "
        "`collect`, which writes the results of runs that are there.",
        show_default=False,
        autocompletion=completion.suites,
    ),
]
FoldersArgument = Annotated[
    Optional[list[Path]],
    typer.Argument(
        help="For `collect`: further folders of runs (the --out of other machines), brought together in --out.",
        show_default=False,
    ),
]
SetsOption = Annotated[
    Optional[str],
    typer.Option(
        help="Data sets by name, with commas; all of them where none are given.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
ShotsOption = Annotated[
    str, typer.Option(help="Pictures a class to learn from, with commas; 0 for all.", rich_help_panel=DATA)
]
SeedsOption = Annotated[
    int, typer.Option(min=1, max=1000, help="How many seeds, from --first-seed on.", rich_help_panel=TRAINING)
]
FirstSeedOption = Annotated[
    int, typer.Option("--first-seed", min=0, max=10**6, help="The first of the seeds.", rich_help_panel=TRAINING)
]
OrderOption = Annotated[
    Optional[str],
    typer.Option(
        help="`given`, `I`, `II`, `random:N`, or a text file with one set a line.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
ClassStepsOption = Annotated[
    str,
    typer.Option(
        "--class-steps",
        help="For `cil`: into how many steps the classes of all sets are cut, with commas.",
        rich_help_panel=DATA,
    ),
]
NeverOption = Annotated[
    str,
    typer.Option(
        help="A set that is never learned: what is kept of it, and how well its pictures are rejected.",
        rich_help_panel=DATA,
    ),
]
TestLimitOption = Annotated[
    int,
    typer.Option(
        "--test-limit", min=0, help="Test pictures a set, evenly over its classes; 0 for all.", rich_help_panel=DATA
    ),
]
StepsOption = Annotated[
    Optional[int],
    typer.Option(
        min=1,
        max=1_000_000,
        help="Training steps a task; each recipe's own where none are given.",
        show_default=False,
        rich_help_panel=TRAINING,
    ),
]
RateOption = Annotated[
    Optional[float],
    typer.Option(
        min=0,
        help="Learning rate of every learner; each one's own where none is given.",
        show_default=False,
        rich_help_panel=TRAINING,
    ),
]
ImageBlocksOption = Annotated[
    Optional[int],
    typer.Option(
        "--image-blocks",
        min=0,
        help="How many of the last image blocks may change; all of the bundle's tail where none is given.",
        show_default=False,
        rich_help_panel=TRAINING,
    ),
]
NamingOption = Annotated[
    str,
    typer.Option(
        help="How classes are called: `own`, `meaningless` (part 4711) or `swapped` (each by the next one's name).",
        rich_help_panel=DATA,
    ),
]
CacheOption = Annotated[
    Optional[Path],
    typer.Option(
        help="Folder of cached features, to share between commands; inside --out where none is given.",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
PerClassOption = Annotated[
    bool,
    typer.Option(
        "--per-class",
        help="Write and show accuracy and confusion class by class, also of runs that are done.",
        rich_help_panel=OUTPUT,
    ),
]
JobsOption = Annotated[
    int, typer.Option(min=1, max=256, help="Runs side by side, each with --threads.", rich_help_panel=BOARD)
]
RunThreadsOption = Annotated[
    int, typer.Option(min=1, max=1024, help="Processor threads of one run.", rich_help_panel=BOARD)
]
ShardOption = Annotated[
    Optional[str],
    typer.Option(
        metavar="K/N",
        help="Do the K-th of N parts of the runs, K from 0, without a report; `eval collect` writes it.",
        show_default=False,
        rich_help_panel=SPREAD,
    ),
]
ClusterOption = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="The scheduler of a Dask cluster whose workers do the runs, such as tcp://10.0.0.5:8786.",
        show_default=False,
        rich_help_panel=SPREAD,
    ),
]
