"""Who may write a state, and read its keys: the folders that nobody but this user should be able to change."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_nusa.device.board.findings import Finding

NAME = "who may write the state"
WRITERS = stat.S_IWGRP | stat.S_IWOTH
READERS = stat.S_IRWXG | stat.S_IRWXO
MOST_TOLD = 3
"""Faults that one line names."""


def permissions(state: Path) -> Iterator[Finding]:
    """Nothing where there is no state yet."""
    if not state.is_dir():
        return
    faults = [*_folder_above(state.absolute().parent), *_of_state(state)]
    if not faults:
        yield Finding(NAME, "ok", "this user alone", "")
        return
    more = f", and {len(faults) - MOST_TOLD} more" if len(faults) > MOST_TOLD else ""
    yield Finding(
        NAME,
        "warning",
        ", ".join(faults[:MOST_TOLD]) + more,
        f"chown -R $USER {state} && chmod -R go-rwx {state}; whoever may write it can change what is answered, and "
        "whoever has the keys speaks for this device",
    )


def _folder_above(folder: Path) -> Iterator[str]:
    """Whoever may write the folder above may put another state there, but for a sticky one such as /tmp."""
    try:
        mode = os.stat(folder).st_mode
    except OSError:
        return
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield f"{folder} may be written by everybody"


def _of_state(state: Path) -> Iterator[str]:
    for folder in (state, state / "generations", state / "sync", *sorted((state / "sync-left").glob("*"))):
        yield from _faults(folder, WRITERS, "written")
        with suppress(OSError):  # what cannot be looked into is told by who reads it
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                is_key = path.suffix in (".pem", ".key")
                if path.is_file() or is_key:
                    yield from _faults(path, READERS if is_key else WRITERS, "read" if is_key else "written")


def _faults(path: Path, forbidden: int, verb: str) -> Iterator[str]:
    """What is wrong with one entry; a link is judged by what it leads to."""
    try:
        status = os.stat(path)
    except OSError:  # gone meanwhile, or told by who reads it
        return
    if status.st_mode & forbidden:
        yield f"{path} may be {verb} by others ({stat.S_IMODE(status.st_mode):04o})"
    if status.st_uid not in (os.geteuid(), 0):
        yield f"{path} belongs to another user ({status.st_uid})"
