"""`pull`: a ready bundle out of a store, proved by the root of whoever runs its hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.options import BundleOption, FormatOption, QuietOption, StateOption, memory_bytes
from edge_nusa.errors import DamagedError, ResourceError, StoreError, TrustError

if TYPE_CHECKING:
    from edge_nusa.device.board.findings import Finding
    from edge_nusa.sync.bundles.pull import Pulled

RootOption = Annotated[
    Optional[Path],
    typer.Option(
        "--root",
        help="root.json of whoever publishes, brought by a way you trust; a fleet's member has it already.",
        show_default=False,
    ),
]


def pull(
    store: Annotated[str, typer.Argument(help="A folder, s3://BUCKET/PREFIX, oci://HOST/NAME or https://HOST/PATH.")],
    name: Annotated[
        Optional[str], typer.Argument(help="The bundle's name; not needed where there is one.", show_default=False)
    ] = None,
    root: RootOption = None,
    out: Annotated[
        Optional[Path],
        typer.Option("--out", help="Where it goes; a folder in your user data folder by itself.", show_default=False),
    ] = None,
    max_bytes: Annotated[
        Optional[str],
        typer.Option("--max-bytes", metavar="SIZE", help="Fetch no more, such as 200M.", show_default=False),
    ] = None,
    quiet: QuietOption = False,
    bundle: BundleOption = None,
    state: StateOption = None,
    format: FormatOption = None,
) -> None:
    """Fetch a ready bundle and prove it. Where it was cut off, it goes on. A fleet's round comes by `sync pull`."""
    from edge_nusa.device.fleet.bundle_source import pulled_folder, source
    from edge_nusa.device.opened import default_folder, default_state_of
    from edge_nusa.sync.bundles import pull as pulling
    from edge_nusa.sync.bundles.announced import chosen

    most = memory_bytes(max_bytes, "--max-bytes")
    found = source(store, root, state or default_state_of(bundle or default_folder("bundle")))
    one = chosen(found.bundles(), name)
    bar = output.progress_bar(quiet)
    target = out or pulled_folder(one)
    done = pulling.pull(found, one, target, lambda have, total: bar("pulling", have, total), most)
    output.show(done, lambda: _words(done), format)


def fitting(store: str, root: Path | None, state: Path) -> list[Finding]:
    """What `doctor --store` adds: which of a store's bundles fit this board; a store that does not say it is a finding
    too."""
    from edge_nusa.device.board import fitting as board
    from edge_nusa.device.board.findings import Finding
    from edge_nusa.device.fleet.bundle_source import bundles_folder, source

    place, found = f"{store} --root {root}" if root else store, list[Finding]()
    try:
        found.extend(board.fitting(source(store, root, state), place, bundles_folder()))
    except (StoreError, TrustError, DamagedError, ResourceError) as error:
        found.append(Finding("bundles of the store", "error", str(error), ""))
    return found


def _words(done: Pulled) -> str:
    what = f"{done.name}, version {done.version} ({done.model} in {done.precision}, {done.bytes / 2**20:.1f} MiB)"
    how = f"is in {done.folder}" if done.fetched_bytes else f"was in {done.folder} already, and is whole"
    return (
        f"{what} {how}\n"
        f"use it: edge-nusa config bundle {done.folder}\n"
        "what was taught stays with the bundle that it was taught over: `edge-nusa status` says which that is"
    )
