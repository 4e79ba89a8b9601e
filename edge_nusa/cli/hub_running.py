"""`hub run` and `hub status`: keeping a fleet going, and seeing where each of its devices stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.hub import HubOption, opened_hub
from edge_nusa.cli.hub_rounds import MaliciousOption, MirrorOption, MostPicturesOption, RuleChoice, RuleOption, merged
from edge_nusa.cli.options import BundleOption, FormatOption
from edge_nusa.errors import EdgeNusaError
from edge_nusa.knowledge.labels import listed

if TYPE_CHECKING:
    from edge_nusa.sync.hub.hub import Hub
    from edge_nusa.sync.hub.report import DeviceStatus, HubStatus
    from edge_nusa.sync.hub.running import Ran

MetricsOption = Annotated[
    Optional[Path],
    typer.Option(help="Also write numbers of the fleet for node_exporter into this file (.prom).", show_default=False),
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Do not ask the store; show what is known here.")]
GIB = 1 << 30


def run(
    rule: RuleOption = RuleChoice.MEAN,
    malicious: MaliciousOption = 0.2,
    most_pictures: MostPicturesOption = 1000,
    mirror: MirrorOption = None,
    metrics: MetricsOption = None,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Merge, and publish what is new or about to expire."""
    from edge_nusa.sync.hub import metrics as numbers
    from edge_nusa.sync.hub import running
    from edge_nusa.sync.hub.merge import MergeSettings
    from edge_nusa.sync.hub.whole_step import UpdateLimits

    if metrics is not None:
        numbers.check(metrics)
    opened = opened_hub(hub, bundle)
    done = running.run(opened, MergeSettings(rule.value, malicious, UpdateLimits(most_pictures)), mirror)
    output.show(done, lambda: "\n".join(_ran(done)), format)
    _told(done)
    if metrics is not None:
        _measured(opened, metrics, done.exit_code)
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _measured(opened: Hub, metrics: Path, exit_code: int) -> None:
    """Write the numbers; where the run itself failed, its exit code stays and what stops this is told beside."""
    from edge_nusa.sync.hub import metrics as numbers

    try:
        numbers.write(metrics, _standing(opened, False), exit_code)
    except EdgeNusaError as error:
        if not exit_code:
            raise
        output.note(f"edge-nusa: metrics: {error}")


def _ran(done: Ran) -> Iterator[str]:
    if done.merge:
        yield from merged(done.merge, is_published=done.publish is not None)
    if done.publish:
        yield f"{done.publish.words}: {done.reason}"
    elif not done.publish_error:
        yield "no publication is due"
    if done.mirrored:
        yield f"copied {done.mirrored} objects to the mirror"
    yield from (f"{name}: failed" for name in done.errors)


def _told(done: Ran) -> None:
    """Tell each error on stderr, once where several have the same."""
    texts: dict[str, list[str]] = {}
    for name, error in done.errors.items():
        texts.setdefault(str(error), []).append(name)
    for text, names in texts.items():
        output.note(f"edge-nusa: {' and '.join(names)}: {text}")


def status(
    offline: OfflineOption = False,
    metrics: MetricsOption = None,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Show where each device stands, and what was refused."""
    from edge_nusa.sync.hub import metrics as numbers

    if metrics is not None:
        numbers.check(metrics)
    found = _standing(opened_hub(hub, bundle), offline)
    if metrics is not None:
        numbers.write(metrics, found)
    output.show(found, lambda: "\n".join(_shown(found)), format)


def _standing(opened: Hub, is_offline: bool) -> HubStatus:
    from edge_nusa.sync.hub import look
    from edge_nusa.sync.trust import publication_clock

    found = look.remembered(opened) if is_offline else look.look(opened)
    expires = publication_clock.expires(opened.folder, opened.settings.expiry.timestamp_days)
    return look.shown(opened.status(), found, expires)


def _shown(found: HubStatus) -> Iterator[str]:
    yield f"fleet {found.fleet[:16]}, round {found.round}, labels: {listed(found.labels) or 'none'}"
    published = "" if found.published_round is None else f"round {found.published_round} is published; "
    if found.expires:
        yield f"{published}devices believe the last publication until {_moment(found.expires)}"
    if found.store_note:
        yield found.store_note
    titles = ["device", "name", "", "last seen (UTC)", "round", "version", "bundle", "free", "updates"]
    yield output.table([_row(row) for row in found.devices], titles)
    for row in found.devices:
        yield from _refusals(row)


def _row(row: DeviceStatus) -> list[str]:
    said = row.report
    return [
        row.device[:16],
        row.name,
        "revoked" if row.revoked else "",
        _moment(row.last_seen) if row.last_seen else "never",
        str(row.holds),
        said.version if said else "",
        f"{said.bundle.model} {said.bundle.precision}" if said else "",
        f"{said.free_bytes / GIB:.1f} GiB" if said else "",
        str(row.updates),
    ]


def _refusals(row: DeviceStatus) -> Iterator[str]:
    who = row.name or row.device[:16]
    for number, why in row.refused.items():
        yield f"{who}: update {number} was refused here: {why}"
    for one in row.report.refused if row.report else ():
        yield f"{who}: refused round {one.round}: {one.reason}"
    if row.note:
        yield f"{who}: {row.note}"


def _moment(text: str) -> str:
    """`2026-11-27T01:02:03Z` as people read it."""
    return text[:16].replace("T", " ")
