"""Reads a stream by PyAV in a camera's child: which packets are decoded, and how a frame is handed over.

A frame of most streams is a change of those before it, so that one alone cannot be decoded. Where whole pictures
(keyframes) come as often as frames are asked for, only those are decoded, and only when asked for; a stream of whole
pictures alone (MJPEG, most of V4L2) is one of these. Else everything is decoded as long as somebody asks. Nobody
asking, packets are read and dropped.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import av

from edge_nusa.device.camera import opened_stream
from edge_nusa.device.camera.lost import SILENT, Lost, reason
from edge_nusa.device.camera.wishes import Wishes

KEY_SECONDS = 5.0
"""A stream that shows no keyframe for so long is decoded from wherever it is."""
SLACK = 1.2
"""Keyframes may come by so much more seldom than frames are asked for."""
EARLY = 0.5
"""So much of the least time between two frames must have passed: whoever asks once in that time is not held up by the
frame before that came late, and a keyframe that is not quite due is not left out for the next one."""
IDLE_PACES, IDLE_SECONDS = 3.0, 2.0
"""Nobody asks any more: for so many times the least time between two frames, and so many seconds at least."""
LATE = 0.9
"""Of the time that an opening may take: what fails so late has failed for want of an answer, whatever libav says."""
NOTHING = "expected pictures of at most {} pixels, found none that can be decoded; replace the file"
NAP_SECONDS = 0.2
JUMP_SECONDS = 60.0
"""A file whose next picture is due so much later, or earlier than the last one, counts anew: it was joined."""
LEAST_SIDE = 16


def read(settings: dict[str, Any], wishes: Wishes) -> None:
    """Until the stream ends, which is right for a file alone. Raises Lost."""
    while True:
        began = time.monotonic()
        try:
            with opened_stream.container(settings) as (container, stream):
                reading = Reading(settings, wishes, stream)
                reading.all(container)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            is_late = LATE * settings["silence"] <= time.monotonic() - began <= settings["silence"] + 1
            raise Lost(SILENT if is_late else reason(error)) from None
        if settings["kind"] != "file":
            raise Lost("the stream ended")
        if not reading.has_given:
            raise Lost(NOTHING.format(settings["most_pixels"]))
        if not settings["repeats"]:
            return


class Reading:
    """One opening of a stream."""

    def __init__(self, settings: dict[str, Any], wishes: Wishes, stream: Any) -> None:
        self._settings, self._wishes, self._stream = settings, wishes, stream
        self._decoder = stream.codec_context
        self._is_in_step = False
        self._began, self._given = time.monotonic(), 0.0
        self._keys: deque[float] = deque(maxlen=4)
        self._zero, self._at = 0.0, float("inf")
        self._check_size(self._decoder.width, self._decoder.height)

    def all(self, container: Any) -> None:
        """Every packet. Raises Lost, av's errors."""
        self._wishes.begin()
        paces = self._settings["kind"] == "file"
        for packet in container.demux(self._stream):
            if packet.size == 0:
                continue
            if paces:
                self._keep_pace(packet)
            self._wishes.alive(self._gap if len(self._keys) > 1 else 0.0)
            if packet.is_keyframe:
                self._keys.append(time.monotonic())
            for frame in self._decoded(packet):
                if self._is_due():
                    self._give(frame)

    @property
    def has_given(self) -> bool:
        """Whether it gave a frame."""
        return self._given > 0

    @property
    def _gap(self) -> float:
        """Seconds between keyframes, the longest of the last few; what was waited for the first as long as it is not
        known."""
        if len(self._keys) < 2:
            return time.monotonic() - self._began
        times = [*self._keys, time.monotonic()]
        return max(later - earlier for earlier, later in zip(times, times[1:], strict=False))

    def _is_due(self) -> bool:
        return self._wishes.is_wanted and time.monotonic() - self._given >= EARLY * self._settings["seconds"]

    def _decoded(self, packet: Any) -> Iterator[Any]:
        """The frames of this packet, where it is worth decoding."""
        pace = self._settings["seconds"]
        keys_do = len(self._keys) > 1 and self._gap <= SLACK * pace
        is_idle = self._wishes.idle > max(IDLE_SECONDS, IDLE_PACES * pace)
        starts = packet.is_keyframe or (not self._keys and time.monotonic() - self._began > KEY_SECONDS)
        if keys_do or is_idle:
            self._is_in_step = False
            return self._alone(packet) if starts and self._is_due() else iter(())
        if not self._is_in_step and not starts:
            return iter(())
        if not self._is_in_step:
            self._decoder.flush_buffers()
        self._is_in_step = True
        if packet.is_disposable and not self._is_due():
            return iter(())
        return self._tried(packet)

    def _alone(self, packet: Any) -> Iterator[Any]:
        """The frame of a keyframe, without waiting for those after it."""
        self._decoder.flush_buffers()
        yield from self._tried(packet)
        yield from self._tried(None)
        self._decoder.flush_buffers()

    def _tried(self, packet: Any) -> Iterator[Any]:
        try:
            yield from self._decoder.decode(packet)
        except (av.error.InvalidDataError, av.error.EOFError):
            self._is_in_step = False  # cut or damaged: from the next keyframe on
        except av.error.MemoryError:
            raise Lost(reason(av.error.MemoryError(12, ""))) from None

    def _check_size(self, width: int, height: int) -> None:
        most = self._settings["most_pixels"]
        if width * height > most:
            raise Lost(
                f"expected pictures of at most {most} pixels, found {width} x {height}; set the camera to a smaller one"
            )

    def _give(self, frame: Any) -> None:
        self._check_size(frame.width, frame.height)
        if min(frame.width, frame.height) < LEAST_SIDE:
            return
        scale = min(1.0, self._settings["most_side"] / max(frame.width, frame.height))
        width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        how = "AREA" if scale < 1 else "BILINEAR"
        found = frame.reformat(width=width, height=height, format="rgb24", interpolation=how)
        rows, width, height = _upright(found, round(frame.rotation / 90) % 4)
        self._given = time.monotonic()
        self._wishes.give(rows, width, height, time.time())

    def _keep_pace(self, packet: Any) -> None:
        """Wait until a file's packet is due."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or packet.time_base is None:
            return
        at = float(stamp * packet.time_base)
        if not 0 <= at - self._at < JUMP_SECONDS:
            self._zero = time.monotonic() - at
        self._at = at
        while (left := self._zero + at - time.monotonic()) > 0:
            self._wishes.alive(left)
            time.sleep(min(left, NAP_SECONDS))


def _upright(frame: Any, quarters: int) -> tuple[Sequence[bytes | memoryview], int, int]:
    """Rows of RGB of a frame turned by so many quarters against the clock, and its width and height."""
    plane = frame.planes[0]
    data, stride = memoryview(plane), plane.line_size
    rows = [data[y * stride : y * stride + 3 * frame.width] for y in range(frame.height)]
    if quarters == 0:
        return rows, frame.width, frame.height
    from PIL import Image

    image = Image.frombytes("RGB", (frame.width, frame.height), b"".join(rows))
    turned = image.transpose(
        {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}[quarters]
    )
    return [turned.tobytes()], turned.width, turned.height
