"""`sync push`, `pull`, `run`, `status`, `leave` and `set-store`: a device's part in a fleet."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.options import BundleOption, FormatOption, StateOption, ThreadsOption, memory_bytes
from edge_nusa.errors import UsageError
from edge_nusa.knowledge.labels import in_list, listed, quoted

if TYPE_CHECKING:
    from edge_nusa.device.fleet.exchange import Exchanged
    from edge_nusa.device.fleet.leaving import Left
    from edge_nusa.device.fleet.pull import Pulled
    from edge_nusa.device.fleet.push import Pushed


class Payload(StrEnum):
    """`--payload`: how the cores of an update travel."""

    FLOAT16 = "float16"
    INT8 = "int8"


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
    """Push, then pull, also where the push fails."""
    from edge_nusa.device.fleet import time_window
    from edge_nusa.device.fleet.exchange import exchange
    from edge_nusa.device.model import Model

    if between is not None and not time_window.is_within(between):
        nothing = dict.fromkeys(("push", "pull", "push_error", "pull_error"))
        output.show(nothing, f"not between {between}: nothing was done", format)
        return
    model, most = Model.open(bundle, state, threads), memory_bytes(max_bytes, "--max-bytes")
    done = exchange(model, payload.value, most)
    output.show(done, lambda: _exchanged(done), format)
    if done.exit_code:
        raise typer.Exit(_told(done))


def _exchanged(done: Exchanged[Pulled]) -> str:
    pushed = f"push: {_pushed(done.push)}" if done.push else "push: failed"
    pulled = f"pull: {_pulled(done.pull)}" if done.pull else "pull: failed"
    return f"{pushed}\n{pulled}"


def _told(done: Exchanged[Pulled]) -> int:
    """Tell each error on stderr, once where both have the same; the exit code."""
    errors = {str(error): name for name, error in (("pull", done.pull_error), ("push", done.push_error)) if error}
    for text, name in reversed(errors.items()):
        both = done.push_error and done.pull_error and len(errors) == 1
        output.note(f"edge-nusa: {'push and pull' if both else name}: {text}")
    return done.exit_code


def leave(bundle: BundleOption = None, state: StateOption = None, format: FormatOption = None) -> None:
    """Leave the fleet; what was learned stays here."""
    from edge_nusa.device.fleet.leaving import leave as left
    from edge_nusa.device.model import Model
    from edge_nusa.state.generation import NO_USE

    model = Model.open(bundle, state)
    labels: tuple[str, ...] = ()
    with suppress(*NO_USE):  # what is damaged is no reason to stay
        labels = tuple(model.known()[1].names)
    done = left(model, labels)
    output.show(done, lambda: _left(done), format)


def _left(done: Left) -> str:
    lost = f"; the fleet was never told of {done.unsent_pictures} pictures" if done.unsent_pictures else ""
    return (
        f"left the fleet {done.fleet[:16]}: nothing is exchanged any more{lost}\n"
        f"stays here: {listed(done.labels) or 'no label'}; what the fleet was told stays there\n"
        f"keys and rounds are in {done.folder}: `edge-nusa sync init STORE --root root.json`, with the root of this "
        "fleet, takes them up again as the same device\n"
        f"whoever runs the hub can shut it out: edge-nusa hub revoke {done.device[:16]}"
    )


def set_store(
    store: Annotated[str, typer.Argument(help="Where the fleet's store is now: a folder, or s3://BUCKET/PREFIX.")],
    rounds: Annotated[
        Optional[str],
        typer.Option(help="Pull from this mirror; the one until now where none is given.", show_default=False),
    ] = None,
    no_rounds: Annotated[bool, typer.Option("--no-rounds", help="Pull from the store, and from no mirror.")] = False,
    bundle: BundleOption = None,
    state: StateOption = None,
    format: FormatOption = None,
) -> None:
    """Ask a moved store from now on, if it is the fleet's."""
    from edge_nusa.device.fleet.moving import set_store as moved
    from edge_nusa.device.model import Model

    if rounds is not None and no_rounds:
        raise UsageError("sync set-store: expected --rounds PLACE or --no-rounds, found both; give one of them")
    done = moved(Model.open(bundle, state), store, rounds, has_mirror=not no_rounds)
    mirror = f", rounds from {done.rounds}" if done.rounds else ""
    output.show(done, f"the store is {done.store} now{mirror}; it was {done.before}", format)


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
    untold = f"\nthe hub was not told where this device stands: {done.report_error}" if done.report_error else ""
    if done.generation is None or done.retention is None:
        return f"round {done.round} is known already{untold}"
    gone = f"; forgotten: {listed(done.forgotten)}" if done.forgotten else ""
    gone += "".join(f"; {quoted(old)} is called {quoted(new)} now" for old, new in done.renamed.items())
    kept = f"{done.retention.vocabulary_agreement:.1f} % of the vocabulary means what it meant"
    return (
        f"took round {done.round} as generation {done.generation}; new: "
        f"{listed(done.new) or 'no label'}{gone}; {kept} (judged by {done.judged_by}){untold}"
    )


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {entry}" for name, entry in value.items()) or "none"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
