"""`hub join` and `hub exchange`: a hub as a device of a larger fleet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.hub import HubOption, opened_hub
from edge_nusa.cli.options import BundleOption, FormatOption
from edge_nusa.knowledge.labels import in_list, listed

if TYPE_CHECKING:
    from edge_nusa.above.exchange import Taken
    from edge_nusa.device.fleet.exchange import Exchanged
    from edge_nusa.device.fleet.push import Pushed


def join(
    store: Annotated[str, typer.Argument(help="The larger fleet's store: a folder, or s3://BUCKET/PREFIX.")],
    root: Annotated[Path, typer.Option("--root", help="root.json from its hub, brought by a way you trust.")],
    rounds: Annotated[
        Optional[str],
        typer.Option(
            help="Pull from this mirror of its hub instead: oci://HOST/NAME, S3 or a folder.", show_default=False
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the store whether it answers and is that fleet's.")
    ] = False,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Make this hub a device of a larger fleet."""
    from edge_nusa.above import membership

    made = membership.join(opened_hub(hub, bundle), store, root, rounds, is_offline=offline)
    who = f"this hub is {made.device[:16]} of the fleet {made.fleet[:16]}"
    words = f"{who}; bring {made.public_key} to its hub: edge-nusa hub enroll device.pub --lower-hub"
    output.show({"device": made.device, "public_key": made.public_key, "fleet": made.fleet}, words, format)


def exchange(
    force: Annotated[
        bool, typer.Option("--force", help="Take the larger fleet's round even where it was undone here.")
    ] = False,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Tell the larger fleet what is new here, and take its round. Publish afterwards."""
    from edge_nusa.above.exchange import exchange as exchanged
    from edge_nusa.model.bundle import Bundle, embedded_bundle

    opened = opened_hub(hub, bundle)
    done = exchanged(opened, Bundle.open(bundle or embedded_bundle()), force)
    output.show(done, lambda: _exchanged(done), format)
    if done.exit_code:
        errors = {"push": done.push_error, "pull": done.pull_error}
        for name, error in errors.items():
            if error is not None:
                output.note(f"edge-nusa: {name}: {error}")
        raise typer.Exit(done.exit_code)


def _exchanged(done: Exchanged[Taken]) -> str:
    lines = [_pushed(done.push) if done.push else "nothing was told", _taken(done.pull)]
    return "\n".join(line for line in lines if line)


def _pushed(done: Pushed) -> str:
    if done.update is None:
        return "nothing new to tell the larger fleet"
    gained = ", ".join([*map(in_list, done.labels), *(f"{in_list(key)} forgotten" for key in done.forgets)])
    return f"told the larger fleet as update {done.update}: {gained}; {done.pictures} pictures, {done.bytes} bytes"


def _taken(done: Taken | None) -> str:
    if done is None:
        return "nothing was taken"
    if done.round is None:
        return f"its round {done.above} is known already"
    gone = f"; gone: {listed(done.gone)}" if done.gone else ""
    return (
        f"its round {done.above} is in round {done.round}; new: {listed(done.new) or 'no label'}{gone}; publish it "
        "with `edge-nusa hub publish`"
    )
