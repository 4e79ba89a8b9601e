"""`eval`: learners compared over sequences of data sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from edge_nusa import kept
from edge_nusa.cli import output
from edge_nusa.cli.help import BOARD, WHERE
from edge_nusa.cli.options import BundleOption, FormatOption, QuietOption, needs
from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown

LARGEST_RESULTS_BYTES = 1 << 30
DATA, TRAINING = "What is learned", "How it is learned"
"""Groups of options."""
SUITES = ("mtil", "cil", "orders")


def numbers(text: str, option: str) -> tuple[int, ...]:
    """`5,16` as whole numbers, each once. Raises UsageError for anything else."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) < 7 for word in words):
        raise UsageError(f"{option}: expected whole numbers such as 5,16, got {shown(text)}")
    return tuple(dict.fromkeys(int(word) for word in words))


def evaluate(
    suite: Annotated[
        str,
        typer.Argument(
            help="`mtil` (data sets in sequence), `cil` (one growing label space) or `orders` (mtil in ten orders)."
        ),
    ],
    data: Annotated[Path, typer.Option("--data", help="The folder of data sets: a folder for each class in each.")],
    out: Annotated[
        Path, typer.Option("--out", help="Where runs and report go; the same command goes on after a kill.")
    ],
    sets: Annotated[
        Optional[str],
        typer.Option(
            help="Data sets by name, with commas; all of them where none are given.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    learners: Annotated[
        str, typer.Option(help="Learners by name, with commas, or `all`.")
    ] = "frozen,paper,ridge,default",
    shots: Annotated[
        str, typer.Option(help="Pictures a class to learn from, with commas; 0 for all.", rich_help_panel=DATA)
    ] = "16",
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="How many seeds, from --first-seed on.", rich_help_panel=TRAINING)
    ] = 1,
    first_seed: Annotated[
        int, typer.Option("--first-seed", min=0, max=10**6, help="The first of the seeds.", rich_help_panel=TRAINING)
    ] = 0,
    order: Annotated[
        Optional[str],
        typer.Option(
            help="`given`, `I`, `II`, `random:N`, or a text file with one set a line.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    class_steps: Annotated[
        str,
        typer.Option(
            "--class-steps",
            help="For `cil`: into how many steps the classes of all sets are cut, with commas.",
            rich_help_panel=DATA,
        ),
    ] = "10",
    never: Annotated[
        str,
        typer.Option(
            help="A set that is never learned: what is kept of it, and how well its pictures are rejected.",
            rich_help_panel=DATA,
        ),
    ] = "",
    test_limit: Annotated[
        int,
        typer.Option(
            "--test-limit", min=0, help="Test pictures a set, evenly over its classes; 0 for all.", rich_help_panel=DATA
        ),
    ] = 0,
    steps: Annotated[
        Optional[int],
        typer.Option(
            min=1,
            max=1_000_000,
            help="Training steps a task; each recipe's own where none are given.",
            show_default=False,
            rich_help_panel=TRAINING,
        ),
    ] = None,
    rate: Annotated[
        Optional[float],
        typer.Option(
            min=0,
            help="Learning rate of every learner; each one's own where none is given.",
            show_default=False,
            rich_help_panel=TRAINING,
        ),
    ] = None,
    image_blocks: Annotated[
        Optional[int],
        typer.Option(
            "--image-blocks",
            min=0,
            help="How many of the last image blocks may change; all of the bundle's tail where none is given.",
            show_default=False,
            rich_help_panel=TRAINING,
        ),
    ] = None,
    naming: Annotated[
        str,
        typer.Option(
            help="How classes are called: `own`, `meaningless` (part 4711) or `swapped` (each by the next one's name).",
            rich_help_panel=DATA,
        ),
    ] = "own",
    bundle: BundleOption = None,
    cache: Annotated[
        Optional[Path],
        typer.Option(
            help="Folder of cached features, to share between commands; inside --out where none is given.",
            show_default=False,
            rich_help_panel=WHERE,
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="Runs side by side, each with --threads.", rich_help_panel=BOARD)
    ] = 1,
    threads: Annotated[
        int, typer.Option(min=1, max=1024, help="Processor threads of one run.", rich_help_panel=BOARD)
    ] = 1,
    format: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare learners over sequences of data sets. Every baseline is shown side by side."""
    with needs("eval"):
        from edge_nusa.research.learners import catalogue
        from edge_nusa.research.protocol import material, suites

    settings = material.Settings(
        suite=_suite(suite),
        data=data,
        out=out,
        learners=tuple(catalogue.chosen(learners)),
        shots=numbers(shots, "--shots"),
        order=order or ("random:10" if suite == "orders" else "given"),
        sets=tuple(name.strip() for name in (sets or "").split(",") if name.strip()),
        never=never,
        steps_of_classes=numbers(class_steps, "--class-steps"),
        test_limit=test_limit,
        seeds=seeds,
        naming=naming,
    )
    settings = replace(settings, first_seed=first_seed, steps=steps, rate=rate, image_blocks=image_blocks)
    settings = replace(settings, bundle=bundle, cache=cache, jobs=jobs, threads=threads)
    files = suites.evaluate(settings, output.progress_bar(quiet))
    kept.part(f"the results are in {out}")
    _print(out, files, format)


def _suite(name: str) -> Literal["mtil", "cil"]:
    if name not in SUITES:
        raise UsageError(f"eval: there is no suite {shown(name)}; expected {', '.join(SUITES)}")
    return "cil" if name == "cil" else "mtil"


def _print(out: Path, files: list[Path], format: output.Format | None) -> None:
    if output.chosen(format) is output.Format.JSON:
        output.emit(_read(out / "results.json"))
    else:
        output.emit(_read(out / "results.md") + f"\n{', '.join(str(path) for path in files)}")


def _read(path: Path) -> str:
    from edge_nusa.files.durable import explained, read_at_most

    with explained(f"read {path}"):
        return read_at_most(path, LARGEST_RESULTS_BYTES).decode()
