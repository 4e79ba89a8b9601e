"""A learner for the tests of clusters that says when it learns, and waits until it may end: SWEEP_TESTS is its
folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from edge_nusa.model.bundle import Bundle
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Frozen

LONGEST_SECONDS = 120


class Slow(Frozen):
    """The untouched model, in no hurry."""

    def __init__(self, bundle: Bundle, options: Options) -> None:
        super().__init__(bundle)
        self.seed = options.seed

    def learn(self, view: Any, pictures: Any, seed: int) -> None:
        folder = Path(os.environ["SWEEP_TESTS"])
        note = folder / f"begun-{self.seed}-{view.name}-{os.getpid()}"
        note.touch()
        ends = time.monotonic() + LONGEST_SECONDS
        while not (folder / "release").exists() and time.monotonic() < ends:
            time.sleep(0.02)
        note.with_name(note.name.replace("begun", "ended")).touch()
