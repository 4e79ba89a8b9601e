"""`eval`: learners compared over sequences of data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from edge_nusa import kept
from edge_nusa.cli import completion, output
from edge_nusa.cli.help import BOARD, OUTPUT, WHERE
from edge_nusa.cli.options import BundleOption, FormatOption, QuietOption, needs, numbers
from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown

LARGEST_RESULTS_BYTES = 1 << 30
DATA, TRAINING = "What is learned", "How it is learned"
"""Groups of options."""
SUITES = ("mtil", "cil", "orders")


def _learners(incomplete: str) -> list[str]:
    """What a shell offers behind the learners that stand there already."""
    from edge_nusa.research.learners.described import DESCRIBED

    return completion.in_list(["all", *DESCRIBED], incomplete)


def evaluate(
    suite: Annotated[
        Optional[str],
        typer.Argument(
            help="`mtil` (data sets in sequence), `cil` (one growing label space) or `orders` (mtil in ten orders).",
            show_default=False,
            autocompletion=completion.suites,
        ),
    ] = None,
    data: Annotated[
        Optional[Path],
        typer.Option(
            "--data", help="The folder of data sets: a folder for each class in each; needed.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Optional[Path],
        typer.Option(
            "--out",
            help="Where runs and report go, needed; the same command goes on after a kill.",
            show_default=False,
        ),
    ] = None,
    sets: Annotated[
        Optional[str],
        typer.Option(
            help="Data sets by name, with commas; all of them where none are given.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    learners: Annotated[
        str,
        typer.Option(
            help="Learners by name, with commas, or `all`; one of your own as `package.module:Class` or by its entry "
            "point.",
            autocompletion=_learners,
        ),
    ] = "frozen,ncm,ridge,default",
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
    per_class: Annotated[
        bool,
        typer.Option(
            "--per-class",
            help="Write and show accuracy and confusion class by class, also of runs that are done.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    is_listed: Annotated[
        bool,
        typer.Option("--list", help="Show learners, suites, orders, and the sets in --data where it is given; no run."),
    ] = False,
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
    output.hush(quiet)
    if is_listed:
        return _list(data, learners, format)
    name, data, out = _needed(suite, data, out)
    with needs("eval"):
        from edge_nusa.research.learners import catalogue
        from edge_nusa.research.protocol import material, suites

    settings = material.Settings(
        suite=name,
        data=data,
        out=out,
        learners=tuple(catalogue.chosen(learners)),
        shots=numbers(shots, "--shots"),
        order=order or ("random:10" if suite == "orders" else "given"),
        sets=tuple(one.strip() for one in (sets or "").split(",") if one.strip()),
        seeds=seeds,
    )
    settings = replace(settings, steps_of_classes=numbers(class_steps, "--class-steps"), test_limit=test_limit)
    settings = replace(settings, first_seed=first_seed, steps=steps, rate=rate, image_blocks=image_blocks)
    settings = replace(settings, naming=naming, bundle=bundle, cache=cache, per_class=per_class, never=never)
    files = suites.evaluate(replace(settings, jobs=jobs, threads=threads), output.progress_bar(quiet))
    kept.part(f"the results are in {out}")
    _print(out, files, format)


def _needed(suite: str | None, data: Path | None, out: Path | None) -> tuple[Literal["mtil", "cil"], Path, Path]:
    """What a run cannot do without. Raises UsageError for what is missing."""
    if suite is None or data is None or out is None:
        given = {f"a suite ({', '.join(SUITES)})": suite, "--data DIR": data, "--out DIR": out}
        missing = " and ".join(name for name, value in given.items() if value is None)
        raise UsageError(f"eval: expected {missing}, found none; `edge-nusa eval --list` shows what there is")
    return _suite(suite), data, out


def listed(words: Mapping[str, str]) -> list[list[str]]:
    """Rows of a table."""
    return [list(row) for row in words.items()]


def _list(data: Path | None, learners: str, format: output.Format | None) -> None:
    with needs("eval"):
        from edge_nusa.research.protocol.listing import listing

        found = listing(data, [name.strip() for name in learners.split(",") if ":" in name])
    rows = [[each.name, each.reason or f"{each.says} [{each.source}]"] for each in found.learners]
    parts = {"Learners": rows, "Suites": listed(found.suites), "Orders": listed(found.orders)}
    if found.sets is not None:
        counts = "{0.labels} labels, {0.train} pictures to learn from, {0.test} to be asked"
        parts["Sets"] = [[each.name, each.reason or counts.format(each)] for each in found.sets]
    texts = [output.table(rows, [kind, ""]) for kind, rows in parts.items()]
    output.show(found, "\n\n".join(texts), format)


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
