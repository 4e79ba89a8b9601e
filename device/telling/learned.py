"""What a board has learned, as far as others are told: read from the state's folder, and again where it changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge_nusa.errors import EdgeNusaError
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.state.reader import StateReader

LARGEST_LABELS_BYTES, MOST_LABELS = 1 << 26, 1_000_000
_NEXT_STEP = "see what `edge-nusa doctor` says of the state"
_EXCHANGED = ("metadata/timestamp.json", "sent", "bases")
"""In the folder of a fleet: what changes when something is sent or received."""


@dataclass(frozen=True)
class Learned:
    """generation: 0 for an empty state; labels: their names, in order; last_lesson: when the generation was committed,
    in unix seconds (None: never); state_bytes: of the generation's files."""

    generation: int = 0
    labels: tuple[str, ...] = ()
    last_lesson: float | None = None
    state_bytes: int = 0


class LearnedFolder:
    """The state's folder, looked at as often as one likes: its files are read only after its pointer has changed."""

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        """note: told once of a state that cannot be read, and of the next one that cannot after one that could."""
        self._reader, self._note = StateReader(folder, None), note
        self._seen: tuple[int, ...] | None = None
        self._found, self._is_told = Learned(), False

    @property
    def folder(self) -> Path:
        """Where the state is."""
        return self._reader.folder

    def look(self) -> Learned:
        """What is current now; what was before where it cannot be read."""
        stamp = self._stamp()
        if stamp == self._seen and stamp is not None:
            return self._found
        try:
            self._found = self._read()
            self._seen, self._is_told = stamp, False
        except EdgeNusaError as error:
            if not self._is_told:
                self._note(f"what was learned is not told: {error}")
            self._is_told = True
        return self._found

    def last_sync(self) -> float | None:
        """When this board last sent something to its fleet or received something from it, in unix seconds; None where
        it is in none or never did."""
        times = []
        for name in _EXCHANGED:
            with suppress(OSError):
                times.append((self.folder / "sync" / name).stat().st_mtime)
        return max(times, default=None)

    def _stamp(self) -> tuple[int, ...] | None:
        with suppress(OSError):
            status = (self.folder / "CURRENT").stat()
            return status.st_ino, status.st_mtime_ns, status.st_size
        return None

    def _read(self) -> Learned:
        found = self._reader.snapshot(("labels.json",))
        if found is None:
            return Learned()
        generation, files = found
        origin = Origin(str(generation.folder / "labels.json"), _NEXT_STEP)
        rows = parse(files["labels.json"], origin, LARGEST_LABELS_BYTES).records("labels", MOST_LABELS)
        created = None
        with suppress(ValueError):
            created = datetime.fromisoformat(generation.created).timestamp()
        return Learned(
            generation.number,
            tuple(row.text("name") for row in rows),
            created,
            sum(file.bytes for file in generation.files.values()),
        )
