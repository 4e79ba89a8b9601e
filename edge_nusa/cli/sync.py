"""`sync init`, `push`, `pull`, `run` and `status`: a device's part in a fleet."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.options import BundleOption, FormatOption, StateOption, ThreadsOption, memory_bytes
from edge_nusa.knowledge.labels import in_list, listed

if TYPE_CHECKING:
    from edge_nusa.device.fleet.pull import Pulled
    from edge_nusa.device.fleet.push import Pushed


class Payload(StrEnum):
    """`--payload`: how the cores of an update travel."""

    FLOAT16 = "float16"
    INT8 = "int8"


def init(
    store: Annotated[str, typer.Argument(help="The fleet's store: a folder, or s3://BUCKET/PREFIX.")],
    root: Annotated[Path, typer.Option("--root", help="root.json from the hub, brought by a way you trust.")],
    rounds: Annotated[
        Optional[str],
        typer.Option(
            help="Pull from this mirror of the hub instead: oci://HOST/NAME, S3 or a folder.", show_default=False
        ),
    ] = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    format: FormatOption = None,
) -> None:
    """Make this device a member of a fleet. It makes its keys, and trusts the fleet's root."""
    from edge_nusa.device.fleet.joining import join
    from edge_nusa.device.model import Model

    made = join(Model.open(bundle, state), store, root, rounds)
    who = f"this device is {made.device[:16]} of the fleet {made.fleet[:16]}"
    words = f"{who}; bring {made.public_key} to the hub: edge-nusa hub enroll device.pub"
    output.show(made, words, format)


PayloadOption = Annotated[Payload, typer.Option(help="How the cores of an update travel.")]
BytesOption = Annotated[
    Optional[str],
    typer.Option(
        "--max-bytes",
        metavar="SIZE",
        help="Neither send nor fetch more at once, such as 500K or 20M.",
        show_default=False,
    ),
]


def push(
    payload: PayloadOption = Payload.FLOAT16,
    max_bytes: BytesOption = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    format: FormatOption = None,
) -> None:
    """Send what was learned here since the last push."""
    from edge_nusa.device.fleet import push as fleet
    from edge_nusa.device.model import Model

    done = fleet.push(Model.open(bundle, state), payload.value, memory_bytes(max_bytes, "--max-bytes"))
    output.show(done, lambda: _pushed(done), format)


def pull(
    force: Annotated[bool, typer.Option("--force", help="Take the round even where the judge refuses it.")] = False,
    max_bytes: BytesOption = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    threads: ThreadsOption = 0,
    format: FormatOption = None,
) -> None:
    """Take what the fleet learned, if the judge lets it."""
    from edge_nusa.device.fleet import pull as fleet
    from edge_nusa.device.model import Model

    done = fleet.pull(Model.open(bundle, state, threads), force, memory_bytes(max_bytes, "--max-bytes"))
    output.show(done, lambda: _pulled(done), format)


def run(
    payload: PayloadOption = Payload.FLOAT16,
    max_bytes: BytesOption = None,
    between: Annotated[
        Optional[str],
        typer.Option(
            help="Only at these hours of this clock, such as 01:00-05:00; else do nothing.", show_default=False
        ),
    ] = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    threads: ThreadsOption = 0,
    format: FormatOption = None,
) -> None:
    """Push, then pull."""
    from edge_nusa.device.fleet import pull as pulling
    from edge_nusa.device.fleet import push as pushing
    from edge_nusa.device.fleet import time_window
    from edge_nusa.device.model import Model

    if between is not None and not time_window.is_within(between):
        output.show({"push": None, "pull": None}, f"not between {between}: nothing was done", format)
        return
    model, most = Model.open(bundle, state, threads), memory_bytes(max_bytes, "--max-bytes")
    pushed = pushing.push(model, payload.value, most)
    pulled = pulling.pull(model, most_bytes=most)
    both = {"push": pushed.to_json(), "pull": pulled.to_json()}
    output.show(both, lambda: f"{_pushed(pushed)}\n{_pulled(pulled)}", format)


def status(bundle: BundleOption = None, state: StateOption = None, format: FormatOption = None) -> None:
    """Say where this device stands in its fleet; asks no store."""
    from edge_nusa.device.fleet import status as fleet
    from edge_nusa.device.model import Model

    found = fleet.status(Model.open(bundle, state))
    said = found.to_json() | {"pictures_waiting": list(map(str, found.pictures_waiting))}
    rows = [[name.replace("_", " "), _words(value)] for name, value in said.items()]
    output.show(found, output.table(rows, ["what", "value"]), format)


def _pushed(done: Pushed) -> str:
    others = (
        f"\nanother copy of this state (a restored card, a clone) has sent update {_words(done.others)}: what is in it "
        "comes with the next round"
        if done.others
        else ""
    )
    if done.update is None:
        again = f"; put again what may be missing: {_words(done.sent)}" if done.sent else ""
        return f"nothing new to push{again}{_not_told(done)}{others}"
    gained = ", ".join([*map(in_list, done.labels), *(f"{in_list(key)} forgotten" for key in done.forgets)])
    return (
        f"pushed update {done.update}: {gained}; {done.pictures} pictures, {done.bytes} bytes{_not_told(done)}{others}"
    )


def _not_told(done: Pushed) -> str:
    from edge_nusa.knowledge.waiting import told

    return f"; not shared yet: {told(done.pictures_waiting)}" if done.pictures_waiting else ""


def _pulled(done: Pulled) -> str:
    if done.generation is None or done.retention is None:
        return f"round {done.round} is known already"
    gone = f"; forgotten: {listed(done.forgotten)}" if done.forgotten else ""
    kept = f"{done.retention.vocabulary_agreement:.1f} % of the vocabulary means what it meant"
    return (
        f"took round {done.round} as generation {done.generation}; new: "
        f"{listed(done.new) or 'no label'}{gone}; {kept} (judged by {done.judged_by})"
    )


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {entry}" for name, entry in value.items()) or "none"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
