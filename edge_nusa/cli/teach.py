"""The command `teach`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from edge_nusa.cli import output, signals
from edge_nusa.cli.options import (
    BundleOption,
    FormatOption,
    MemoryOption,
    StateOption,
    ThreadsOption,
    memory_bytes,
    needs,
)


def teach(
    lan: Annotated[
        bool, typer.Option("--lan", help="Also for others in this network, who need the token that is printed.")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where it listens; 0 is any free one.")] = 8642,
    bundle: BundleOption = None,
    state: StateOption = None,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = 0,
    format: FormatOption = None,
) -> None:
    """Teach, ask and correct on a page in the browser, from this board or a phone."""
    with needs("teach", "page"):
        from edge_nusa.device.teaching.served import Wanted, serve

    from edge_nusa.device.model import Model

    wanted = Wanted(port=port, is_lan=lan, token=os.environ.get("EDGE_NUSA_TOKEN"))
    with serve(Model.open(bundle, state, threads, memory_bytes(max_memory)), wanted) as served:
        signals.before_end(served.stop)
        output.show(served.address, served.address.words, format)
        served.wait()
