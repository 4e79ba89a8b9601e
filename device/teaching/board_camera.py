"""The board's camera on the page: its picture as a stream, what the model says of it, and what a person records of
it."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any, TypeVar

from anyio import CapacityLimiter, sleep, to_thread
from PIL import Image

from edge_nusa.device.camera.frame import CameraState, Frame
from edge_nusa.device.camera.listing import cameras
from edge_nusa.device.teaching.asking import Asking, Question
from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.device.teaching.drawer import Drawer
from edge_nusa.device.teaching.events import Events
from edge_nusa.device.teaching.reading import jpeg
from edge_nusa.device.teaching.recording import FrameSource, Recording
from edge_nusa.device.teaching.review import Review
from edge_nusa.errors import EdgeNusaError

Found = TypeVar("Found")
MOST_STREAMS = 4
STREAM_SIDE, STREAM_QUALITY = 640, 75
STREAM_SECONDS = 1 / 12
ANSWER_SECONDS = 0.2
"""Between two answers."""
FRAME_SECONDS = 5.0
"""So long a request waits for a picture of the camera."""
IDLE_SECONDS = 0.25
"""So often it is looked whether somebody listens."""
FAILED_SECONDS = 2.0
"""Until the next try, where a frame could not be answered."""
BOUNDARY = b"frame"
_log = logging.getLogger(__name__)


class BoardCamera:
    """camera: open, or None where the board has none to show; source: what it is called, without any password."""

    def __init__(self, camera: FrameSource | None, source: str, asking: Asking, drawer: Drawer, events: Events) -> None:
        self._camera, self.source, self.review = camera, source, Review()
        self._asking, self._drawer, self._events = asking, drawer, events
        self._waits, self._streams = CapacityLimiter(MOST_STREAMS + 4), 0
        self._recording: Recording | None = None
        self._newest: tuple[int, bytes] | None = None
        self._encodes = threading.Lock()
        self._is_closed = threading.Event()
        if camera is not None:
            threading.Thread(target=self._answer_on, name="edge-nusa-answers", daemon=True).start()

    def to_json(self) -> dict[str, Any]:
        """GET /api/camera."""
        sources = [asdict(one) for one in cameras()]
        if self._camera is None:
            reason = "the page was started without one: edge-nusa teach --camera SOURCE"
            return {"available": False, "source": None, "state": "none", "reason": reason, "sources": sources}
        state = self._camera.state
        word = "ok" if state.is_ok else "over" if state.is_over else "opening"
        return {"available": True, "source": self.source, "state": word, "reason": state.reason, "sources": sources}

    async def frame(self, after: int = -1) -> Frame:
        """The newest frame. Raises DeniedError where there is no camera, or it gives none."""
        camera = self._there()
        found = await self._apart(lambda: camera.latest(after, FRAME_SECONDS))
        if found is None:
            reason = camera.state.reason or f"no picture came within {FRAME_SECONDS:g} s"
            raise DeniedError(503, f"the camera {self.source} gives no picture: {reason}; look at it, and ask again")
        return found

    def answer(self, frame: Frame) -> dict[str, Any]:
        """What the model says of a frame, which is kept for a while."""
        said = self._asking.answer_to(frame.image, frame.name, Question())
        id, is_unsure = self.review.add(frame.image, frame.name, frame.taken, said)
        if is_unsure:
            self._events.tell("review", {"count": len(self.review)})
        return {"number": frame.number, "taken": frame.taken, "id": id, **said}

    def check_stream(self) -> None:
        """Raises DeniedError where there is no camera, or too many look already."""
        self._there()
        if self._streams >= MOST_STREAMS:
            raise DeniedError(503, f"{MOST_STREAMS} pages show the camera already; close one")

    async def stream(self) -> AsyncIterator[bytes]:
        """MJPEG: the newest picture again and again, as fast as it is read."""
        camera, number = self._there(), -1
        self._streams += 1
        try:
            while not (self._is_closed.is_set() or camera.state.is_over):
                number, shown = await self._apart(lambda after=number: self._shown(after))  # type: ignore[misc]
                if shown is not None:
                    yield part(shown)
                    await sleep(STREAM_SECONDS)
        finally:
            self._streams -= 1

    def record(self, label: str, seconds: float) -> Recording:
        """Begin a hold. Raises DeniedError while another one goes on."""
        if self._recording is not None and self._recording.is_running:
            raise DeniedError(409, f"pictures of {self._recording.label} are being recorded; stop that first")
        self._recording = Recording(self._there(), self._drawer, label, seconds, self._put_in)
        return self._recording

    async def recorded(self) -> dict[str, Any]:
        """End the hold; what it recorded. Raises DeniedError where there was none."""
        recording, self._recording = self._recording, None
        if recording is None:
            raise DeniedError(409, "expected a recording, found none; begin one with POST /api/camera/record")
        return await self._apart(recording.stop)

    def close(self) -> None:
        """End the camera and what goes on with it."""
        self._is_closed.set()
        if self._camera is not None:
            self._camera.close()

    def _put_in(self) -> None:
        """In the thread of a hold: the drawer has one more."""
        self._events.tell("pictures", {"held": len(self._drawer.waiting())})

    def _there(self) -> FrameSource:
        if self._camera is None:
            raise DeniedError(
                404, "expected a camera, found that the page was started without one; add --camera SOURCE"
            )
        return self._camera

    async def _apart(self, work: Callable[[], Found]) -> Found:
        """In a thread that may wait; a request that is gone does not wait for it."""
        return await to_thread.run_sync(work, limiter=self._waits, abandon_on_cancel=True)

    def _shown(self, after: int) -> tuple[int, bytes | None]:
        """In a thread: the number of the newest frame, and its JPEG as the stream shows it, None where none came;
        encoded once for all who look."""
        frame = self._there().latest(after, 1.0)
        if frame is None:
            return after, None
        with self._encodes:
            if self._newest is None or self._newest[0] != frame.number:
                image = Image.fromarray(frame.image)
                image.thumbnail((STREAM_SIDE, STREAM_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
                self._newest = frame.number, jpeg(image, STREAM_QUALITY)
            return self._newest

    def _answer_on(self) -> None:
        """In a thread: answer frame after frame while somebody listens, and tell how the camera does."""
        number, state, is_said = -1, None, False
        while not self._is_closed.is_set():
            try:
                number, state = self._round(number, state)
            except Exception as error:  # noqa: BLE001 - a thread's own loop: what fails now may work in a while
                if not is_said:
                    _log.warning(
                        "live answers: unforeseen %s; tried again, see `edge-nusa doctor`", type(error).__name__
                    )
                is_said = True
                self._is_closed.wait(FAILED_SECONDS)

    def _round(self, number: int, state: CameraState | None) -> tuple[int, CameraState]:
        """Tell the camera's state where it changed since, and the answer to its next frame; the number of the last
        frame, and the state."""
        camera = self._there()
        now = camera.state
        if now != state:
            self._events.tell("camera", self.to_json())
        if not self._events.listeners or now.is_over:
            self._is_closed.wait(IDLE_SECONDS)
            return number, now
        frame = camera.latest(number, 1.0)
        if frame is None:
            return number, now
        self._is_closed.wait(ANSWER_SECONDS if self._told(frame) else FAILED_SECONDS)
        return frame.number, now

    def _told(self, frame: Frame) -> bool:
        """Tell the answer to a frame; False where there is none."""
        try:
            self._events.tell("answer", self.answer(frame))
        except EdgeNusaError:  # nothing was taught yet, or the state cannot be read: whoever asks is told
            return False
        return True


def part(picture: bytes) -> bytes:
    """One picture of a stream."""
    head = b"--" + BOUNDARY + b"\r\nContent-Type: image/jpeg\r\nContent-Length: " + str(len(picture)).encode()
    return head + b"\r\n\r\n" + picture + b"\r\n"
