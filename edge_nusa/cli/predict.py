"""The command `predict`."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import named, output
from edge_nusa.cli.options import (
    BundleOption,
    FormatOption,
    LabelsOption,
    MemoryOption,
    OfferedOption,
    ProviderOption,
    QuietOption,
    StateOption,
    ThreadsOption,
    memory_bytes,
    noted,
)
from edge_nusa.errors import InputError

if TYPE_CHECKING:
    from edge_nusa.device.asking.predict import Prediction
    from edge_nusa.pictures.picture import Picture
    from edge_nusa.pictures.pictures import Quarantined


def predict(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURES",
            help="Pictures, folders or patterns; `-` is stdin: a picture, or paths of pictures, one a line.",
        ),
    ],
    labels: LabelsOption = None,
    label: OfferedOption = None,
    top: Annotated[
        Optional[int], typer.Option(min=1, help="Only so many labels a picture.", show_default=False)
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 where any picture was not answered; by itself where none was.")
    ] = False,
    bundle: BundleOption = None,
    state: StateOption = None,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = 0,
    provider: ProviderOption = "cpu",
    format: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Say what pictures show. It is what was taught, and with --label or --labels anything that has a name."""
    from edge_nusa.device.model import Model
    from edge_nusa.knowledge.labels import offered

    others = offered(labels, label or [])
    model = noted(Model.opening(bundle, state, threads, memory_bytes(max_memory), provider), quiet)
    pictures, set_aside = _given(images)
    told = _Told(format, top or 3)
    results = model.stream(pictures, others, top)
    for result in chain(set_aside, results):
        told(result)
    if not quiet and told.answered:
        told.notes()
    told.check(strict)


class _Told:
    """What was said: an answer a picture, and of each that has none why, a program in its place, a person at the
    end."""

    def __init__(self, format: output.Format | None, most: int) -> None:
        self.format, self.most = format, most
        self.answered = 0
        self.set_aside: list[Quarantined] = []

    def __call__(self, result: Prediction | Quarantined) -> None:
        from edge_nusa.pictures.pictures import Quarantined, printable

        if isinstance(result, Quarantined):
            self.set_aside.append(result)
            if output.chosen(self.format) is output.Format.JSON:
                output.emit_json({"image": result.image, "reason": result.reason})
            return
        self.answered += 1
        found = replace(result, image=printable(result.image))
        output.show(found, f"{found.image}: {found.words(self.most)}", self.format)

    def notes(self) -> None:
        """On stderr, the pictures that have no answer."""
        for entry in self.set_aside:
            output.note(f"set aside: {entry.image}: {entry.reason}")

    def check(self, is_strict: bool) -> None:
        """Raises InputError where no picture was answered, or not all of them and is_strict."""
        from edge_nusa.pictures.names import ENDINGS

        why = "; ".join(f"{entry.image}: {entry.reason}" for entry in self.set_aside[:3]) or "nothing was given"
        if not self.answered:
            raise InputError(f"no readable picture ({why}); expected {ENDINGS} files")
        if is_strict and self.set_aside:
            of_all = f"{len(self.set_aside)} of {self.answered + len(self.set_aside)}"
            raise InputError(f"--strict: expected an answer to every picture, found none to {of_all} ({why})")


def _given(names: list[str]) -> tuple[list[Path | Picture], list[Quarantined]]:
    """The pictures that were named, in order, those of folders, patterns and stdin in their places; and what was set
    aside."""
    from edge_nusa.pictures.picture import Picture

    pictures: list[Path | Picture] = []
    set_aside: list[Quarantined] = []
    for name in names:
        found = named.on_stdin() if name == named.STDIN else [name]
        if isinstance(found, bytes):
            pictures.append(Picture(found, named.STDIN))
            continue
        for one in filter(None, found):
            _add(one, pictures, set_aside)
    return pictures, set_aside


def _add(name: str, pictures: list[Path | Picture], set_aside: list[Quarantined]) -> None:
    """What a path or a pattern names, or why it names nothing."""
    from edge_nusa.pictures.pictures import Quarantined, find_pictures, printable

    try:
        places = named.matches(name)
    except InputError as error:
        set_aside.append(Quarantined(printable(name), str(error).removeprefix(f"{printable(name)}: ")))
        return
    for place in places:
        try:
            found, bad = find_pictures(place)
        except InputError as error:
            found, bad = [], [Quarantined(printable(place), str(error).removeprefix(f"{printable(place)}: "))]
        pictures += found
        set_aside += bad
