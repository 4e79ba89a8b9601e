"""Watches a folder into which a camera drops pictures, and answers each once, whatever ends the process in between.

The folder is listed again and again rather than watched by inotify: a network share, FUSE or a camera's own mount says
nothing through inotify, and a picture must be looked at twice anyway to see that the camera has finished writing it.
A picture is answered when two looks found the same size and time. Its line is written first and the ledger after it, so
a kill in between repeats a line and never loses one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from edge_nusa.device.asking.predict import Predictor
from edge_nusa.device.opened import Opened
from edge_nusa.device.watching.ledger import LEFT_OUT, Ledger, Stamp
from edge_nusa.device.watching.uncertain import UncertainFolder
from edge_nusa.errors import InputError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.pictures.names import WRONG_NAME
from edge_nusa.pictures.pictures import Quarantined, find_pictures, printable
from edge_nusa.state.generation import Generation

PAUSE_A_LOOK = 9
"""The pause is at least so many times as long as listing the folder took: listing takes a tenth of the time at most."""
PICTURES_A_ROUND = 16
"""After so many answers the lines are synced, the ledger is written and the state is looked at again."""
NOTHING = "nothing was learned yet and no labels were offered"
Line = dict[str, Any]
"""`{"image", "labels", "unknown", "generation", "time", "kept"}` or `{"image", "reason", "time"}`; `image` is
printable."""


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: Line) -> None:
        """Put one line out."""

    def sync(self) -> None:
        """Make what was put out durable, as far as the sink can."""


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """folder: what is watched; others: labels offered beside the learned ones; top: so many labels a line (None: all);
    seconds between two looks; deletes: whether an answered picture is removed from the folder."""

    folder: Path
    others: Sequence[str] = ()
    top: int | None = None
    seconds: float = 1.0
    deletes: bool = False


class Watch:
    """One watched folder with its ledger, the sink of its lines, and the folder of uncertain pictures where one is
    kept."""

    def __init__(
        self,
        workplace: Opened,
        settings: WatchSettings,
        ledger: Ledger,
        sink: Sink,
        uncertain: UncertainFolder | None = None,
    ) -> None:
        self.workplace, self.settings, self.ledger, self.sink, self.uncertain = (
            workplace,
            settings,
            ledger,
            sink,
            uncertain,
        )
        self._growing: dict[Path, Stamp] = {}
        self._predictor: Predictor | None = None
        self._current: Generation | None = None

    def run(self, note: Callable[[str], None]) -> None:
        """Look, answer, pause, for ever. Raises InputError where the folder cannot be read, DamagedError,
        ResourceError."""
        is_told = False
        while True:
            began = time.monotonic()
            ready, left_out = self._look()
            pause = max(self.settings.seconds, PAUSE_A_LOOK * (time.monotonic() - began))
            if self._is_able():
                self._answer(ready, left_out)
            else:
                self._growing |= ready
                if not is_told:
                    note(f"{NOTHING}; waiting for `edge-nusa learn`")
                    is_told = True
            time.sleep(pause)

    def once(self) -> None:
        """Look twice, answer what is complete, and return. Raises what `run` raises, and InputError where nothing
        can be answered."""
        if not self._is_able():
            raise InputError(f"{NOTHING}; pass --label NAME, or teach one with `edge-nusa learn`")
        ready, _ = self._look()
        self._growing |= ready
        time.sleep(self.settings.seconds)
        self._answer(*self._look())

    def _look(self) -> tuple[dict[Path, Stamp], list[Quarantined]]:
        """Complete pictures that were not answered yet with their stamps, and entries that are no picture's file, to
        be said once."""
        paths, faults = find_pictures(self.settings.folder)
        faults = [
            fault for fault in faults if fault.reason != WRONG_NAME
        ]  # the camera's own temporary files among them
        found = {
            path: stamp for path in paths if (stamp := stamp_of(path)) is not None and not self.ledger.has(path, stamp)
        }
        ready = {path: stamp for path, stamp in found.items() if self._growing.get(path) == stamp}
        self._growing = {path: stamp for path, stamp in found.items() if path not in ready}
        self.ledger.forget_gone([*paths, *(Path(fault.image) for fault in faults)])
        return ready, [fault for fault in faults if not self.ledger.has(Path(fault.image), LEFT_OUT)]

    def _answer(self, ready: dict[Path, Stamp], left_out: list[Quarantined]) -> None:
        for entry in left_out:
            self.sink.write(_set_aside(entry))
        self._remember({Path(entry.image): LEFT_OUT for entry in left_out})
        names = list(ready)
        for start in range(0, len(names), PICTURES_A_ROUND):
            if not self._is_able():  # all was undone meanwhile
                self._growing |= {path: ready[path] for path in names[start:]}
                return
            part = {path: ready[path] for path in names[start : start + PICTURES_A_ROUND]}
            answered = self._round(list(part))
            self._remember(part)
            if self.settings.deletes:
                for path in answered:
                    if stamp_of(path) == part[path]:  # else a new picture has taken its name
                        path.unlink(missing_ok=True)

    def _round(self, paths: list[Path]) -> list[Path]:
        """Put a line out for each of these; returns those that got an answer."""
        assert self._predictor is not None
        answered = []
        for path, result in zip(paths, self._predictor(paths, self.settings.top), strict=True):
            if isinstance(result, Quarantined):
                self.sink.write(_set_aside(result))
                continue
            kept = self.uncertain.keep(path) if self.uncertain and self.uncertain.is_unsure(result) else None
            self.sink.write(
                {
                    **result,
                    "image": printable(path),
                    "generation": self._predictor.generation,
                    "time": _now(),
                    "kept": kept,
                }
            )
            answered.append(path)
        return answered

    def _remember(self, files: dict[Path, Stamp]) -> None:
        if files:
            self.sink.sync()
            self.ledger.add(files)

    def _is_able(self) -> bool:
        """Take up what was learned since the last time; False where there is no label to choose from."""
        current = self.workplace.state.current()
        if self._predictor is not None and current == self._current:
            return True
        self._predictor = None
        try:
            self._predictor, self._current = Predictor(self.workplace, self.settings.others), current
        except InputError:
            if self.settings.others:
                raise
            return False
        return True


def _set_aside(entry: Quarantined) -> Line:
    return {"image": entry.image, "reason": entry.reason, "time": _now()}


def default_ledger(workplace: Opened, folder: Path) -> Path:
    """Where the ledger of a watched folder is: in the state's folder, one for each folder watched."""
    return workplace.state.folder / f"watch-{sha256_hex(os.fsencode(folder.resolve()))[:16]}.sqlite"


def stamp_of(path: Path) -> Stamp | None:
    """The file's stamp; None where it is gone or cannot be looked at."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return Stamp(status.st_size, status.st_mtime_ns)


def _now() -> str:
    """The time in UTC, ISO 8601, for people; nothing depends on it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
