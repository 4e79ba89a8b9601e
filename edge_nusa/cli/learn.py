"""The command `learn`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import completion, learned, output, pictures_and_label
from edge_nusa.cli.options import (
    BundleOption,
    FormatOption,
    MemoryOption,
    ProviderOption,
    QuietOption,
    StateOption,
    ThreadsOption,
    memory_bytes,
    noted,
)

if TYPE_CHECKING:
    from edge_nusa.device.learning.report import LearnReport
    from edge_nusa.device.model import Model

LESSON = "The lesson"
"""A group of options."""


def learn(
    pictures: Annotated[
        Optional[list[str]],
        typer.Argument(
            metavar="PICTURES",
            help="Folders, pictures, or patterns such as 'mugs/*.jpg'; where no --label is given, the last word is "
            "the label.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        Optional[str],
        typer.Option(
            "--label",
            metavar="NAME",
            help="What the pictures show.",
            show_default=False,
            autocompletion=completion.labels,
        ),
    ] = None,
    dataset: Annotated[
        Optional[Path],
        typer.Option(
            "--dataset",
            metavar="DIR",
            help="Instead of both: a folder with a sub-folder for each label; %2F in its name is a slash.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        Optional[list[str]],
        typer.Option(
            "--images",
            metavar="PICTURES",
            help="The same as PICTURES; may be repeated, and then needs --label.",
            show_default=False,
        ),
    ] = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="`device` (the head, then the text tower in the null space) or `paper` (as published).",
            autocompletion=completion.recipes,
            rich_help_panel=LESSON,
        ),
    ] = "device",
    template: Annotated[
        Optional[str],
        typer.Option(
            help="A prompt for these labels, with {} for the label.", show_default=False, rich_help_panel=LESSON
        ),
    ] = None,
    steps: Annotated[
        Optional[int],
        typer.Option(
            min=1,
            max=100_000,
            help="Training steps; the recipe's where none are given.",
            show_default=False,
            rich_help_panel=LESSON,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**63 - 1, help="Same seed, same machine: the same result, bit for bit.", rich_help_panel=LESSON
        ),
    ] = 0,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = 0,
    provider: ProviderOption = "cpu",
    head_only: Annotated[
        bool,
        typer.Option(
            "--head-only",
            help="Teach the head alone: at once, in less memory, and without torch.",
            rich_help_panel=LESSON,
        ),
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Teach files once more that were taught before.", rich_help_panel=LESSON)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Judge, but change nothing.", rich_help_panel=LESSON)
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Commit even where the judge refuses.", rich_help_panel=LESSON)
    ] = False,
    format: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Teach a label from pictures, judge the result, and keep it."""
    from edge_nusa.device.learning import task as tasks
    from edge_nusa.device.learning.given import settings_of
    from edge_nusa.device.model import Model

    output.hush(quiet)
    settings = settings_of(
        recipe=recipe,
        steps=steps,
        seed=seed,
        template=template,
        force=force,
        again=again,
        dry_run=dry_run,
        head_only=head_only,
    )
    given = pictures_and_label.told(pictures or [], images or [], label, dataset)
    model = noted(Model.open(bundle, state, threads, memory_bytes(max_memory), provider), quiet)
    task = tasks.folder_per_label(given) if isinstance(given, Path) else tasks.one_label(*given)
    with _refused_shown(model, format):
        report = model.teach(task, settings, output.progress_bar(quiet), _telling(format, quiet))
        _show(report, model, format)


@contextmanager
def _refused_shown(model: Model, format: Optional[output.Format]) -> Iterator[None]:
    """Shows what was judged of a lesson that the judge refuses, before the refusal is told."""
    from edge_nusa.device.learning.report import LessonRefusedError

    try:
        yield
    except LessonRefusedError as refused:
        _show(refused.report, model, format)
        raise


def _show(report: LearnReport, model: Model, format: Optional[output.Format]) -> None:
    told = [*(learned.waiting(report) if model.is_in_fleet else ()), output.where(model.places)]
    output.show({**report.to_json(), **model.places}, lambda: "\n".join([*learned.lines(report), *told]), format)


def _telling(format: Optional[output.Format], quiet: bool) -> Callable[[LearnReport], None]:
    """Tells a person at once that the head knows the labels; a program gets one object at the end."""

    def tell(report: LearnReport) -> None:
        if not quiet and output.chosen(format) is output.Format.HUMAN:
            output.emit(learned.known_now(report))

    return tell
