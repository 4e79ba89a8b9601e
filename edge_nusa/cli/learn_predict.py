"""`learn` and `predict`."""

from __future__ import annotations

import glob
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.options import (
    BundleOption,
    FormatOption,
    LabelsOption,
    MemoryOption,
    OfferedOption,
    QuietOption,
    StateOption,
    ThreadsOption,
)
from edge_nusa.errors import InputError, UsageError

if TYPE_CHECKING:
    from edge_nusa.device.learning.report import LearnReport
LONGEST_PATH = 4095
"""Bytes of a path that Linux takes (PATH_MAX, less the end)."""


def memory_bytes(text: str | None, option: str = "--max-memory") -> int | None:
    """`512M`, `1G`, `300K` or plain bytes. Raises UsageError for anything else."""
    if text is None:
        return None
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    number, unit = (text[:-1], units[text[-1].upper()]) if text and text[-1].upper() in units else (text, 1)
    if not number.isascii() or not number.isdigit() or len(number) > 15 or int(number) == 0:
        raise UsageError(f"{option}: expected a size such as 512M or 1G, got {text!r}")
    return int(number) * unit


def learn(
    images: Annotated[
        Optional[Path],
        typer.Option("--images", help="A folder of pictures (or one picture) of the label.", show_default=False),
    ] = None,
    label: Annotated[Optional[str], typer.Option("--label", help="What the pictures show.", show_default=False)] = None,
    dataset: Annotated[
        Optional[Path],
        typer.Option(
            "--dataset",
            help="Instead of both: a folder with a sub-folder for each label; %2F in its name is a slash.",
            show_default=False,
        ),
    ] = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    recipe: Annotated[
        str, typer.Option(help="`device` (text tower in the null space, plus the head) or `paper` (as published).")
    ] = "device",
    template: Annotated[
        Optional[str], typer.Option(help="A prompt for these labels, with {} for the label.", show_default=False)
    ] = None,
    steps: Annotated[
        Optional[int],
        typer.Option(min=1, max=100_000, help="Training steps; the recipe's where none are given.", show_default=False),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Same seed, same machine: the same result, bit for bit.")
    ] = 0,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge, but change nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Commit even where the judge refuses.")] = False,
    format: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Teach a label from pictures, judge the result, and keep it."""
    from edge_nusa.device.learning import task as tasks
    from edge_nusa.device.learning.learn import LearnSettings
    from edge_nusa.device.workplace import Workplace
    from edge_nusa.knowledge.recipes import recipe_named

    output.hush(quiet)
    chosen = recipe_named(recipe)
    settings = LearnSettings(
        recipe=replace(chosen, steps=steps or chosen.steps),
        seed=seed,
        template=template,
        is_forced=force,
        is_dry_run=dry_run,
    )
    if (dataset is None) == (images is None) or (images is None) != (label is None):
        raise UsageError("learn: expected either --images DIR with --label NAME, or --dataset DIR")
    workplace = Workplace.open(bundle, state, threads, memory_bytes(max_memory))
    task = tasks.folder_per_label(dataset) if dataset is not None else tasks.one_label(images or Path(), label or "")
    report = workplace.teach(task, settings, output.progress_bar(quiet))
    if output.chosen(format) is output.Format.JSON:
        output.emit_json(report.to_json())
    else:
        _print_report(report)


def _print_report(report: LearnReport) -> None:
    from edge_nusa.device.learning.judge import LITTLE_APART
    from edge_nusa.knowledge.labels import listed, quoted

    rows = [
        [row.label, str(row.images), output.percent(row.accuracy_before), output.percent(row.accuracy_after)]
        for row in report.labels
    ]
    output.emit(output.table(rows, ["label", "pictures", "before", "after"]))
    kept, old = report.retention, ""
    if kept.old_labels_cosine is not None:
        old = f"; labels known before moved to cosine {kept.old_labels_cosine:.3f} at most"
    output.emit(f"kept: {kept.vocabulary_agreement:.1f} % of the vocabulary means what it meant{old}")
    for entry in report.quarantined:
        output.emit(f"set aside: {entry.image}: {entry.reason}")
    for row in report.labels:
        if row.told_apart_errors is not None and row.told_apart_errors < LITTLE_APART:
            output.emit(
                f"{quoted(row.label)} is hardly told apart from {quoted(row.closest or '')}: more pictures, or is it "
                "one thing under two names?"
            )
    few = [row.label for row in report.labels if row.images < 10]
    if few:
        output.emit(f"more pictures would help: {listed(few)} (10 to 20 are a good number)")
    done = "dry run, nothing was changed" if report.dry_run else f"generation {report.generation}"
    memory = f"peak memory {report.peak_rss_bytes / 2**20:.0f} MiB"
    output.emit(f"{done}; {report.seconds:.1f} s, {memory}, judged by {report.judged_by}")


def predict(
    images: Annotated[
        list[str], typer.Argument(help="Pictures, folders or patterns; `-` reads paths from stdin, one a line.")
    ],
    labels: LabelsOption = None,
    label: OfferedOption = None,
    top: Annotated[
        Optional[int], typer.Option(min=1, help="Only so many labels a picture.", show_default=False)
    ] = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = 0,
    format: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Say what pictures show: what was taught, and with --label or --labels anything that has a name."""
    from edge_nusa.device.asking.predict import Predictor
    from edge_nusa.device.workplace import Workplace
    from edge_nusa.knowledge.labels import offered
    from edge_nusa.pictures.names import ENDINGS
    from edge_nusa.pictures.pictures import Quarantined, printable

    others = offered(labels, label or [])
    predictor = Predictor(Workplace.opening(bundle, state, threads, memory_bytes(max_memory)), others)
    paths, set_aside = _paths(images)
    is_json, count = output.chosen(format) is output.Format.JSON, 0
    for result in predictor(paths, top):
        if isinstance(result, Quarantined):
            set_aside.append(result)
            continue
        count += 1
        if is_json:
            output.emit_json({**result, "image": printable(result["image"])})
        else:
            best = output.answers(result["labels"][: top or 3])
            output.emit(
                f"{printable(result['image'])}: {best}" + (" (unlike anything taught)" if result["unknown"] else "")
            )
    if count == 0:
        why = "; ".join(f"{entry.image}: {entry.reason}" for entry in set_aside[:3]) or "nothing was given"
        raise InputError(f"no readable picture ({why}); expected {ENDINGS} files")
    for entry in set_aside:
        if not quiet:
            output.note(f"set aside: {entry.image}: {entry.reason}")


def _paths(arguments: list[str]) -> tuple[list[Path], list[Any]]:
    """Files of all arguments in order; folders and patterns are expanded, `-` reads stdin."""
    from edge_nusa.pictures.pictures import Quarantined, find_pictures, printable

    names = [name for a in arguments for name in (_stdin_lines() if a == "-" else [a])]
    paths: list[Path] = []
    set_aside: list[Any] = []
    for name in filter(None, names):
        matches = _matches(name)
        if not matches:
            set_aside.append(Quarantined(printable(name), "the pattern matches no file"))
        for match in matches:
            try:
                found, bad = find_pictures(match)
            except InputError as error:
                found, bad = [], [Quarantined(printable(match), str(error).removeprefix(f"{printable(match)}: "))]
            paths += found
            set_aside += bad
    return paths, set_aside


def _matches(name: str) -> list[Path]:
    """The path itself, or what a pattern matches."""
    if not glob.has_magic(name) or os.path.lexists(name):
        return [Path(name)]
    try:
        return [Path(match) for match in sorted(glob.glob(name))]
    except (ValueError, re.error, RecursionError) as error:
        raise InputError(f"{name[:200]!r}: expected a path or a pattern, found {error}; check it") from error


def _stdin_lines() -> list[str]:
    """File names on stdin, one a line, in any bytes that a file name may have. Raises InputError where they are
    none, as pictures."""
    if sys.stdin is None:
        raise InputError("-: expected paths on stdin, found it closed; name the pictures instead")
    names = []
    while line := sys.stdin.buffer.readline(LONGEST_PATH + 2):
        name = line.rstrip(b"\n")
        if b"\0" in name or len(name) > LONGEST_PATH:
            raise InputError(
                "-: expected paths on stdin, one a line, found something else; give a picture by its path: edge-nusa "
                "predict picture.jpg"
            )
        names.append(os.fsdecode(name))
    return names
