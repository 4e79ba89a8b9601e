"""Watches a camera: a frame is answered each so many seconds, and a camera that is lost and back is said.

No frame is stored, but those that the answer was unsure of where `--keep` asks for them.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from edge_nusa.device.asking.predict import Prediction, Predictor
from edge_nusa.device.camera.camera import Camera
from edge_nusa.device.camera.child import CHILD_BYTES
from edge_nusa.device.camera.frame import Frame
from edge_nusa.device.opened import Opened
from edge_nusa.device.watching import changing_bundle
from edge_nusa.device.watching.agreeing import Agreeing
from edge_nusa.device.watching.line import Answered, CameraChanged, SetAside, Sink
from edge_nusa.device.watching.settings import AskSettings
from edge_nusa.device.watching.uncertain import UncertainFolder
from edge_nusa.errors import InputError
from edge_nusa.files.node import FileBytes
from edge_nusa.model.unchanged import BundleChangedError
from edge_nusa.pictures.picture import NO_FILE, Picture, sources
from edge_nusa.pictures.pictures import Quarantined
from edge_nusa.state.generation import Generation

LOOK_SECONDS = 1.0
"""How long a frame is waited for before the camera's state is looked at."""
ONCE_SECONDS = 30.0
LINES_A_SYNC = 16
JPEG_QUALITY = 92
"""Of kept frames."""
NOTHING = "nothing was learned yet and no labels were offered"


class CameraWatch:
    """One camera that is watched, with the sink of its lines, and the folder of uncertain frames where one is kept."""

    def __init__(
        self,
        opened: Opened,
        settings: AskSettings,
        camera: Camera,
        sink: Sink,
        uncertain: UncertainFolder | None = None,
    ) -> None:
        self.opened, self.settings, self.camera = opened, settings, camera
        self.sink, self.uncertain = sink, uncertain
        self._agreeing = Agreeing(settings.agree)
        self._predictor: Predictor | None = None
        self._current: Generation | None = None
        self._is_lost, self._is_nothing_told, self._lines = False, False, 0

    def stop(self) -> None:
        """Let go of the camera, as this process ends; from any thread."""
        self.camera.close()

    def run(self, note: Callable[[str], None]) -> None:
        """Take a frame, answer it, pause, until a video file is over. Raises DamagedError, ResourceError."""
        after = -1
        with self.camera:
            while not self.camera.state.is_over:
                began = time.monotonic()
                frame = self.camera.latest(after, LOOK_SECONDS)
                self._tell(frame is not None, note)
                if frame is None:
                    continue
                after = frame.number
                try:
                    self._answer(frame, note)
                except BundleChangedError:
                    self._predictor, self.opened = None, changing_bundle.again(self.opened, note)
                time.sleep(max(0.0, began + self.settings.seconds - time.monotonic()))
            self.sink.sync()
        note(f"{self.camera.source.shown}: {self.camera.state.reason}")

    def once(self) -> None:
        """Answer one frame. Raises InputError where the camera gives none, or nothing can be answered."""
        with self.camera:
            predictor, ends = self._asked(), time.monotonic() + ONCE_SECONDS
            while (frame := self.camera.latest(timeout=LOOK_SECONDS)) is None:
                state = self.camera.state
                if not state.is_ok and state.reason or time.monotonic() > ends:
                    raise InputError(f"{self.camera.source.shown}: {state.reason or 'it gave no picture in time'}")
            self._write(frame, predictor)
            self.sink.sync()

    def _tell(self, has_frame: bool, note: Callable[[str], None]) -> None:
        """Say once that the camera is lost, and once that it is back."""
        state, shown = self.camera.state, self.camera.source.shown
        if has_frame and self._is_lost:
            self._is_lost = False
            note(f"{shown}: the camera is back")
            self.sink.write(CameraChanged(shown, "back"))
        elif not (has_frame or self._is_lost or state.is_ok or state.is_over) and state.reason:
            self._is_lost = True
            self._agreeing.forget()
            note(f"{shown}: no pictures: {state.reason}; trying again")
            self.sink.write(CameraChanged(shown, "lost", state.reason))
            self.sink.sync()

    def _answer(self, frame: Frame, note: Callable[[str], None]) -> None:
        """Put a line out for a frame, where something was learned."""
        try:
            predictor = self._asked()
        except InputError:
            if self.settings.others:
                raise
            if not self._is_nothing_told:
                note(f"{NOTHING}; waiting for `edge-nusa learn`")
                self._is_nothing_told = True
            return
        self._write(frame, predictor)

    def _asked(self) -> Predictor:
        """Who answers by what is current. Raises InputError where there is no label to choose from."""
        current = self.opened.state.current()
        if self._predictor is None or current != self._current:
            self._predictor = None  # it is let go of before the next one takes as much
            self._predictor = Predictor(self.opened, self.settings.others, beside=CHILD_BYTES)
            self._current = current
        return self._predictor

    def _write(self, frame: Frame, predictor: Predictor) -> None:
        (result,) = predictor(sources([Picture(frame.image, frame.name)]), self.settings.top)
        if isinstance(result, Quarantined):
            self.sink.write(SetAside(result.image, result.reason))
            return
        line = Answered(result, predictor.generation, self._kept(frame, result))
        if self._agreeing.says(line):
            self.sink.write(line)
        self._lines += 1
        if self._lines % LINES_A_SYNC == 0:
            self.sink.sync()

    def _kept(self, frame: Frame, result: Prediction) -> str | None:
        """The name of the frame's copy among the uncertain; None where there is none."""
        if self.uncertain is None or not self.uncertain.is_unsure(result):
            return None
        file = io.BytesIO()
        Image.fromarray(frame.image).save(file, "JPEG", quality=JPEG_QUALITY)
        return self.uncertain.keep(FileBytes(Path("frame.jpg"), file.getvalue(), NO_FILE))
