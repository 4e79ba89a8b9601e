"""`hub merge`, `publish` and `undo`: a fleet's rounds."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.hub import HubOption, opened_hub
from edge_nusa.cli.options import BundleOption, FormatOption
from edge_nusa.knowledge.labels import in_list, listed

if TYPE_CHECKING:
    from edge_nusa.sync.hub.report import MergeReport


class RuleChoice(StrEnum):
    """`--rule`: how the cores of many devices become one."""

    MEAN = "mean"
    TRIMMED = "trimmed"


RuleOption = Annotated[
    RuleChoice, typer.Option(help="`mean` where all devices are yours; `trimmed` bears --malicious bad ones.")
]
MaliciousOption = Annotated[float, typer.Option(min=0.0, max=0.49, help="The share of devices that may be bad.")]
MostPicturesOption = Annotated[
    int, typer.Option("--most-pictures", min=1, help="Of one device at once; the rest waits.")
]
MirrorOption = Annotated[
    Optional[str],
    typer.Option(help="Copy what is published there too: an OCI registry, S3, or a folder.", show_default=False),
]


def merge(
    rule: RuleOption = RuleChoice.MEAN,
    malicious: MaliciousOption = 0.2,
    most_pictures: MostPicturesOption = 1000,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Merge what devices pushed into the next round."""
    from edge_nusa.sync.hub.merge import MergeSettings
    from edge_nusa.sync.hub.whole_step import UpdateLimits

    done = opened_hub(hub, bundle).merge(MergeSettings(rule.value, malicious, UpdateLimits(most_pictures)))
    output.show(done, lambda: "\n".join(merged(done)), format)


def merged(done: MergeReport, *, is_published: bool = False) -> Iterator[str]:
    """What people read of a merge; is_published: by the same command."""
    yield from done.joined.words()
    if done.joined.devices and done.made is None and not is_published:
        yield "publish, so that the new devices can read the round: `edge-nusa hub publish`"
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
    source = f"{_many(sum(row.updates for row in done.devices), 'update')}, {_many(len(done.labels), 'label')}"
    yield f"round {done.round} from {source}" + ("" if is_published else "; publish it with `edge-nusa hub publish`")


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def publish(
    mirror: MirrorOption = None,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Sign the newest round and put it into the store. Again before it expires."""
    done = opened_hub(hub, bundle).publish(mirror)
    output.show(done, done.words, format)


def undo(bundle: BundleOption = None, hub: HubOption = None, format: FormatOption = None) -> None:
    """Make a new round with the content of the one before. Devices keep what they brought, and say so."""
    from edge_nusa.sync.hub import take_back

    opened = opened_hub(hub, bundle)
    made = take_back.undo(opened)
    gone, back = (listed(names) or "no label" for names in take_back.changed(opened))
    words = (
        f"round {made.number} is as the one before it was; gone: {gone}; back: {back}; labels: "
        f"{listed(made.knowledge.names) or 'none'}; devices keep what they taught, and do not send it again by "
        "themselves; publish it with `edge-nusa hub publish`"
    )
    output.show({"round": made.number, "labels": made.knowledge.names}, words, format)
