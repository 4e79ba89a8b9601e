"""Hold to record: pictures of the board's camera that differ go into the drawer, until the hold ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from PIL import Image

from edge_nusa.device.camera.frame import CameraState, Frame
from edge_nusa.device.learning.screen import COPY_CORRELATION, largest_correlation, thumbnail
from edge_nusa.device.teaching.denied import FullError
from edge_nusa.device.teaching.drawer import Drawer, HeldPicture
from edge_nusa.device.teaching.reading import KEPT_SIDE, kept_of, smaller

MOST_SECONDS, MOST_PICTURES = 60.0, 50
"""Of one hold."""
LEAST_SECONDS = 0.2
"""Between two pictures."""


class FrameSource(Protocol):
    """What the page needs of a camera (`edge_nusa.device.camera.camera.Camera`)."""

    @property
    def state(self) -> CameraState:
        """How it does now."""

    def latest(self, after: int = -1, timeout: float = 5.0) -> Frame | None:
        """The newest frame with a greater number than `after`."""

    def close(self) -> None:
        """End it, from any thread."""


class Recording:
    """One hold, in a thread of its own, which ends after `seconds`, after MOST_PICTURES, by `stop`, or with the
    camera; told: is called after each picture."""

    def __init__(
        self, camera: FrameSource, drawer: Drawer, label: str, seconds: float, told: Callable[[], None]
    ) -> None:
        self.label, self.seconds = label, min(seconds, MOST_SECONDS)
        self._camera, self._drawer, self._told = camera, drawer, told
        self._found: list[HeldPicture] = []
        self._set_aside: list[dict[str, str]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge-nusa-record", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it records still."""
        return self._thread.is_alive()

    def stop(self) -> dict[str, Any]:
        """End it; what it recorded, and what was set aside, as JSON."""
        self._stopped.set()
        self._thread.join()
        return {"pictures": [one.to_json() for one in self._found], "set_aside": list(self._set_aside)}

    def _run(self) -> None:
        ends, number, copies = time.monotonic() + self.seconds, -1, 0
        known: list[np.ndarray] = []
        while self._goes_on() and time.monotonic() < ends:
            frame = self._camera.latest(number, LEAST_SECONDS)
            if frame is None:
                continue
            number, picture = frame.number, smaller(Image.fromarray(frame.image), KEPT_SIDE)
            small = thumbnail(picture.convert("L"))
            if _is_copy(known, small):
                copies += 1
            else:
                known.append(small)
                try:
                    self._found.append(self._drawer.add(self.label, frame.name, kept_of(picture)))
                    self._told()
                except FullError as error:
                    self._set_aside.append({"name": frame.name, "reason": str(error)})
                    return
            self._stopped.wait(LEAST_SECONDS)
        if copies:
            reason = "nearly the same picture as another one of this hold; move the thing, or the camera"
            self._set_aside.append({"name": "1 picture" if copies == 1 else f"{copies} pictures", "reason": reason})

    def _goes_on(self) -> bool:
        """Whether there is room in this hold, and a camera that may give more."""
        return not (self._stopped.is_set() or self._camera.state.is_over) and len(self._found) < MOST_PICTURES


def _is_copy(known: list[np.ndarray], small: np.ndarray) -> bool:
    return bool(known) and largest_correlation(known, small) >= COPY_CORRELATION
