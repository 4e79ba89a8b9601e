"""The command `watch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output, signals, telling
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
from edge_nusa.errors import UsageError

if TYPE_CHECKING:
    from edge_nusa.device.watching.line import Line, Sink
    from edge_nusa.device.watching.uncertain import UncertainFolder
    from edge_nusa.files.json_lines import JsonLines

KEPT = "Pictures worth a label"
"""A group of options."""


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder that pictures appear in, searched to its depths.")
    ],
    out: Annotated[
        Optional[Path],
        typer.Option("--out", help="Add JSON lines to this file instead of printing them.", show_default=False),
    ] = None,
    every: Annotated[float, typer.Option(min=0.05, max=86400, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Answer what is there and end.")] = False,
    labels: LabelsOption = None,
    label: OfferedOption = None,
    top: Annotated[
        Optional[int], typer.Option(min=1, help="Only so many labels a picture.", show_default=False)
    ] = None,
    keep: Annotated[
        Optional[Path],
        typer.Option(
            "--keep",
            help="Copy uncertain pictures into this folder, to label them later; none are kept without it.",
            show_default=False,
            rich_help_panel=KEPT,
        ),
    ] = None,
    keep_most: Annotated[
        int, typer.Option("--keep-most", min=1, help="So many pictures at most; the oldest goes.", rich_help_panel=KEPT)
    ] = 200,
    keep_bytes: Annotated[
        str,
        typer.Option("--keep-bytes", metavar="SIZE", help="So many bytes at most, such as 200M.", rich_help_panel=KEPT),
    ] = "200M",
    keep_below: Annotated[
        float,
        typer.Option(
            "--keep-below",
            min=0,
            max=1,
            help="Uncertain: a best probability under this, or none of what was taught.",
            rich_help_panel=KEPT,
        ),
    ] = 0.6,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete each picture that was answered.", rich_help_panel="The folder")
    ] = False,
    ledger: Annotated[
        Optional[Path],
        typer.Option(
            "--ledger",
            help="What was answered already; a file in the state's folder where none is given.",
            show_default=False,
            rich_help_panel="The folder",
        ),
    ] = None,
    mqtt: telling.MqttOption = None,
    mqtt_password_file: telling.PasswordFileOption = None,
    mqtt_name: telling.NameOption = None,
    mqtt_ca: telling.AuthorityOption = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = 0,
    format: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Answer the pictures that appear in a folder, each once. Answers are JSON lines."""
    from edge_nusa.device.model import Model
    from edge_nusa.device.watching import changing_bundle
    from edge_nusa.device.watching import watch as watching
    from edge_nusa.device.watching.ledger import Ledger, default_path
    from edge_nusa.knowledge.labels import offered
    from edge_nusa.model.bundle import embedded_bundle

    note = (lambda text: None) if quiet else output.note
    budget, place = memory_bytes(max_memory), bundle or embedded_bundle()
    waits = not once and place.is_dir()
    model = changing_bundle.whole(place, lambda: Model.open(place, state, threads, budget), note, waits)
    settings = watching.WatchSettings(
        folder=folder, others=offered(labels, label or []), top=top, seconds=every, deletes=delete
    )
    answered = Ledger(ledger) if ledger else Ledger.own(default_path(model.state.folder, folder))
    uncertain = _uncertain(folder, keep, keep_most, memory_bytes(keep_bytes, "--keep-bytes") or 1, keep_below)
    broker = telling.MqttWords(mqtt, mqtt_password_file, mqtt_name, mqtt_ca)
    with telling.beside(_sink(out, format), broker, folder, model.state.folder, note) as sink:
        watcher = watching.Watch(model, settings, answered, sink, uncertain)
        signals.before_end(watcher.stop)
        watcher.once() if once else watcher.run(note)


def _sink(out: Path | None, format: output.Format | None) -> Sink:
    """Where lines go: into --out, or onto stdout."""
    from edge_nusa.files.json_lines import JsonLines

    return _Written(JsonLines(out)) if out is not None else _Printed(format)


def _uncertain(folder: Path, keep: Path | None, most: int, most_bytes: int, below: float) -> UncertainFolder | None:
    """The folder of --keep, made. Raises UsageError where it is inside the folder that is watched."""
    from edge_nusa.device.watching.uncertain import UncertainFolder, UncertainSettings

    if keep is None:
        return None
    if keep.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--keep: expected a folder outside {folder}, found {keep}; what is kept there would be answered again"
        )
    return UncertainFolder(UncertainSettings(keep, most, most_bytes, below))


class _Written:
    """Lines in a file, as JSON."""

    def __init__(self, file: JsonLines) -> None:
        self.file = file

    def write(self, line: Line) -> None:
        self.file.write(line.to_json())

    def sync(self) -> None:
        """What was written survives a power cut."""
        self.file.sync()


class _Printed:
    """Lines on stdout, as JSON or for people."""

    def __init__(self, format: output.Format | None) -> None:
        self.format = format

    def write(self, line: Line) -> None:
        output.show(line, lambda: _words(line), self.format)

    def sync(self) -> None:
        """Nothing: every line is flushed."""


def _words(line: Line) -> str:
    from edge_nusa.device.watching.line import SetAside

    if isinstance(line, SetAside):
        return f"{line.image}: set aside: {line.reason}"
    found = line.prediction
    copied = f"; kept as {line.kept}" if line.kept else ""
    return f"{found.image}: {found.words(3)}{copied}"
