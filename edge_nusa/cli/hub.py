"""`hub init`, `enroll`, `revoke`, `merge`, `publish`, `rotate`, `check` and `status`: the fleet's meeting point."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.options import BundleOption, FormatOption
from edge_nusa.knowledge.labels import in_list, listed

if TYPE_CHECKING:
    from edge_nusa.sync.hub.hub import Hub
    from edge_nusa.sync.hub.report import HubStatus, MergeReport

HubOption = Annotated[
    Optional[Path],
    typer.Option(
        "--hub",
        envvar="EDGE_NUSA_HUB",
        help="The hub's own folder, with its keys; in your user data folder where none is given.",
        show_default=False,
    ),
]


def _folder(hub: Path | None) -> Path:
    from edge_nusa.device.opened import data_folder

    return hub or data_folder("--hub") / "hub"


def _open(hub: Path | None, bundle: Path | None) -> Hub:
    from edge_nusa.model.bundle import Bundle, embedded_bundle
    from edge_nusa.sync.hub.hub import Hub

    return Hub(_folder(hub), Bundle.open(bundle or embedded_bundle()))


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
        ),
    ] = None,
    root_count: Annotated[int, typer.Option("--root-count", min=1, max=20, help="How many root keys.")] = 2,
    threshold: Annotated[int, typer.Option(min=1, max=20, help="How many root keys must sign a change of keys.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how many days a publication is believed.")] = 30,
    sharing: Annotated[
        SharingChoice,
        typer.Option(
            help="What of a label's sums leaves a device, for good: `exact` all, `groups` of groups of pictures, "
            "`means` their means."
        ),
    ] = SharingChoice.GROUPS,
    format: FormatOption = None,
) -> None:
    """Make a hub and its keys, and begin a fleet in a store."""
    from edge_nusa.model.bundle import Bundle, embedded_bundle
    from edge_nusa.sync.hub import folder as hub_folder
    from edge_nusa.sync.trust.repository import Expiry

    folder = _folder(hub)
    keys = hub_folder.RootKeys(root_keys or folder / "root-keys", root_count, threshold)
    found, expiry = Bundle.open(bundle or embedded_bundle()), Expiry(days, max(days, 365))
    settings = hub_folder.create(folder, store, found, keys, expiry, sharing.value)
    root = str(folder / "root.json")
    words = f"the fleet {settings.fleet[:16]} begins; give {root} to every device, and put {keys.folder} away, offline"
    made = {"fleet": settings.fleet, "hub": str(folder), "root": root, "root_keys": str(keys.folder)}
    output.show(made, words, format)


def enroll(
    public_key: Annotated[Path, typer.Argument(help="The device.pub that `edge-nusa sync init` wrote.")],
    name: Annotated[str, typer.Option(help="What you call the device.")] = "",
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Let a device take part."""
    from edge_nusa.errors import InputError
    from edge_nusa.files.durable import read_named

    try:
        data = read_named(public_key, 8192)
    except OSError as error:
        raise InputError(
            f"{public_key}: expected the device.pub of a device, found {error.strerror}; bring it from the device"
        ) from error
    device = _open(hub, bundle).enrolled.add(data, name, str(public_key))
    words = f"enrolled {device.key.keyid[:16]} {device.name}"
    output.show({"device": device.key.keyid, "name": device.name}, words, format)


def revoke(
    device: Annotated[str, typer.Argument(help="The device's name, or the start of its key's name.")],
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Take no more updates of a device; what it brought until now stays in the rounds."""
    found = _open(hub, bundle).enrolled.revoke(device)
    words = f"revoked {found.key.keyid[:16]} {found.name}"
    output.show({"device": found.key.keyid, "name": found.name, "revoked": True}, words, format)


class RuleChoice(StrEnum):
    """`--rule`: how the cores of many devices become one."""

    MEAN = "mean"
    TRIMMED = "trimmed"


def merge(
    rule: Annotated[
        RuleChoice, typer.Option(help="`mean` where all devices are yours; `trimmed` bears --malicious bad ones.")
    ] = RuleChoice.MEAN,
    malicious: Annotated[float, typer.Option(min=0.0, max=0.49, help="The share of devices that may be bad.")] = 0.2,
    most_pictures: Annotated[
        int, typer.Option("--most-pictures", min=1, help="Refuse an update of more pictures.")
    ] = 1000,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Merge what devices pushed into the next round."""
    from edge_nusa.sync.hub.merge import MergeSettings
    from edge_nusa.sync.hub.whole_step import UpdateLimits

    done = _open(hub, bundle).merge(MergeSettings(rule.value, malicious, UpdateLimits(most_pictures)))
    output.show(done, lambda: "\n".join(_merged(done)), format)


def _merged(done: MergeReport) -> Iterator[str]:
    """What people read of a merge."""
    for row in done.devices:
        for number, why in row.refused.items():
            yield f"refused: update {number} of {row.device[:16]}: {why}"
        for note in row.notes:
            yield f"passed over: {row.device[:16]}: {note}"
    if done.made is None:
        yield f"nothing new; round {done.round} stays"
        return
    for entry in done.made.spellings:
        yield f"one label: {in_list(entry.label)}, also sent as {listed(entry.also)}"
    for group in done.made.alike:
        yield f"perhaps one thing under two names: {listed(group)}"
    source = f"{sum(row.updates for row in done.devices)} updates, {len(done.labels)} labels"
    yield f"round {done.round} from {source}; publish it with `edge-nusa hub publish`"


def publish(
    mirror: Annotated[
        Optional[str],
        typer.Option(help="Copy what is published there too: an OCI registry, S3, or a folder.", show_default=False),
    ] = None,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Sign the newest round and put it into the store; again before it expires."""
    done = _open(hub, bundle).publish(mirror)
    output.show(done, f"published round {done.round}, {done.bytes} bytes", format)


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
    """Replace the hub's keys, which makes stolen ones worthless; publish afterwards."""
    from edge_nusa.sync.hub import folder as hub_folder

    new = hub_folder.RootKeys(new_root_keys, root_count, threshold) if new_root_keys is not None else None
    done = hub_folder.rotate(_folder(hub), root_keys, new)
    words = f"root {done['root']} is in the store; run `edge-nusa hub publish` now, and put the root keys away"
    output.show(done, words, format)


def check(
    store: Annotated[str, typer.Argument(help="The store: a folder, or s3://BUCKET/PREFIX.")],
    format: FormatOption = None,
) -> None:
    """Prove by a race that a store never overwrites, and refuse one that does."""
    from edge_nusa.sync.stores.check import check as examine
    from edge_nusa.sync.stores.open import open_store

    done = examine(open_store(store))
    races = f"of {done.writers} writers at once one won, in {done.races} of {done.races} races"
    value = {"races": done.races, "writers": done.writers, "keys": list(done.keys)}
    output.show(value, f"sound: {races}; left in the store: check/", format)


def status(bundle: BundleOption = None, hub: HubOption = None, format: FormatOption = None) -> None:
    """Show the devices, what they brought, and what was refused and why."""
    found = _open(hub, bundle).status()
    output.show(found, lambda: _standing(found), format)


def _standing(found: HubStatus) -> str:
    first = f"fleet {found.fleet[:16]}, round {found.round}, labels: {listed(found.labels) or 'none'}"
    rows = [
        [
            row.device[:16],
            row.name,
            "revoked" if row.revoked else "",
            str(row.updates),
            str(row.round or 0),
            row.seen or "never",
            "; ".join(f"{number}: {why}" for number, why in row.refused.items()),
        ]
        for row in found.devices
    ]
    table = output.table(rows, ["device", "name", "", "updates", "on round", "last merged (UTC)", "refused"])
    return f"{first}\n{table}"
