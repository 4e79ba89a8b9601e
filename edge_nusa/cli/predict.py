"""The command `predict`."""

from __future__ import annotations

import glob
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

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
    memory_bytes,
)
from edge_nusa.errors import InputError

if TYPE_CHECKING:
    from edge_nusa.device.asking.predict import Prediction
    from edge_nusa.pictures.pictures import Quarantined


LONGEST_PATH = 4095
"""Bytes of a path that Linux takes (PATH_MAX, less the end)."""


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
    """Say what pictures show. It is what was taught, and with --label or --labels anything that has a name."""
    from edge_nusa.device.model import Model
    from edge_nusa.knowledge.labels import offered
    from edge_nusa.pictures.pictures import Quarantined, printable

    others = offered(labels, label or [])
    model = Model.opening(bundle, state, threads, memory_bytes(max_memory))
    (paths, set_aside), answered = _paths(images), 0
    for result in model.stream(paths, others, top):
        if isinstance(result, Quarantined):
            set_aside.append(result)
            continue
        answered += 1
        _show(replace(result, image=printable(result.image)), top or 3, format)
    if not answered:
        raise _nothing_readable(set_aside)
    for entry in () if quiet else set_aside:
        output.note(f"set aside: {entry.image}: {entry.reason}")


def _show(found: Prediction, most: int, format: output.Format | None) -> None:
    output.show(found, f"{found.image}: {found.words(most)}", format)


def _nothing_readable(set_aside: list[Quarantined]) -> InputError:
    from edge_nusa.pictures.names import ENDINGS

    why = "; ".join(f"{entry.image}: {entry.reason}" for entry in set_aside[:3]) or "nothing was given"
    return InputError(f"no readable picture ({why}); expected {ENDINGS} files")


def _paths(arguments: list[str]) -> tuple[list[Path], list[Quarantined]]:
    """Files of all arguments in order; folders and patterns are expanded, `-` reads stdin."""
    from edge_nusa.files.foreign import why
    from edge_nusa.pictures.pictures import Quarantined, find_pictures, printable

    names = [name for a in arguments for name in (_stdin_lines() if a == "-" else [a])]
    paths: list[Path] = []
    set_aside: list[Quarantined] = []
    for name in filter(None, names):
        try:
            matches, fault = _matches(name), "the pattern matches no file"
        except (ValueError, re.error, RecursionError) as error:
            matches, fault = [], f"expected a path or a pattern, found {why(error)}; check it"
        if not matches:
            set_aside.append(Quarantined(printable(name), fault))
        for match in matches:
            try:
                found, bad = find_pictures(match)
            except InputError as error:
                found, bad = [], [Quarantined(printable(match), str(error).removeprefix(f"{printable(match)}: "))]
            paths += found
            set_aside += bad
    return paths, set_aside


def _matches(name: str) -> list[Path]:
    """The path itself, or what a pattern matches. Raises ValueError, re.error or RecursionError for a pattern that
    is none."""
    if not glob.has_magic(name) or os.path.lexists(name):
        return [Path(name)]
    return [Path(match) for match in sorted(glob.glob(name))]


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
