"""The command `watch`."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import configured, output, signals, telling
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
from edge_nusa.cli.watch_lines import sink_of
from edge_nusa.errors import UsageError

if TYPE_CHECKING:
    from edge_nusa.device.model import Model
    from edge_nusa.device.watching.camera_watch import CameraWatch
    from edge_nusa.device.watching.line import Sink
    from edge_nusa.device.watching.settings import AskSettings, WatchSettings
    from edge_nusa.device.watching.uncertain import UncertainFolder
    from edge_nusa.device.watching.watch import Watch

KEPT, OF_FOLDER, OF_CAMERA = "Pictures worth a label", "Where it is a folder", "Where it is a camera"
"""Groups of options."""


def watch(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder that pictures appear in, searched to its depths; or a camera: /dev/video0, rtsp://..., "
            "http://... (MJPEG), picamera, or a video file.",
        ),
    ],
    out: Annotated[
        Optional[Path],
        typer.Option("--out", help="Add JSON lines to this file instead of printing them.", show_default=False),
    ] = None,
    every: Annotated[float, typer.Option(min=0.05, max=86400, help="Seconds between two looks, or two frames.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Answer what is there, or one frame, and end.")] = False,
    agree: Annotated[
        int,
        typer.Option(min=1, max=1000, help="Say only changes, each when so many answers in a row agree on it."),
    ] = 1,
    login: Annotated[
        Optional[Path],
        typer.Option(
            "--login",
            metavar="FILE",
            help="A file with the camera's `user:password`; or set EDGE_NUSA_CAMERA_LOGIN to them.",
            show_default=False,
            rich_help_panel=OF_CAMERA,
        ),
    ] = None,
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
        bool, typer.Option("--delete", help="Delete each picture that was answered.", rich_help_panel=OF_FOLDER)
    ] = False,
    ledger: Annotated[
        Optional[Path],
        typer.Option(
            "--ledger",
            help="What was answered already; a file in the state's folder where none is given.",
            show_default=False,
            rich_help_panel=OF_FOLDER,
        ),
    ] = None,
    mqtt: telling.MqttOption = None,
    mqtt_password_file: telling.PasswordFileOption = None,
    mqtt_name: telling.NameOption = None,
    mqtt_ca: telling.AuthorityOption = None,
    metrics: telling.MetricsOption = None,
    metrics_port: telling.MetricsPortOption = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = 0,
    provider: ProviderOption = "cpu",
    format: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Answer pictures as they appear in a folder or on a camera. Answers are JSON lines."""
    from edge_nusa.device.camera.source import is_camera, told_as, without_login
    from edge_nusa.device.model import Model
    from edge_nusa.device.opened import default_folder
    from edge_nusa.device.watching import changing_bundle
    from edge_nusa.device.watching.settings import WatchSettings
    from edge_nusa.knowledge.labels import offered

    of_camera = is_camera(source)
    folder = Path(without_login(source) if of_camera else source)
    _check(context, of_camera)
    note = (lambda text: None) if quiet else output.note
    place = bundle or default_folder("bundle")
    opening = partial(Model.open, place, state, threads, memory_bytes(max_memory), provider)
    model = changing_bundle.whole(place, lambda: noted(opening(), quiet), note, not once and place.is_dir())
    settings = WatchSettings(folder=folder, others=offered(labels, label or []), top=top, seconds=every)
    settings = replace(settings, deletes=delete and not of_camera, agree=1 if of_camera and once else agree)
    uncertain = _uncertain(None if of_camera else folder, keep, keep_most, keep_bytes, keep_below)
    words = telling.MqttWords(mqtt, mqtt_password_file, mqtt_name, mqtt_ca), telling.MetricsWords(metrics, metrics_port)
    watched = told_as(source) if of_camera else folder
    with telling.beside(sink_of(out, format), *words, watched, model.state.folder, note) as sink:
        chosen = login if of_camera else ledger
        watcher = (_of_camera if of_camera else _of_folder)(source, chosen, model, settings, sink, uncertain)
        signals.before_end(watcher.stop)
        watcher.once() if once else watcher.run(note)


def _check(context: typer.Context, of_camera: bool) -> None:
    """Raises UsageError for options that do not go together. What a settings file says of the other kind of source is
    for another day."""
    given = {name for name, value in context.params.items() if value and not configured.is_of_file(context, name)}
    wrong = next((name for name in ("delete", "ledger") if name in given), None)
    if of_camera and wrong:
        raise UsageError(f"--{wrong} is for a folder, and SOURCE is a camera; leave it out")
    if of_camera and context.params["once"] and "agree" in given and context.params["agree"] > 1:
        raise UsageError("--once answers one frame, with which no other can --agree; leave one of them out")
    if "login" in given and not of_camera:
        raise UsageError("--login is for a camera, and SOURCE is a folder; leave it out")


def _of_folder(
    source: str, ledger: Path | None, model: Model, settings: WatchSettings, sink: Sink, kept: UncertainFolder | None
) -> Watch:
    """The watch of a folder, with its ledger. Raises what `Ledger` raises."""
    from edge_nusa.device.watching.ledger import Ledger, default_path
    from edge_nusa.device.watching.watch import Watch

    answered = Ledger(ledger) if ledger else Ledger.own(default_path(model.state.folder, Path(source)))
    return Watch(model, settings, answered, sink, kept)


def _of_camera(
    source: str, login: Path | None, model: Model, settings: AskSettings, sink: Sink, kept: UncertainFolder | None
) -> CameraWatch:
    """The watch of a camera, which opens now. Raises what `open_camera` and `login_of` raise."""
    from edge_nusa.device.camera.camera import open_camera
    from edge_nusa.device.camera.frame import CameraSettings
    from edge_nusa.device.camera.login import login_of
    from edge_nusa.device.watching.camera_watch import CameraWatch

    camera = open_camera(source, CameraSettings(seconds=settings.seconds, login=login_of(login, os.environ)))
    return CameraWatch(model, settings, camera, sink, kept)


def _uncertain(
    folder: Path | None, keep: Path | None, most: int, keep_bytes: str, below: float
) -> UncertainFolder | None:
    """The folder of --keep, made. Raises UsageError where it is inside the folder that is watched."""
    from edge_nusa.device.watching.uncertain import UncertainFolder, UncertainSettings

    most_bytes = memory_bytes(keep_bytes, "--keep-bytes") or 1
    if keep is None:
        return None
    if folder is not None and keep.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--keep: expected a folder outside {folder}, found {keep}; what is kept there would be answered again"
        )
    return UncertainFolder(UncertainSettings(keep, most, most_bytes, below))
