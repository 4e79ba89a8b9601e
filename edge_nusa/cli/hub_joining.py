"""`hub enroll`, `token`, `tokens` and `admit`: how boards come into a fleet."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.hub import HubOption, opened_hub
from edge_nusa.cli.options import BundleOption, FormatOption
from edge_nusa.errors import InputError, UsageError

if TYPE_CHECKING:
    from edge_nusa.sync.hub.enrolled import Device
    from edge_nusa.sync.hub.hub import Hub

LARGEST_PUBLIC_BYTES = 8192
_READS = "now `edge-nusa hub publish` (before the first round: once one is merged), or no round can be read there"


def enroll(
    public_key: Annotated[
        Path, typer.Argument(help="The device.pub that `edge-nusa sync init` wrote, or a folder of such *.pub.")
    ],
    name: Annotated[
        str, typer.Option(help="What you call the device; of a folder, how the names of its files go on.")
    ] = "",
    lower_hub: Annotated[
        bool,
        typer.Option("--lower-hub", help="It is the hub of a smaller fleet, and may bring what many devices gave."),
    ] = False,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Let a device take part, or every one of a folder."""
    opened = opened_hub(hub, bundle)
    if public_key.is_dir():
        if lower_hub:
            raise UsageError("hub enroll: expected the device.pub of one lower hub, found a folder; give the file")
        _enroll_all(opened, public_key, name, format)
        return
    device = _enrolled(opened, public_key, name, lower_hub)
    words = f"{_enrols(device.key.keyid, device.name)}; {_READS}"
    output.show({"device": device.key.keyid, "name": device.name}, words, format)


def _enrols(device: str, name: str) -> str:
    return f"enrolled {device[:16]} {name}".rstrip()


def _enrolled(hub: Hub, path: Path, name: str, is_hub: bool = False) -> Device:
    from edge_nusa.files.durable import read_named

    try:
        data = read_named(path, LARGEST_PUBLIC_BYTES)
    except OSError as error:
        raise InputError(
            f"{path}: expected the device.pub of a device, found {error.strerror}; bring it from the device"
        ) from error
    return hub.enroll(data, name, str(path), is_hub)


def _enroll_all(hub: Hub, folder: Path, prefix: str, format: output.Format | None) -> None:
    """Each *.pub under the name of its file; what is refused holds back no other, and makes the exit code 1."""
    devices, refused = list[dict[str, str]](), list[dict[str, str]]()
    paths = sorted(folder.glob("*.pub"))
    if not paths:
        raise InputError(f"{folder}: expected files named *.pub, found none; bring each board's device.pub there")
    for path in paths:
        try:
            device = _enrolled(hub, path, prefix + path.stem)
            devices.append({"file": path.name, "device": device.key.keyid, "name": device.name})
        except InputError as error:
            refused.append({"file": path.name, "reason": str(error)})
    lines = [_enrols(one["device"], one["name"]) for one in devices]
    lines += [f"refused: {one['reason']}" for one in refused]
    content = {"enrolled": devices, "refused": refused}
    output.show(content, "\n".join([*lines, f"{len(devices)} of {len(paths)} enrolled; {_READS}"]), format)
    if refused:
        raise typer.Exit(InputError.exit_code)


def token(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=365, help="For how many days it brings devices.")] = 7,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many devices it brings.")] = 40,
    name: Annotated[str, typer.Option(help="How their names begin; a number follows.", show_default=False)] = "",
    out: Annotated[
        Optional[Path], typer.Option(help="Write it to this new file, which only you can read.", show_default=False)
    ] = None,
    revoke: Annotated[
        Optional[str], typer.Option(metavar="ID", help="Take no more devices by this one instead.", show_default=False)
    ] = None,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Make a join token, by which boards enrol themselves."""
    from edge_nusa.sync.hub import self_enrolling
    from edge_nusa.sync.hub.tokens import Terms

    if revoke is not None and (said := _said_of_new(context)):
        raise UsageError(
            f"hub token: expected --revoke alone, found {said} beside it, which is for a new token; leave it out"
        )
    opened = opened_hub(hub, bundle)
    if revoke is not None:
        one = self_enrolling.revoke(opened, revoke)
        words = f"the token {one.name} brings no more devices; those that it brought stay (`edge-nusa hub revoke NAME`)"
        output.show({"id": one.name, "revoked": True}, words, format)
        return
    terms = Terms.of(days, count, name, datetime.now(UTC))
    made = self_enrolling.make(opened, terms, out)
    _show_token(made.text, made.name, terms, out, format)


def _said_of_new(context: typer.Context) -> str:
    """The options of a new token that the command line has."""
    names = ("days", "count", "name", "out")
    sources = {name: context.get_parameter_source(name) for name in names}
    return ", ".join(f"--{name}" for name, source in sources.items() if source and source.name == "COMMANDLINE")


def _show_token(text: str, name: str, terms: Any, out: Path | None, format: output.Format | None) -> None:
    until = f"{terms.until:%Y-%m-%d %H:%M} UTC"
    content = {"id": name, "until": terms.until.isoformat(), "count": terms.count, "name": terms.prefix}
    where = {"file": str(out)} if out else {"token": text}
    output.note(
        f"the token {name} brings {terms.count} devices until {until}; who has it can enrol: send it by no mail"
    )
    output.show({**where, **content}, str(out) if out else text, format)


def tokens(bundle: BundleOption = None, hub: HubOption = None, format: FormatOption = None) -> None:
    """List the join tokens. How many devices each brought, until when, and whether it is over."""
    opened, now = opened_hub(hub, bundle), datetime.now(UTC)
    used = Counter(one.token for one in opened.enrolled.all())
    found = [
        {
            "id": one.name,
            "name": one.terms.prefix,
            "used": used[one.name],
            "count": one.terms.count,
            "until": one.terms.until.isoformat(),
            "over": one.why_not(used[one.name], now),
        }
        for one in opened.tokens.all()
    ]
    rows = [
        [str(one["id"]), str(one["name"]), f"{one['used']} of {one['count']}", str(one["until"])[:16], str(one["over"])]
        for one in found
    ]
    table = output.table(rows, ["token", "names", "devices", "until (UTC)", "over, since"]) if rows else "no token"
    output.show({"tokens": found}, table, format)


def admit(bundle: BundleOption = None, hub: HubOption = None, format: FormatOption = None) -> None:
    """Enrol the boards that ask by a join token. `hub merge` does it first."""
    from edge_nusa.sync.hub import admission, self_enrolling

    opened = opened_hub(hub, bundle)
    done = self_enrolling.admit(opened)
    none = "nobody asks to be enrolled" if opened.tokens.all() else f"there is no token: {admission.NOT_LOOKED}"
    output.show(done, "\n".join([*done.words()]) or none, format)
