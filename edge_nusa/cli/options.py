"""The commands' options and help. Each parses, makes one library call and prints; libraries are imported when
called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from edge_nusa.cli.output import Format

BundleOption = Annotated[
    Optional[Path],
    typer.Option(
        "--bundle",
        envvar="EDGE_NUSA_BUNDLE",
        help="The exported bundle; the embedded `micro` where none is given.",
        show_default=False,
    ),
]
StateOption = Annotated[
    Optional[Path],
    typer.Option(
        "--state",
        envvar="EDGE_NUSA_STATE",
        help="The folder of what was learned; your user data folder where none is given.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    Optional[Format],
    typer.Option(
        "--format",
        envvar="EDGE_NUSA_FORMAT",
        help="`human`, or `json` for programs; by itself human on a terminal, else json.",
        show_default=False,
    ),
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", envvar="EDGE_NUSA_THREADS", min=0, max=1024, help="Processor threads; 0 means all.")
]
MemoryOption = Annotated[
    Optional[str],
    typer.Option(
        "--max-memory", envvar="EDGE_NUSA_MAX_MEMORY", help="Bound of memory, such as 512M or 1G.", show_default=False
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]


def register(app: typer.Typer) -> None:
    """Add every command to the app, in the order of a first use."""
    from edge_nusa.cli import bench as benching
    from edge_nusa.cli import eval as evaluating
    from edge_nusa.cli import export_demo as making
    from edge_nusa.cli import hub, state
    from edge_nusa.cli import learn_predict as learning
    from edge_nusa.cli import sync as syncing
    from edge_nusa.cli import watch as watching

    for command in (
        making.demo,
        making.export,
        learning.learn,
        learning.predict,
        watching.watch,
        state.labels,
        state.forget,
        state.undo,
        state.history,
        state.report,
        state.status,
        state.doctor,
        benching.bench,
        evaluating.evaluate,
    ):
        app.command(
            NAMES.get(command.__name__),
            help=command.__doc__,
            epilog=f"Example: {EXAMPLES[NAMES.get(command.__name__, command.__name__)]}",
        )(command)
    for name, sentence, commands in (
        (
            "sync",
            "Exchange what was learned with a fleet.",
            (syncing.init, syncing.push, syncing.pull, syncing.run, syncing.status),
        ),
        (
            "hub",
            "Keep a fleet's hub: enrol devices, merge what they learned, publish it.",
            (hub.init, hub.enroll, hub.revoke, hub.merge, hub.publish, hub.rotate, hub.check, hub.status),
        ),
    ):
        group = typer.Typer(help=sentence, rich_markup_mode=None, epilog=f"Example: {EXAMPLES[name]}")
        for each in commands:
            group.command(help=each.__doc__)(each)
        app.add_typer(group, name=name)


NAMES = {"evaluate": "eval"}
"""Commands whose function must not have their name, as Python uses it."""
EXAMPLES = {
    "demo": "edge-nusa demo",
    "export": "edge-nusa export ViT-B-32 --pretrained laion2b_s34b_b79k --out bundle/",
    "learn": 'edge-nusa learn --images mugs/ --label "my mug"',
    "predict": "edge-nusa predict kitchen.jpg --labels cup,plate --top 3",
    "watch": "edge-nusa watch camera/ --out answers.jsonl --keep unsure/",
    "labels": "edge-nusa labels",
    "forget": 'edge-nusa forget "my mug"',
    "undo": "edge-nusa undo",
    "history": "edge-nusa history",
    "report": "edge-nusa report --out report.html",
    "status": "edge-nusa status --format json",
    "doctor": "edge-nusa doctor",
    "bench": "edge-nusa bench --threads 2",
    "sync": "edge-nusa sync run --state state/",
    "hub": "edge-nusa hub merge --hub hub/",
    "eval": "edge-nusa eval mtil --data sets/ --out results/ --shots 5,16 --seeds 5 --order random:3",
}
"""One example a command; a test runs through them, and `--help` shows them."""
