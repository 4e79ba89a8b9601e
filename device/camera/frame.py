"""What a camera gives: frames, how it does, and the settings that bound both."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

MOST_PIXELS = 4096 * 3072
"""Of a camera's picture as it comes: that of the largest camera of a Raspberry Pi."""
MOST_SIDE = 1280
"""Of a frame as it is handed out: five times what the model reads."""


@dataclass(frozen=True)
class Frame:
    """One picture of a camera. number: counts up from 0, whatever happens to the camera in between; taken: seconds
    since 1970; image: (H, W, 3) uint8 RGB, upright, not to be written to."""

    number: int
    taken: float
    image: np.ndarray = field(repr=False)

    @property
    def name(self) -> str:
        """What an answer calls it, such as `camera 2026-11-26T20:15:00.000Z`."""
        return f"camera {utc(self.taken)}"


def utc(seconds: float) -> str:
    """A time as ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class CameraState:
    """How a camera does. is_ok: it gives frames; since: when that began, seconds since 1970; reason: why it gives none,
    in words, "" where it does and while it is opened for the first time; is_over: there will be no frame any more, as
    after the end of a video file."""

    is_ok: bool
    since: float
    reason: str = ""
    is_over: bool = False


@dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """seconds: how often frames are wanted at most; most_side: frames are scaled down to so many pixels a side;
    most_pixels: a camera whose picture has more is refused; silence: seconds without a frame or data after which it is
    opened again; pauses: seconds before each try to open it again, the last one for ever; login: `user:password` where
    it is not in the address; repeats: a video file begins again at its end."""

    seconds: float = 0.1
    most_side: int = MOST_SIDE
    most_pixels: int = MOST_PIXELS
    silence: float = 10.0
    pauses: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 30.0)
    login: str | None = field(default=None, repr=False)
    repeats: bool = False


def now_ok() -> CameraState:
    """It gives frames, from now on."""
    return CameraState(True, time.time())
