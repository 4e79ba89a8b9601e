"""`sync init`: a device joins a fleet, by the fleet's root or by a join token."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.options import BundleOption, FormatOption, StateOption
from edge_nusa.errors import InputError, UsageError

if TYPE_CHECKING:
    from edge_nusa.sync.trust.join_token import JoinToken

VARIABLE = "EDGE_NUSA_JOIN_TOKEN"
"""The token itself; what a process was given in its arguments everyone on the machine can list, its environment only
its user."""


def init(
    store: Annotated[
        str, typer.Argument(help="The fleet's store: a folder, s3://BUCKET/PREFIX, or flower://HOST:PORT.")
    ],
    root: Annotated[
        Optional[Path],
        typer.Option(
            "--root",
            help="root.json from the hub, brought by a way you trust; a token brings it too.",
            show_default=False,
        ),
    ] = None,
    token: Annotated[
        Optional[str],
        typer.Option(
            metavar="FILE", help="Enrol by the join token in this file, or on stdin (`-`).", show_default=False
        ),
    ] = None,
    rounds: Annotated[
        Optional[str],
        typer.Option(
            help="Pull from this mirror of the hub instead: oci://HOST/NAME, https://HOST/PATH, S3 or a folder.",
            show_default=False,
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the store whether it answers and is this fleet's.")
    ] = False,
    no_reports: Annotated[
        bool, typer.Option("--no-reports", help="Do not tell the hub after pulls where this device stands.")
    ] = False,
    bundle: BundleOption = None,
    state: StateOption = None,
    format: FormatOption = None,
) -> None:
    """Join a fleet: make keys, trust its root, ask its store."""
    from edge_nusa.device.fleet.joining import Wishes, join
    from edge_nusa.device.model import Model

    read = _token(token)
    if read is not None and offline:
        whence = f" ({VARIABLE} is set)" if token is None else ""
        raise UsageError(
            f"sync init: expected a join token{whence} or --offline, found both; the token is of use in the store"
        )
    wishes = Wishes(is_offline=offline, has_reports=not no_reports)
    made = join(Model.open(bundle, state), store, root, rounds, token=read, wishes=wishes)
    who = f"this device is {made.device[:16]} of the fleet {made.fleet[:16]}"
    if not made.is_new:
        words = f"{who} already, nothing was changed; `edge-nusa sync set-store` names a moved store"
        output.show(made, words, format)
        return
    asked = "the hub enrols it with its next `edge-nusa hub merge`; then `edge-nusa sync run`"
    words = f"{who}; bring {made.public_key} to the hub: edge-nusa hub enroll device.pub"
    output.show(made, f"{who}; {asked}" if made.token else words, format)


def _token(place: str | None) -> JoinToken | None:
    """The token in a file, on stdin, or in the variable; None for none. Raises UsageError for a token in place of its
    file, which it does not repeat, and InputError."""
    from edge_nusa.sync.trust import join_token

    if place is None:
        text = os.environ.get(VARIABLE)
        return join_token.decode(text.encode(), VARIABLE) if text else None
    if join_token.is_like(place):
        raise UsageError(
            "--token: expected the file of a join token or -, found a token itself, which whoever lists processes has "
            "now read; revoke it (`edge-nusa hub token --revoke`), and give another by its file"
        )
    return join_token.decode(_read(place), "--token -" if place == "-" else place)


def _read(place: str) -> bytes:
    from edge_nusa.files.durable import explained, read_named
    from edge_nusa.sync.trust.join_token import LARGEST_TOKEN_BYTES

    if place != "-":
        if not Path(place).exists():
            raise InputError(
                f"--token {place}: expected the file of a join token, found no such file; bring it from the hub"
            )
        with explained(f"read {place}"):
            return read_named(Path(place), LARGEST_TOKEN_BYTES + 1)
    if sys.stdin is None:
        raise InputError("--token -: expected a join token on stdin, found it closed; name its file instead")
    return sys.stdin.buffer.read(LARGEST_TOKEN_BYTES + 1)
