"""A camera that is open: a thread that watches over its child and opens it again, and the newest frame for whoever
asks.

Frames are taken when somebody asks for one: nobody asking costs next to nothing, and no frame is older than it must
be.
"""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

from edge_nusa.device.camera.child import END_SECONDS, Child, Ended
from edge_nusa.device.camera.frame import CameraSettings, CameraState, Frame, now_ok
from edge_nusa.device.camera.source import PICAMERA, Source, source_of
from edge_nusa.errors import MissingPackageError, ResourceError

START_SECONDS = 20.0
"""What a child may take to be there, on a small board that is busy."""
OPEN_SECONDS = 20.0
"""What a camera may take to open, from then on."""
LONGEST_GAP = 60.0
"""Seconds between two whole pictures of a stream that are waited for."""
FRESH_SECONDS = 1.0
"""A frame that was taken by so many seconds at most before is new enough for whoever asks."""
LOOK_SECONDS = 0.25
_log = logging.getLogger(__name__)


def open_camera(source: str, settings: CameraSettings | None = None) -> Camera:
    """The camera called `source` (`source.KINDS` says how), which opens beside this and says in `state` how it does.

    Raises UsageError for what names no camera, InputError for a video file that is not there, MissingPackageError.
    """
    settings = settings or CameraSettings()
    found = source_of(source, settings.login)
    _check_packages(found)
    return Camera(found, settings)


def _check_packages(source: Source) -> None:
    from importlib.util import find_spec

    if source.kind == PICAMERA and find_spec("picamera2") is None:
        raise MissingPackageError(
            "picamera: expected the package picamera2, found none; install it with `sudo apt install "
            "python3-picamera2` and let this Python see the system's packages (docs/cameras.md)"
        )
    if source.kind != PICAMERA and find_spec("av") is None:
        raise MissingPackageError(
            'cameras need packages that are missing here (av); install them with `pip install "edge-nusa[camera]"`'
        )


class Camera:
    """An open camera; a context manager. `latest` may be called by many threads."""

    def __init__(self, source: Source, settings: CameraSettings) -> None:
        self.source, self.settings = source, settings
        self._changed = threading.Condition()
        self._state = CameraState(False, time.time())
        self._newest: Frame | None = None
        self._arrived = 0.0
        self._count, self._is_asked, self._wanted_since = 0, False, 0.0
        self._child: Child | None = None
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._watch_over, name="edge-nusa-camera", daemon=True)
        self._thread.start()

    @property
    def state(self) -> CameraState:
        """How it does now."""
        return self._state

    def latest(self, after: int = -1, timeout: float = 5.0) -> Frame | None:
        """The newest frame with a number greater than `after`, taken now or not long ago; None where there was none for
        `timeout` seconds: `state` says why."""
        ends = time.monotonic() + timeout
        with self._changed:
            while not (self._is_closed.is_set() or self._state.is_over):
                newest, now = self._newest, time.monotonic()
                if newest is not None and newest.number > after and now - self._arrived <= FRESH_SECONDS:
                    return newest
                self._ask()
                if now >= ends:
                    return None
                self._changed.wait(ends - now)
        return None

    def close(self) -> None:
        """End the child and the thread, which takes a second at most; from any thread, also twice."""
        self._is_closed.set()
        with self._changed:
            if not self._state.is_over:
                self._state = CameraState(False, time.time(), "it was closed", is_over=True)
            self._changed.notify_all()
            if self._child is not None:
                self._child.kill()
        if self._thread is not threading.current_thread():
            self._thread.join(END_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self) -> None:
        """Have the child take a frame, where it was not asked already."""
        if self._child is not None and not self._is_asked:
            self._is_asked, self._wanted_since = True, time.monotonic()
            self._child.want()

    def _watch_over(self) -> None:
        """In the thread: a child after another, until the camera is closed or is over."""
        tries = -1
        while not self._is_closed.is_set():
            before = self._count
            try:
                reason = self._one_child()
            except ResourceError as error:
                reason = str(error)
            if reason is None or self._is_closed.is_set():
                break
            tries = 0 if self._count > before else tries + 1
            self._lost(reason)
            pauses = self.settings.pauses
            self._is_closed.wait(pauses[min(tries, len(pauses) - 1)])
        with self._changed:
            self._changed.notify_all()

    def _one_child(self) -> str | None:
        """Start a child and hear it to its end; why it ended, None where there is no need for another one."""
        child = Child(self.source, self.settings)
        with self._changed:
            self._child, self._is_asked, self._wanted_since = child, True, time.monotonic()
        try:
            if self._is_closed.is_set():
                return None
            return self._heard(child)
        finally:
            with self._changed:
                self._child = None
            child.end()

    def _heard(self, child: Child) -> str | None:
        """Hear the child until it ends, or is silent or blind for too long."""
        heard, patience, gap = time.monotonic(), START_SECONDS, 0.0
        while not self._is_closed.is_set():
            try:
                line = child.line(LOOK_SECONDS)
            except Ended:
                return "the process that reads it ended, as if it was killed or had too little memory"
            now = time.monotonic()
            heard = heard if line is None else now
            word, _, rest = (line or "").partition(" ")
            if word == "ready":
                patience = OPEN_SECONDS
            elif word == "open":
                patience, self._wanted_since = self.settings.silence, now
            elif word == "alive":
                gap = float(rest)
            elif word == "frame":
                self._take(child, rest)
            elif word in ("over", "lost"):
                if not rest:
                    self._over()
                return rest or None
            if now - heard > patience:
                return f"it gave no data for {patience:g} s"
            blind = patience + 2 * min(gap, LONGEST_GAP)
            if self._is_blind(now, blind):
                return (
                    f"it gave data for {blind:.0f} s, and among them no picture that can be decoded, or larger ones "
                    f"than {self.settings.most_pixels} pixels"
                )
        return None

    def _is_blind(self, now: float, seconds: float) -> bool:
        """Whether a frame was asked for so many seconds ago and has not come."""
        with self._changed:
            return self._is_asked and now - self._wanted_since > seconds

    def _take(self, child: Child, told: str) -> None:
        width, height, taken = told.split()
        image = child.frame(int(width), int(height))
        if image is None:
            return
        with self._changed:
            self._newest = Frame(self._count, float(taken), image)
            self._count, self._is_asked, self._arrived = self._count + 1, False, time.monotonic()
            is_back = not (self._state.is_ok or self._state.is_over)
            if is_back:
                self._state = now_ok()
            self._changed.notify_all()
        if is_back:
            _log.info("%s: the camera gives pictures", self.source.shown)

    def _lost(self, reason: str) -> None:
        """Tell once that there are no frames, and why."""
        with self._changed:
            if self._state.is_over:
                return
            was_ok = self._state.is_ok
            since = time.time() if was_ok else self._state.since
            self._state, self._newest = CameraState(False, since, reason), None
            self._changed.notify_all()
        if was_ok:
            _log.info("%s: the camera is lost: %s", self.source.shown, reason)

    def _over(self) -> None:
        """There will be no frame any more."""
        with self._changed:
            self._state = CameraState(False, time.time(), "the video is over", is_over=True)
            self._changed.notify_all()
