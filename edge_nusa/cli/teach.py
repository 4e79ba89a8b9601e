"""The command `teach`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from edge_nusa.cli import output, signals
from edge_nusa.cli.options import (
    BundleOption,
    FormatOption,
    MemoryOption,
    ProviderOption,
    StateOption,
    ThreadsOption,
    memory_bytes,
    needs,
    noted,
)


def teach(
    lan: Annotated[
        bool, typer.Option("--lan", help="Also for others in this network, who need the token that is printed.")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where it listens; 0 is any free one.")] = 8642,
    camera: Annotated[
        Optional[str],
        typer.Option(
            "--camera",
            metavar="SOURCE",
            help="The board's camera on the page: /dev/video0, rtsp://..., http://... (MJPEG), picamera, a video file.",
            show_default=False,
        ),
    ] = None,
    login: Annotated[
        Optional[Path],
        typer.Option(
            "--login",
            metavar="FILE",
            help="A file with the camera's `user:password`; or set EDGE_NUSA_CAMERA_LOGIN to them.",
            show_default=False,
        ),
    ] = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = 0,
    provider: ProviderOption = "cpu",
    format: FormatOption = None,
) -> None:
    """Teach, ask and correct on a page in the browser. With --lan from a phone too."""
    with needs("teach", "page"):
        from edge_nusa.device.teaching.served import Wanted, serve

    from edge_nusa.device.camera.login import login_of
    from edge_nusa.device.model import Model

    wanted = Wanted(port, lan, os.environ.get("EDGE_NUSA_TOKEN"), camera, login_of(login, os.environ))
    model = noted(Model.open(bundle, state, threads, memory_bytes(max_memory), provider))
    with serve(model, wanted) as served:
        signals.before_end(served.stop)
        output.show(served.address, served.address.words, format)
        served.wait()
