"""Frames of the board's camera that are kept for a while: those that were answered last, so that a wrong answer can be
corrected, and those that the model was unsure of, for a person to look through. In memory alone."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import numpy as np
from PIL import Image

from edge_nusa.device.learning.screen import COPY_CORRELATION, largest_correlation, thumbnail
from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.device.teaching.reading import KEPT_SIDE, Kept, kept_of, smaller
from edge_nusa.files.foreign import named

MOST_UNSURE = 60
MOST_ANSWERED = 60
"""At five answers a second twelve seconds, in which a person who sees a wrong one can touch it."""
UNSURE_BELOW = 0.6
"""A best probability under this is unsure, as `watch --keep-below` has it."""
EVERY_SECONDS = 1.0
"""An unsure frame is kept at most so often."""


@dataclass(frozen=True, kw_only=True)
class KeptFrame:
    """One frame. name: what it is called; taken: seconds since 1970; answer: as JSON."""

    id: str
    name: str
    taken: float
    kept: Kept
    answer: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """A row of /api/review."""
        return {
            "id": self.id,
            "answer": self.answer["best"],
            "known": self.answer["known"],
            "taken": self.taken,
            "width": self.kept.width,
            "height": self.kept.height,
        }


def is_unsure(answer: Mapping[str, Any]) -> bool:
    """Whether an answer as JSON is worth a person's look."""
    return bool(answer["unknown"]) or answer["labels"][0]["probability"] < UNSURE_BELOW


class Review:
    """Used by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered: dict[str, KeptFrame] = {}
        self._unsure: dict[str, tuple[KeptFrame, np.ndarray]] = {}
        self._run, self._given, self._newest = token_hex(2), 0, float("-inf")

    def __len__(self) -> int:
        with self._lock:
            return len(self._unsure)

    def add(self, image: np.ndarray, name: str, taken: float, answer: Mapping[str, Any]) -> tuple[str, bool]:
        """Keep a frame (H, W, 3) uint8 RGB that was answered; its id, and whether it is one to look through: unsure,
        not too soon after another, and no near copy of one."""
        picture = smaller(Image.fromarray(image), KEPT_SIDE)
        small, kept = (
            thumbnail(picture.convert("L")),
            kept_of(picture),
        )  # not under the lock, which the server waits for
        with self._lock:
            self._given += 1
            frame = KeptFrame(id=f"f{self._run}-{self._given}", name=name, taken=taken, kept=kept, answer=answer)
            self._answered[frame.id] = frame
            _bound(self._answered, MOST_ANSWERED)
            if not is_unsure(answer) or taken - self._newest < EVERY_SECONDS or self._is_copy(small):
                return frame.id, False
            self._newest = taken
            self._unsure[frame.id] = (frame, small)
            _bound(self._unsure, MOST_UNSURE)
            return frame.id, True

    def find(self, id: str) -> KeptFrame | None:
        """The frame of this id, while it is kept."""
        with self._lock:
            return self._find(id)

    def unsure(self) -> list[KeptFrame]:
        """Those to look through, the newest first."""
        with self._lock:
            return [frame for frame, _ in reversed(self._unsure.values())]

    def pick(self, ids: Sequence[str]) -> list[KeptFrame]:
        """The frames of these ids. Raises DeniedError where one is kept no more."""
        with self._lock:
            found = [self._find(id) for id in ids]
        for id, frame in zip(ids, found, strict=True):
            if frame is None:
                raise DeniedError(
                    404, f"expected a frame that is kept still, found none called {named(id)}; look again"
                )
        return [frame for frame in found if frame is not None]

    def let_go(self, id: str) -> None:
        """A frame was looked through, or corrected: it is kept here no more."""
        with self._lock:
            self._answered.pop(id, None)
            self._unsure.pop(id, None)

    def _find(self, id: str) -> KeptFrame | None:
        unsure = self._unsure.get(id)
        return unsure[0] if unsure is not None else self._answered.get(id)

    def _is_copy(self, small: np.ndarray) -> bool:
        known = [one for _, one in self._unsure.values()]
        return bool(known) and largest_correlation(known, small) >= COPY_CORRELATION


def _bound(kept: dict[str, Any], most: int) -> None:
    for id in list(kept)[:-most]:
        del kept[id]
