"""All that one page works with: the model, the drawer of pictures, the lessons, and who is told of what changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter, to_thread

from edge_nusa import __version__
from edge_nusa.device.teaching.asking import Asking
from edge_nusa.device.teaching.board_camera import BoardCamera
from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.device.teaching.drawer import Drawer
from edge_nusa.device.teaching.events import Events
from edge_nusa.device.teaching.lessons import Lesson, Lessons
from edge_nusa.device.teaching.reading import Reader
from edge_nusa.device.teaching.recording import FrameSource
from edge_nusa.device.teaching.words import advice, verdict
from edge_nusa.errors import EdgeNusaError
from edge_nusa.knowledge import labels as label_names
from edge_nusa.model.unchanged import BundleChangedError

if TYPE_CHECKING:
    from edge_nusa.device.model import Model

Found = TypeVar("Found")
MOST_WAITING = 8
"""Questions and pictures that wait for their turn."""
MOST_LOOKING = 32
"""Looks at the state that wait for theirs: a page begins with several."""
FOLLOW_SECONDS = 2.0
"""So often it is looked whether somebody else changed the bundle, and the state, while somebody listens."""


class Turns:
    """One thread for work of one kind: a board has few cores, and they are the trunk's."""

    def __init__(self, most_waiting: int) -> None:
        self._one, self._most_waiting = CapacityLimiter(1), most_waiting

    async def __call__(self, work: Callable[[], Found]) -> Found:
        """`work` in its turn. Raises DeniedError where too many wait already."""
        if self._one.statistics().tasks_waiting >= self._most_waiting:
            raise DeniedError(503, f"{self._most_waiting} questions wait already; ask again in a moment")
        return await to_thread.run_sync(work, limiter=self._one)


class Teaching:
    """One server's. `close` ends what it has begun. failure: why it cannot go on, None while it can; on_failure: is
    called then, by any thread, perhaps again and again."""

    def __init__(self, model: Model, camera: FrameSource | None = None, source: str = "") -> None:
        """camera: open, or None; source: what it is called."""
        self.model, self.asks, self.looks = model, Turns(MOST_WAITING), Turns(MOST_LOOKING)
        self.changes = Turns(MOST_WAITING)  # which wait for another program that changes the state
        self.drawer, self.events, self.reader = Drawer.within(model.max_memory_bytes), Events(), Reader(model)
        self.asking = Asking(model, self.reader)
        self.lessons = Lessons(model, self.drawer, self._lesson_changed)
        self.camera = BoardCamera(camera, source, self.asking, self.drawer, self.events)
        self.failure: EdgeNusaError | None = None
        self.on_failure: Callable[[], None] = lambda: None

        self._is_closed = threading.Event()
        threading.Thread(target=self._follow, name="edge-nusa-follow", daemon=True).start()

    def close(self) -> None:
        """End the camera, and the child that decodes."""
        self._is_closed.set()
        self.camera.close()
        self.reader.close()

    def health(self) -> dict[str, Any]:
        """How the server does; a state that cannot be read raises here."""
        running = self.lessons.running
        return {
            "status": "ok" if self.failure is None else f"ends: {self.failure}",
            "version": __version__,
            "generation": self.model.generation,
            "bundle": self.model.bundle.manifest.model,
            "state": str(self.model.state.folder),
            "lesson": None if running is None else running.to_json(with_report=False),
            "camera": self.camera.to_json(),
        }

    def labels(self) -> dict[str, Any]:
        """Every label that was taught or has pictures in the drawer, with its verdict in words."""
        number, rows = self.asking.labels()
        waits = {label_names.key(label): (label, count) for label, count in self.drawer.counts().items()}
        found = []
        for row in rows:
            _, waiting = waits.pop(label_names.key(row.label), ("", 0))
            found.append(_row(row.label, row.images, row.expected, waiting, len(rows)))
        found += [_row(label, 0, None, count, len(rows)) for label, count in waits.values()]
        return {"generation": number, "labels": found}

    def pictures_changed(self) -> None:
        """Tell the pages."""
        self.events.tell("pictures", {"held": len(self.drawer.waiting())})

    def labels_changed(self) -> None:
        """Tell the pages."""
        self.events.tell("labels", {"generation": self.model.generation})

    def _follow(self) -> None:
        """In a thread: tell the pages where another program, such as `edge-nusa learn`, changed the state; and end all
        where the bundle was exchanged, as no question can be answered with it from then on."""
        known = None
        while not self._is_closed.wait(FOLLOW_SECONDS):
            try:
                self.model.bundle.check_unchanged()
            except BundleChangedError as error:
                self.failure = error
                self.on_failure()
            if not self.events.listeners:
                continue
            with suppress(EdgeNusaError):  # what cannot be read is said to whoever asks
                number = self.model.generation
                if known not in (None, number):
                    self.labels_changed()
                known = number

    def _lesson_changed(self, lesson: Lesson, was_known: bool) -> None:
        """In the lesson's thread."""
        self.events.tell("lesson", lesson.to_json())
        if lesson.is_over or (lesson.is_known and not was_known) or lesson.is_new:
            self.pictures_changed()
            with suppress(EdgeNusaError):  # what cannot be read is said to whoever asks; the lesson goes on
                self.labels_changed()


def _row(label: str, images: int, expected: float | None, waiting: int, labels: int) -> dict[str, Any]:
    return {
        "label": label,
        "images": images,
        "expected": expected,
        "verdict": verdict(images, expected),
        "advice": advice(images, waiting, labels),
        "waiting": waiting,
    }
