"""`hub init`, `revoke`, `rotate`, `set-store` and `check`: a fleet's keys and its store."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.help import WHERE
from edge_nusa.cli.options import BundleOption, FormatOption

if TYPE_CHECKING:
    from edge_nusa.sync.bundles.announced import Announced
    from edge_nusa.sync.hub.hub import Hub

KEYS = "Keys"
"""A group of options."""
HubOption = Annotated[
    Optional[Path],
    typer.Option(
        "--hub",
        envvar="EDGE_NUSA_HUB",
        help="The hub's own folder, with its keys; in your user data folder where none is given.",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]


def folder_of(hub: Path | None) -> Path:
    """The hub's own folder."""
    from edge_nusa.device.opened import data_folder

    return hub or data_folder("--hub") / "hub"


def opened_hub(hub: Path | None, bundle: Path | None) -> Hub:
    """The hub in a folder."""
    from edge_nusa.model.bundle import Bundle, embedded_bundle
    from edge_nusa.sync.hub.hub import Hub

    return Hub(folder_of(hub), Bundle.open(bundle or embedded_bundle()))


class SharingChoice(StrEnum):
    """`--sharing`: what of a label's sums leaves a device."""

    EXACT = "exact"
    GROUPS = "groups"
    MEANS = "means"


def init(
    store: Annotated[str, typer.Argument(help="The fleet's store: a folder that devices reach.")],
    bundle: BundleOption = None,
    hub: HubOption = None,
    root_keys: Annotated[
        Optional[Path],
        typer.Option(
            "--root-keys",
            help="Where the root keys go, best a medium that you put away; inside --hub where none is given.",
            show_default=False,
            rich_help_panel=KEYS,
        ),
    ] = None,
    root_count: Annotated[
        int, typer.Option("--root-count", min=1, max=20, help="How many root keys.", rich_help_panel=KEYS)
    ] = 2,
    threshold: Annotated[
        int, typer.Option(min=1, max=20, help="How many root keys must sign a change of keys.", rich_help_panel=KEYS)
    ] = 1,
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="For how many days a publication is believed.", rich_help_panel=KEYS)
    ] = 30,
    sharing: Annotated[
        SharingChoice,
        typer.Option(
            help="What of a label's sums leaves a device, for good: `exact` all, `groups` of groups of pictures, "
            "`means` their means."
        ),
    ] = SharingChoice.GROUPS,
    provider: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What every device of this fleet computes the features of pictures with, for good: `cpu`, `cuda` and "
            "so on, or CLASS:PRECISION of a foreign trunk.",
        ),
    ] = "cpu",
    format: FormatOption = None,
) -> None:
    """Make a hub and its keys, and begin a fleet in a store."""
    from edge_nusa.model.bundle import Bundle, embedded_bundle
    from edge_nusa.model.providers import declared
    from edge_nusa.sync.hub import folder as hub_folder
    from edge_nusa.sync.trust.repository import Expiry

    folder = folder_of(hub)
    keys = hub_folder.RootKeys(root_keys or folder / "root-keys", root_count, threshold)
    found, expiry = Bundle.open(bundle or embedded_bundle()), Expiry(days, max(days, 365))
    found.provider = declared(provider)
    settings = hub_folder.create(folder, store, found, keys, expiry, sharing.value)
    root = str(folder / "root.json")
    words = f"the fleet {settings.fleet[:16]} begins; give {root} to every device, and put {keys.folder} away, offline"
    made = {"fleet": settings.fleet, "hub": str(folder), "root": root, "root_keys": str(keys.folder)}
    output.show(made, words, format)


def revoke(
    device: Annotated[str, typer.Argument(help="The device's name, or the start of its key's name.")],
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Also take all that it brought out of a new round.")
    ] = False,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Take no more updates of a device. What it brought until now stays in the rounds, or goes with --take-back."""
    from edge_nusa.sync.hub import take_back as taking

    opened = opened_hub(hub, bundle)
    found, made = taking.take_back(opened, device) if take_back else (opened.revoke(device), None)
    words = f"revoked {found.key.keyid[:16]} {found.name}"
    if made is not None:
        words += f"; round {made.number} is without what it brought; publish it with `edge-nusa hub publish`"
    elif take_back:
        words += "; it had given nothing, so no round is new: `edge-nusa hub publish` shuts it out of the next one"
    content = {"device": found.key.keyid, "name": found.name, "revoked": True, "round": made.number if made else None}
    output.show(content, words, format)


def rotate(
    root_keys: Annotated[
        Path, typer.Option("--root-keys", help="The folder with the root keys, as many as must sign.")
    ],
    new_root_keys: Annotated[
        Optional[Path],
        typer.Option("--new-root-keys", help="Make new root keys too, in this folder.", show_default=False),
    ] = None,
    root_count: Annotated[int, typer.Option("--root-count", min=1, max=20, help="How many new root keys.")] = 2,
    threshold: Annotated[
        int, typer.Option(min=1, max=20, help="How many of the new root keys must sign the next change.")
    ] = 1,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Replace the hub's keys. Stolen ones are then worthless; publish afterwards."""
    from edge_nusa.sync.hub import bundles
    from edge_nusa.sync.hub import folder as hub_folder

    new = hub_folder.RootKeys(new_root_keys, root_count, threshold) if new_root_keys is not None else None
    done = hub_folder.rotate(folder_of(hub), root_keys, new)
    found = bundles.listed(folder_of(hub))
    words = (
        f"root {done['root']} is in the store{_still_offered(found)}; run `edge-nusa hub publish` now, and put the "
        "root keys away"
    )
    output.show({**done, "bundles": [one.to_json() for one in found]}, words, format)


def _still_offered(found: Sequence[Announced]) -> str:
    """What whoever had the old keys may have announced."""
    if not found:
        return ""
    names = ", ".join(f"{one.name} (version {one.version})" for one in found)
    return (
        f"; the new keys sign these bundles anew: {names}; withdraw what you did not publish, by `edge-nusa hub "
        "withdraw-bundle NAME`"
    )


def set_store(
    store: Annotated[str, typer.Argument(help="Where the fleet's store is now: a folder, or s3://BUCKET/PREFIX.")],
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Use a moved store from now on, if it is this fleet's."""
    from edge_nusa.sync.hub.moving import set_store as moved

    done = moved(folder_of(hub), store)
    output.show(done, f"the hub's store is {done.store} now; it was {done.before}", format)


def check(
    store: Annotated[str, typer.Argument(help="The store: a folder, or s3://BUCKET/PREFIX.")],
    format: FormatOption = None,
) -> None:
    """Prove by a race that a store never overwrites. One that does is refused."""
    from edge_nusa.sync.stores.check import check as examine
    from edge_nusa.sync.stores.open import open_store

    done = examine(open_store(store))
    races = f"of {done.writers} writers at once one won, in {done.races} of {done.races} races"
    value = {"races": done.races, "writers": done.writers, "keys": list(done.keys)}
    output.show(value, f"sound: {races}; left in the store: check/", format)
