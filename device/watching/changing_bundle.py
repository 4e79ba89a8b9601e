"""A bundle that is being copied or replaced while a watch uses it, or starts: waited for, and told of once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edge_nusa.device.opened import Opened
from edge_nusa.errors import DamagedError, InputError
from edge_nusa.model.unchanged import Stamp, stamps

Found = TypeVar("Found")
LOOK_SECONDS = 1.0
QUIET_SECONDS = 15.0
"""A folder in which nothing changed for so long is not being copied any more: what is wrong with it is damage."""


def whole(folder: Path, opened: Callable[[], Found], note: Callable[[str], None], waits: bool = True) -> Found:
    """What `opened` gives once the bundle in `folder` is whole. Raises what it raises where nothing changes there for
    QUIET_SECONDS, or at once unless it `waits`."""
    is_told, quiet_since = not waits, time.monotonic()
    tried: dict[str, Stamp | None] | None = None
    seen = _listed(folder)
    while True:
        if seen != tried:
            tried = seen
            try:
                return opened()
            except (DamagedError, InputError) as error:
                if not waits:
                    raise
                fault = error
            if not is_told:
                note(f"{fault}; waiting in case it is being copied")
                is_told = True
        before, seen = seen, _after_a_look(folder)
        while seen != before:  # it is being written: only what rests is worth the time of looking at every byte
            quiet_since = time.monotonic()
            before, seen = seen, _after_a_look(folder)
        if seen == tried and time.monotonic() - quiet_since >= QUIET_SECONDS:
            raise fault


def again(opened: Opened, note: Callable[[str], None]) -> Opened:
    """The bundle and state opened anew, once the bundle is whole."""
    note(f"{opened.bundle.folder}: the bundle changed; waiting until it is whole")
    place, state = opened.bundle.folder, opened.state.folder
    asked = opened.handed_in or opened.bundle.provider.name
    return whole(
        place,
        lambda: type(opened).open(place, state, opened.threads, opened.max_memory_bytes, asked),
        lambda text: None,
    )


def _after_a_look(folder: Path) -> dict[str, Stamp | None]:
    time.sleep(LOOK_SECONDS)
    return _listed(folder)


def _listed(folder: Path) -> dict[str, Stamp | None]:
    """Every file in the folder with its stamp; none where there is no folder."""
    try:
        return stamps(folder, sorted(os.listdir(folder)))
    except OSError:
        return {}
