"""`hub labels`, `forget` and `rename`: what a fleet was taught, by how many; a label taken back or renamed for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_nusa.cli import output
from edge_nusa.cli.hub import HubOption, opened_hub
from edge_nusa.cli.options import BundleOption, FormatOption
from edge_nusa.knowledge.labels import in_list

if TYPE_CHECKING:
    from edge_nusa.sync.hub.labels import FleetLabel


def labels(
    devices: Annotated[bool, typer.Option("--devices", help="Name the devices that taught each.")] = False,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """List labels, their pictures, and how many taught each."""
    from edge_nusa.sync.hub import labels as fleet

    opened = opened_hub(hub, bundle)
    found, number = fleet.labels(opened), opened.newest()[0]
    rows = [[in_list(one.label), str(one.pictures), _devices(one, devices)] for one in found]
    table = output.table(rows, ["label", "pictures", "devices"]) if rows else "the fleet knows no label yet"
    content = {"round": number, "labels": [one.to_json(has_devices=devices) for one in found]}
    output.show(content, table, format)


def _devices(one: FleetLabel, is_named: bool) -> str:
    if not is_named:
        return str(len(one.taught_by))
    return ", ".join(f"{each.name or each.device[:16]}: {each.pictures}" for each in one.taught_by)


def forget(
    label: Annotated[str, typer.Argument(help="The label that the whole fleet is to forget.")],
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Take a label out of a new round, for all devices."""
    from edge_nusa.sync.hub import labels as fleet

    name, made = fleet.forget(opened_hub(hub, bundle), label)
    words = f"round {made.number} is without {in_list(name)}; publish it with `edge-nusa hub publish`"
    output.show({"round": made.number, "forgotten": name, "labels": made.knowledge.names}, words, format)


def rename(
    old: Annotated[str, typer.Argument(help="The label that the whole fleet is to call by another name.")],
    new: Annotated[str, typer.Argument(help="Its new name.")],
    join: Annotated[bool, typer.Option("--join", help="Join the pictures of a label that has this name.")] = False,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Give a label another name in a new round, for all devices."""
    from edge_nusa.sync.hub import rename as fleet

    done = fleet.rename(opened_hub(hub, bundle), old, new, join)
    made = done.round
    one = f"{in_list(done.old)} is {'a part of ' if done.joined else ''}{in_list(done.new)} in round {made.number}"
    content = {"round": made.number, "old": done.old, "new": done.new, "joined": done.joined}
    content["labels"] = made.knowledge.names
    output.show(content, f"{one}; publish it with `edge-nusa hub publish`", format)
