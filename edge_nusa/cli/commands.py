"""All commands of `edge-nusa`, in the order of a first use, with an example of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from edge_nusa.cli import bench, demo, eval, export, hub, hub_rounds, learn, predict, state, sync, watch

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
    "redo": "edge-nusa redo",
    "rename": 'edge-nusa rename mug "my mug"',
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


COMMANDS: tuple[Callable[..., Any], ...] = (
    demo.demo,
    export.export,
    learn.learn,
    predict.predict,
    watch.watch,
    state.labels,
    state.forget,
    state.undo,
    state.redo,
    state.rename,
    state.history,
    state.report,
    state.status,
    state.doctor,
    bench.bench,
    eval.evaluate,
)
GROUPS: dict[str, tuple[str, tuple[Callable[..., Any], ...]]] = {
    "sync": (
        "Exchange what was learned with a fleet.",
        (sync.init, sync.push, sync.pull, sync.run, sync.status),
    ),
    "hub": (
        "Keep a fleet's hub: enrol devices, merge what they learned, publish it.",
        (
            hub.init,
            hub.enroll,
            hub.revoke,
            hub_rounds.merge,
            hub_rounds.publish,
            hub_rounds.undo,
            hub.rotate,
            hub.check,
            hub_rounds.status,
        ),
    ),
}
"""Name -> what it is for, and its commands."""


def register(app: typer.Typer) -> None:
    """Add every command to the app, in the order of a first use."""
    for command in COMMANDS:
        name = NAMES.get(command.__name__, command.__name__)
        app.command(name, help=command.__doc__, epilog=f"Example: {EXAMPLES[name]}")(command)
    for name, (sentence, commands) in GROUPS.items():
        group = typer.Typer(help=sentence, rich_markup_mode=None, epilog=f"Example: {EXAMPLES[name]}")
        for each in commands:
            group.command(help=each.__doc__)(each)
        app.add_typer(group, name=name)
