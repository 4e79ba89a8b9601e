"""`eval`: learners compared over sequences of data sets."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from edge_nusa import kept
from edge_nusa.cli import completion, configured, output
from edge_nusa.cli.eval_options import (
    CacheOption,
    ClassStepsOption,
    ClusterOption,
    FirstSeedOption,
    FoldersArgument,
    ImageBlocksOption,
    JobsOption,
    NamingOption,
    NeverOption,
    OrderOption,
    PerClassOption,
    RateOption,
    RunThreadsOption,
    SeedsOption,
    SetsOption,
    ShardOption,
    ShotsOption,
    StepsOption,
    SuiteArgument,
    TestLimitOption,
)
from edge_nusa.cli.options import BundleOption, FormatOption, QuietOption, needs, numbers
from edge_nusa.errors import InputError, UsageError
from edge_nusa.files.foreign import shown

LARGEST_RESULTS_BYTES = 1 << 30
SUITES = ("mtil", "cil", "orders")
COLLECT = "collect"
"""What stands in a suite's place where no run is done."""
OF_COLLECT = frozenset({"data", "out", "bundle", "per_class", "format", "quiet"})
"""The options that do something there."""


def _learners(incomplete: str) -> list[str]:
    """What a shell offers behind the learners that stand there already."""
    from edge_nusa.research.learners.described import DESCRIBED

    return completion.in_list(["all", *DESCRIBED], incomplete)


def evaluate(
    context: typer.Context,
    suite: SuiteArgument = None,
    folders: FoldersArgument = None,
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
    sets: SetsOption = None,
    learners: Annotated[
        str,
        typer.Option(
            help="Learners by name, with commas, or `all`; one of your own as `package.module:Class` or by its entry "
            "point.",
            autocompletion=_learners,
        ),
    ] = "frozen,ncm,ridge,default",
    shots: ShotsOption = "16",
    seeds: SeedsOption = 1,
    first_seed: FirstSeedOption = 0,
    order: OrderOption = None,
    class_steps: ClassStepsOption = "10",
    never: NeverOption = "",
    test_limit: TestLimitOption = 0,
    steps: StepsOption = None,
    rate: RateOption = None,
    image_blocks: ImageBlocksOption = None,
    naming: NamingOption = "own",
    bundle: BundleOption = None,
    cache: CacheOption = None,
    per_class: PerClassOption = False,
    is_listed: Annotated[
        bool,
        typer.Option("--list", help="Show learners, suites, orders, and the sets in --data where it is given; no run."),
    ] = False,
    jobs: JobsOption = 1,
    threads: RunThreadsOption = 1,
    shard: ShardOption = None,
    cluster: ClusterOption = "",
    format: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare learners over sequences of data sets. Every baseline is shown side by side."""
    output.hush(quiet)
    if is_listed:
        return _list(data, learners, format)
    if suite == COLLECT:
        _check_collect(context)
        return _collect(folders or [], {"data": data, "out": out, "bundle": bundle}, per_class, format)
    name, data, out = _needed(suite, folders, data, out)
    with needs("eval"):
        from edge_nusa.research.learners import catalogue
        from edge_nusa.research.protocol import material, shards, suites

    chosen, several = tuple(catalogue.chosen(learners)), numbers(shots, "--shots")
    settings = material.Settings(suite=name, data=data, out=out, learners=chosen, shots=several, seeds=seeds)
    named = tuple(one.strip() for one in (sets or "").split(",") if one.strip())
    settings = replace(settings, order=order or ("random:10" if suite == "orders" else "given"), sets=named)
    settings = replace(settings, steps_of_classes=numbers(class_steps, "--class-steps"), test_limit=test_limit)
    settings = replace(settings, first_seed=first_seed, steps=steps, rate=rate, image_blocks=image_blocks)
    settings = replace(settings, naming=naming, bundle=bundle, cache=cache, per_class=per_class, never=never)
    settings = replace(settings, shard=shards.Shard.parsed(shard) if shard else None, jobs=jobs, threads=threads)
    files = suites.evaluate(replace(settings, cluster=cluster), output.progress_bar(quiet))
    kept.part(f"the results are in {out}")
    _print(out, files, format) if files else _print_shard(out, shard, format)


def _needed(
    suite: str | None, folders: list[Path] | None, data: Path | None, out: Path | None
) -> tuple[Literal["mtil", "cil"], Path, Path]:
    """What a run cannot do without. Raises UsageError for what is missing, and for what only `collect` takes."""
    if suite is None or data is None or out is None:
        given = {f"a suite ({', '.join(SUITES)})": suite, "--data DIR": data, "--out DIR": out}
        missing = " and ".join(name for name, value in given.items() if value is None)
        raise UsageError(f"eval: expected {missing}, found none; `edge-nusa eval --list` shows what there is")
    if folders:
        raise UsageError(
            f"eval {shown(suite)}: expected nothing behind the suite, found {shown(str(folders[0]))}; only `eval "
            "collect` takes folders, and --data names that of the data sets"
        )
    return _suite(suite), data, out


def _check_collect(context: typer.Context) -> None:
    """Raises UsageError for an option that is about runs to be done."""
    wrong = next((option for name, option in configured.said(context).items() if name not in OF_COLLECT), None)
    if wrong:
        raise UsageError(
            f"eval collect: expected no {wrong} beside it, since it takes all runs that are there and does none; leave "
            f"{wrong} out, or name a suite ({', '.join(SUITES)})"
        )


def _collect(
    folders: list[Path], named: Mapping[str, Path | None], per_class: bool, format: output.Format | None
) -> None:
    """named: the folders that options name, or None."""
    out = named["out"]
    if out is None:
        raise UsageError(
            "eval collect: expected --out DIR, found none; name the folder of the runs, or the one that all go into"
        )
    with needs("eval"):
        from edge_nusa.research.protocol import collecting

    found = collecting.collect(folders, out, per_class)
    kept.part(f"the results are in {out}")
    _print(out, found.files, format)
    if found.missing:
        places = {name: "DIR" if path is None else str(path) for name, path in named.items()}
        raise InputError(collecting.lacking(found, places))


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


def _print_shard(out: Path, shard: str | None, format: output.Format | None) -> None:
    text = f"shard {shard} is done; `edge-nusa eval collect --out {shlex.quote(str(out))}` writes the results of all"
    output.show({"shard": shard, "out": str(out)}, text, format)


def _read(path: Path) -> str:
    from edge_nusa.files.durable import explained, read_at_most

    with explained(f"read {path}"):
        return read_at_most(path, LARGEST_RESULTS_BYTES).decode()
