"""The numbers of a watch since it began, and those of its board; Prometheus and node_exporter are told of them."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_nusa.device.telling.learned import Learned, LearnedFolder
from edge_nusa.device.telling.reasons import KINDS, kind_of
from edge_nusa.device.telling.told import Answer, Aside, Told

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the counts of what a picture took."""


@dataclass
class Counts:
    """answered: pictures with a line of an answer, unknown: those of them of none of the labels; aside: by kind; took:
    pictures by the first of SECONDS that they did not exceed, and those beyond; last: when the last line came, in unix
    seconds; is_camera_up: None where no camera is watched."""

    answered: int = 0
    unknown: int = 0
    aside: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    took: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    took_seconds: float = 0.0
    last: float | None = None
    is_camera_up: bool | None = None

    def add(self, told: Told) -> None:
        """Count one."""
        self.last = time.time()
        if isinstance(told, Aside):
            self.aside[kind_of(told.reason)] += 1
        elif isinstance(told, Answer):
            self.answered += 1
            self.unknown += not told.known
            if told.seconds is not None:
                self.took[bisect_left(SECONDS, told.seconds)] += 1
                self.took_seconds += told.seconds
        else:
            self.is_camera_up = told.is_up


class Numbers:
    """What is counted of one watch; any thread may count and look."""

    def __init__(self, state: Path, note: Callable[[str], None]) -> None:
        """state: the folder of what was learned; note: told once where it cannot be read."""
        self._folder, self._looks = LearnedFolder(state, note), threading.Lock()
        self._counts, self._lock = Counts(), threading.Lock()

    def tell(self, told: Told) -> None:
        """Count one line."""
        with self._lock:
            self._counts.add(told)

    def counts(self) -> Counts:
        """As they are now."""
        with self._lock:
            now = self._counts
            return Counts(**{**vars(now), "aside": dict(now.aside), "took": list(now.took)})

    def learned(self) -> tuple[Learned, float | None]:
        """What the board knows, and when it last exchanged with its fleet; while it reads the disk no line waits."""
        with self._looks:
            return self._folder.look(), self._folder.last_sync()
