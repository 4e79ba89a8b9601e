"""Whether a bundle's files are still those that were verified: a mapped file that is cut underneath ends the process by
SIGBUS, and one that is written over answers with other weights.

Looking costs a system call a file. It cannot see a change within the very call that follows it, so a bundle is never
written in place: a new one is put beside it and renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from edge_nusa.errors import DamagedError


class BundleChangedError(DamagedError):
    """A file of a bundle was changed, removed or replaced after it was verified."""


class Stamp(NamedTuple):
    """What changes with a file: where it lies, its bytes, and when its content and its node last changed."""

    device: int
    node: int
    bytes: int
    modified: int
    changed: int


def stamp(path: Path) -> Stamp | None:
    """The file's stamp; None where there is none to be had."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def stamps(folder: Path, names: Iterable[str]) -> dict[str, Stamp | None]:
    """Of these files in a folder."""
    return {name: stamp(folder / name) for name in names}


def check(folder: Path, known: dict[str, Stamp | None]) -> None:
    """Raises BundleChangedError naming the first file that is not as it was."""
    for name, before in known.items():
        if stamp(folder / name) != before:
            raise BundleChangedError(
                f"{folder / name}: expected the file that was verified when it was opened, found it changed since; put "
                "a new bundle beside the old one and rename it, and run this again"
            )
