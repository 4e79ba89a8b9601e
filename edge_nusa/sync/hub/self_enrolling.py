"""Making and revoking join tokens, and enrolling whom they bring, under the hub's lock."""

from __future__ import annotations

import os
from pathlib import Path

from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.files import durable
from edge_nusa.sync.hub import admission
from edge_nusa.sync.hub.admission import Admitted
from edge_nusa.sync.hub.folder import read_root
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.tokens import KeptToken, Terms
from edge_nusa.sync.trust.join_token import JoinToken


def make(hub: Hub, terms: Terms, out: Path | None = None) -> JoinToken:
    """A new token of the hub's fleet. out: a new file for it that only its user can read. Raises InputError."""
    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"{out}: expected a folder that is there, found none; make {out.parent}, or name another file")
    made = JoinToken.generate(read_root(hub.folder))
    with hub.state.writer():
        if out is not None:  # before the hub knows it: a token that nobody has is none
            _write(out, made)
        try:
            hub.tokens.add(made, terms)
        except EdgeNusaError:
            if out is not None:
                out.unlink(missing_ok=True)
            raise
    return made


def _write(out: Path, made: JoinToken) -> None:
    if os.path.lexists(out):
        raise InputError(
            f"{out}: expected no file yet, found one; nothing is written over, since it may be a key or another token: "
            "name another"
        )
    with durable.explained(f"write {out}"):
        durable.replace_file(out, made.text.encode() + b"\n")


def revoke(hub: Hub, name: str) -> KeptToken:
    """Take no more devices by a token. Raises InputError where there is none of this name."""
    with hub.state.writer():
        return hub.tokens.revoke(name)


def admit(hub: Hub) -> Admitted:
    """Enrol the boards that ask for it. Raises StoreError where the store does not answer."""
    with hub.state.writer():
        hub.catch_up()
        return admission.admitted(hub)
