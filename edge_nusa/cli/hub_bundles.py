"""`hub publish-bundle`, `bundles` and `withdraw-bundle`: ready models for everybody who trusts the hub's root."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.hub import HubOption, folder_of
from edge_nusa.cli.options import FormatOption, QuietOption

if TYPE_CHECKING:
    from edge_nusa.model.bundle import Bundle

NAME = "The name that it is pulled by; the model's own where none is given."
MIRROR = "Copy what is published there too: an OCI registry, S3, or a folder that a web server shows."


def publish_bundle(
    directory: Annotated[
        Optional[Path],
        typer.Argument(help="The exported bundle; the embedded `lite` where none is given.", show_default=False),
    ] = None,
    name: Annotated[str, typer.Option(help=NAME, show_default=False)] = "",
    mirror: Annotated[Optional[str], typer.Option(help=MIRROR, show_default=False)] = None,
    quiet: QuietOption = False,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Put a bundle into the store, signed, for `edge-nusa pull`. Again under its name: a newer version."""
    from edge_nusa.export.listing import multiply_adds_of
    from edge_nusa.model.bundle import Bundle, embedded_bundle
    from edge_nusa.sync.hub import bundles

    bundle = Bundle.open(directory or embedded_bundle())
    offer = bundles.Offer(bundle, name, multiply_adds_of(bundle.manifest.model), mirror)
    bar = output.progress_bar(quiet)
    made = bundles.publish_bundle(folder_of(hub), offer, lambda done, total: bar("publishing", done, total))
    words = (
        f"published {made.name}, version {made.version}: {made.model} in {made.precision}, {made.bytes} bytes; "
        f"others take it by: edge-nusa pull STORE {made.name} --root root.json"
    )
    output.show(made, words, format)
    _note_another(folder_of(hub), bundle)


def _note_another(folder: Path, bundle: Bundle) -> None:
    """Say so where the hub's fleet is bound to another bundle."""
    from edge_nusa.sync.hub.folder import read_settings

    fleet = read_settings(folder).identity
    if not fleet.is_same_bundle(bundle.manifest.identity):
        output.note(
            f"this hub's fleet is bound to another bundle, {fleet}: it refuses a board that uses this one; a fleet of "
            "this one begins by `edge-nusa hub init --bundle` with another --hub and store"
        )


def bundles(hub: HubOption = None, format: FormatOption = None) -> None:
    """List the bundles that can be pulled."""
    from edge_nusa.sync.hub.bundles import listed

    found = listed(folder_of(hub))
    rows = [[one.name, str(one.version), one.model, one.precision, f"{one.bytes / 2**20:.1f}"] for one in found]
    table = output.table(rows, ["name", "version", "model", "precision", "MiB"]) if rows else "no bundle is published"
    output.show({"bundles": [one.to_json() for one in found]}, table, format)


def withdraw_bundle(
    name: Annotated[str, typer.Argument(help="The bundle's name, as `edge-nusa hub bundles` lists it.")],
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Offer a bundle no more. What boards have stays there, and so do the objects in the store."""
    from edge_nusa.sync.hub import bundles

    gone = bundles.withdraw_bundle(folder_of(hub), name)
    words = f"withdrawn: {gone.name}, version {gone.version}; its files stay in the store, which removes nothing"
    output.show(gone, words, format)
