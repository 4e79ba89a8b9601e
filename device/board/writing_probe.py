"""Proves that a state can be written: a small file is really written, synced, renamed and removed where it lies."""

from __future__ import annotations

import os
from pathlib import Path

from edge_nusa.device.board.findings import Finding
from edge_nusa.errors import EdgeNusaError
from edge_nusa.files import durable

NAME = "writing the state"
_NEXT_STEP = "make it this user's own and writable (`ls -ld`, `chown`, `mount`), or choose another --state"


def writing(state: Path) -> Finding:
    """Where there is no state yet, the probe goes into the folder in which it would be made. A killed probe is removed
    by the next writer, as whatever a killed writer leaves."""
    places = [place for place in (state, state / "generations") if place.is_dir()]
    if not places:
        places = [next((place for place in state.absolute().parents if place.is_dir()), Path("/"))]
    for place in places:
        try:
            _probe(place)
        except EdgeNusaError as error:
            return Finding(NAME, "error", str(error), _NEXT_STEP)
    made = "" if state.is_dir() else "; it is made by the first lesson"
    return Finding(NAME, "ok", f"a probe was written to {places[-1]} and removed{made}", "")


def _probe(place: Path) -> None:
    with durable.explained(f"write a probe into {place}"):
        try:
            _write(place)
        except FileNotFoundError:  # a writer that began meanwhile took the probe for a killed one's
            _write(place)


def _write(place: Path) -> None:
    first, second = place / durable.temporary_name(), place / durable.temporary_name()
    try:
        durable.write_file(first, b"probe")
        os.rename(first, second)
        durable.sync_folder(place)
    finally:
        for path in (first, second):
            path.unlink(missing_ok=True)
