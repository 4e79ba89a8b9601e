"""All commands of `edge-nusa`, in the order of a first use, with an example of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from edge_nusa.cli import (
    bench,
    config,
    demo,
    eval,
    export,
    flower,
    hub,
    hub_above,
    hub_bundles,
    hub_joining,
    hub_labels,
    hub_rounds,
    hub_running,
    learn,
    mqtt,
    predict,
    pull,
    state,
    sync,
    sync_init,
    teach,
    watch,
)
from edge_nusa.cli.help import Command, Commands

NAMES = {"evaluate": "eval", "of_hub": "flower", "of_node": "flower"}
"""Commands whose function must not have their name, as Python uses it."""
EXAMPLES = {
    "demo": "edge-nusa demo",
    "export": "edge-nusa export ViT-B-32 --pretrained laion2b_s34b_b79k --out bundle/\nedge-nusa export --list",
    "learn": 'edge-nusa learn mugs/ "my mug"\n'
    "edge-nusa learn cup1.jpg cup2.jpg --label cup\n"
    "edge-nusa learn --dataset dishes/",
    "teach": "edge-nusa teach\nedge-nusa teach --lan --camera /dev/video0",
    "predict": "edge-nusa predict kitchen.jpg --labels cup,plate --top 3\n"
    "edge-nusa predict 'camera/*.jpg' --strict --format json\n"
    "cat kitchen.jpg | edge-nusa predict -",
    "watch": "edge-nusa watch camera/ --out answers.jsonl --keep unsure/\n"
    "edge-nusa watch /dev/video0 --agree 3\n"
    "edge-nusa watch rtsp://camera.local/stream --mqtt mqtt://homeassistant.local",
    "mqtt": "edge-nusa mqtt answers.jsonl --broker mqtt://camera@homeassistant.local",
    "labels": "edge-nusa labels",
    "forget": 'edge-nusa forget "my mug"',
    "undo": "edge-nusa undo\nedge-nusa undo --to 3",
    "redo": "edge-nusa redo",
    "rename": 'edge-nusa rename mug "my mug"',
    "history": "edge-nusa history",
    "report": "edge-nusa report --out report.html",
    "status": "edge-nusa status --format json",
    "doctor": "edge-nusa doctor",
    "config": "edge-nusa config\nedge-nusa config bundle ~/bundle",
    "bench": "edge-nusa bench --threads 2",
    "pull": "edge-nusa pull https://models.example/edge ViT-B-32-256 --root root.json",
    "sync": "edge-nusa sync init /mnt/fleet --root root.json\nedge-nusa sync run",
    "hub": "edge-nusa hub init /mnt/fleet\n"
    'edge-nusa hub enroll device.pub --name "kitchen board"\n'
    "edge-nusa hub merge && edge-nusa hub publish",
    "eval": "edge-nusa eval mtil --data sets/ --out results/ --shots 5,16 --seeds 5\n"
    "edge-nusa eval mtil --data sets/ --out results/ --shard 0/16\n"
    "edge-nusa eval collect --out results/",
}
"""An example of each command, or several, a line each; a test runs through them, and `--help` shows them."""
PARTS = {
    "sync init": "edge-nusa sync init /mnt/fleet --root root.json\nedge-nusa sync init /mnt/fleet --token token.txt",
    "sync push": "edge-nusa sync push --max-bytes 500K",
    "sync pull": "edge-nusa sync pull",
    "sync run": "edge-nusa sync run --between 01:00-05:00",
    "sync status": "edge-nusa sync status",
    "sync flower": "edge-nusa sync flower hub.example:8000 --certificates superlink.pem",
    "sync leave": "edge-nusa sync leave",
    "sync set-store": "edge-nusa sync set-store s3://bucket/fleet",
    "hub init": "edge-nusa hub init /mnt/fleet --root-keys /media/stick/root-keys",
    "hub enroll": 'edge-nusa hub enroll device.pub --name "kitchen board"',
    "hub token": 'edge-nusa hub token --days 7 --count 40 --name "kitchen-" --out token.txt',
    "hub tokens": "edge-nusa hub tokens",
    "hub admit": "edge-nusa hub admit && edge-nusa hub publish",
    "hub revoke": 'edge-nusa hub revoke "kitchen board" --take-back',
    "hub merge": "edge-nusa hub merge --rule trimmed --malicious 0.1",
    "hub publish": "edge-nusa hub publish --mirror oci://registry.example/fleet",
    "hub publish-bundle": "edge-nusa hub publish-bundle bundle/ --name ViT-B-32-256",
    "hub bundles": "edge-nusa hub bundles",
    "hub withdraw-bundle": "edge-nusa hub withdraw-bundle ViT-B-32-256",
    "hub flower": "edge-nusa hub flower flower/ --superlink hub.example:8000",
    "hub run": "edge-nusa hub run --metrics /var/lib/node_exporter/textfile/edge-nusa-hub.prom",
    "hub undo": "edge-nusa hub undo && edge-nusa hub publish",
    "hub join": "edge-nusa hub join s3://bucket/larger-fleet --root root.json",
    "hub exchange": "edge-nusa hub merge && edge-nusa hub exchange && edge-nusa hub publish",
    "hub labels": "edge-nusa hub labels --devices",
    "hub forget": 'edge-nusa hub forget "my mug" && edge-nusa hub publish',
    "hub rename": 'edge-nusa hub rename "my mug" cup && edge-nusa hub publish',
    "hub set-store": "edge-nusa hub set-store s3://bucket/fleet",
    "hub rotate": "edge-nusa hub rotate --root-keys /media/stick/root-keys",
    "hub check": "edge-nusa hub check s3://bucket/fleet",
    "hub status": "edge-nusa hub status",
}
"""The same of each command of a group."""


COMMANDS: tuple[Callable[..., Any], ...] = (
    demo.demo,
    export.export,
    learn.learn,
    teach.teach,
    predict.predict,
    watch.watch,
    mqtt.mqtt,
    state.labels,
    state.forget,
    state.undo,
    state.redo,
    state.rename,
    state.history,
    state.report,
    state.status,
    state.doctor,
    config.config,
    bench.bench,
    pull.pull,
    eval.evaluate,
)
GROUPS: dict[str, tuple[str, tuple[Callable[..., Any], ...]]] = {
    "sync": (
        "Exchange what was learned with a fleet.",
        (sync_init.init, sync.push, sync.pull, sync.run, sync.status, sync.leave, sync.set_store, flower.of_node),
    ),
    "hub": (
        "Keep a fleet's hub: enrol devices, merge and publish rounds.",
        (
            hub.init,
            hub_joining.enroll,
            hub_joining.token,
            hub_joining.tokens,
            hub_joining.admit,
            hub.revoke,
            hub_rounds.merge,
            hub_rounds.publish,
            hub_bundles.publish_bundle,
            hub_bundles.bundles,
            hub_bundles.withdraw_bundle,
            hub_running.run,
            hub_rounds.undo,
            flower.of_hub,
            hub_above.join,
            hub_above.exchange,
            hub_labels.labels,
            hub_labels.forget,
            hub_labels.rename,
            hub.rotate,
            hub.set_store,
            hub.check,
            hub_running.status,
        ),
    ),
}
"""Name -> what it is for, and its commands."""


def register(app: typer.Typer) -> None:
    """Add every command to the app, in the order of a first use."""
    for command in COMMANDS:
        name = _name(command)
        app.command(name, cls=Command, help=command.__doc__, epilog=_shown(EXAMPLES[name]))(command)
    for name, (sentence, commands) in GROUPS.items():
        group = typer.Typer(cls=Commands, help=sentence, rich_markup_mode=None, epilog=_shown(EXAMPLES[name]))
        for each in commands:
            epilog = _shown(PARTS.get(f"{name} {_name(each)}", ""))
            group.command(_name(each), cls=Command, help=each.__doc__, epilog=epilog)(each)
        app.add_typer(group, name=name)


def _name(command: Callable[..., Any]) -> str:
    return NAMES.get(command.__name__, command.__name__.replace("_", "-"))


def _shown(example: str) -> str | None:
    return f"{'Examples' if chr(10) in example else 'Example'}: {example}" if example else None
