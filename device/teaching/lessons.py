"""Lessons that are taught while the page goes on: one at a time, in a thread of its own; what became of the last ones
is remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.device.teaching.drawer import Drawer, HeldPicture
from edge_nusa.device.teaching.words import pictures
from edge_nusa.errors import EdgeNusaError, RefusedError
from edge_nusa.files.durable import storage_error
from edge_nusa.memory import give_back
from edge_nusa.pictures.picture import Picture

if TYPE_CHECKING:
    from edge_nusa.device.learning.report import LearnReport
    from edge_nusa.device.model import Model

MOST_REMEMBERED = 20
WAITING = "waiting"
THREAD = "edge-nusa-lesson"
STATES = {"looking": "looking", "judging": "judging", "training": "training text"}
"""What a lesson does, as its report of progress calls it -> as a person reads it."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What is known of one lesson. is_known: the head answers with it; is_over: nothing of it goes on; generation: the
    one that it made; is_undone: that was taken back, and a redo may bring it again."""

    number: int
    labels: tuple[str, ...]
    pictures: int
    state: str = WAITING
    progress: Mapping[str, Any] = field(default_factory=lambda: {"what": WAITING, "done": 0, "total": 1})
    is_known: bool = False
    is_over: bool = False
    report: Mapping[str, Any] | None = None
    reason: str = ""
    generation: int | None = None
    is_undone: bool = False

    @property
    def is_new(self) -> bool:
        """Nothing was done yet."""
        return self.state == WAITING

    def to_json(self, with_report: bool = True) -> dict[str, Any]:
        """As docs/http.md says."""
        return {
            "lesson": self.number,
            "labels": list(self.labels),
            "pictures": self.pictures,
            "state": self.state,
            "progress": dict(self.progress),
            "known_now": self.is_known,
            "report": self.report if with_report else None,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Wanted:
    """labels: teach these alone, None for all; is_head_only: leave the text as it is; is_forced: also where the judge
    refuses."""

    labels: Collection[str] | None = None
    is_head_only: bool = False
    is_forced: bool = False


class Lessons:
    """Begun by the server, taught in a thread; told: is called with a lesson whenever it changes, and with
    whether the head knew it before, by any thread."""

    def __init__(self, model: Model, drawer: Drawer, told: Callable[[Lesson, bool], None]) -> None:
        self._model, self._drawer, self._told = model, drawer, told
        self._lock = threading.Lock()
        self._lessons: dict[int, Lesson] = {}
        self._running: int | None = None
        self._changes = 0

    @property
    def running(self) -> Lesson | None:
        """The lesson that is being taught."""
        with self._lock:
            return None if self._running is None else self._lessons[self._running]

    @property
    def newest(self) -> Lesson | None:
        """The one that began last."""
        with self._lock:
            return self._lessons[max(self._lessons)] if self._lessons else None

    def find(self, number: int) -> Lesson | None:
        """One of the last MOST_REMEMBERED."""
        with self._lock:
            return self._lessons.get(number)

    def begin(self, wanted: Wanted) -> Lesson:
        """Begin to teach what is held. Raises DeniedError while another lesson runs, or labels are being changed, or
        where nothing is held."""
        with self._lock:
            if self._running is not None:
                raise DeniedError(409, f"lesson {self._running} is still being taught; wait until it is done")
            if self._changes:
                raise DeniedError(409, "what was taught is being changed; begin the lesson again in a moment")
            number = max(self._lessons, default=0) + 1
            chosen = self._drawer.begin(number, wanted.labels)
            if not chosen:
                raise DeniedError(409, "expected pictures to teach, found none in the drawer; add some first")
            lesson = Lesson(number=number, labels=tuple(_by_label(chosen)), pictures=len(chosen))
            self._lessons[number], self._running = lesson, number
            for old in sorted(self._lessons)[:-MOST_REMEMBERED]:
                del self._lessons[old]
        thread = threading.Thread(target=self._run, args=(lesson, chosen, wanted), name=THREAD, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            sentence = "expected to start a thread, found that the system gives no more; end other programs"
            self._ended(number, "failed", sentence)
        return lesson

    def undone(self, generations: Collection[int]) -> int:
        """Generations were taken back: the pictures of their lessons are held again; how many there are."""
        return sum(self._drawer.back(number) for number in self._turned(generations, is_undone=True))

    def redone(self, generations: Collection[int]) -> int:
        """Generations that were taken back are there again: the pictures of their lessons that are held still are
        taught; how many there are."""
        return sum(self._drawer.again(number) for number in self._turned(generations, is_undone=False))

    def _turned(self, generations: Collection[int], is_undone: bool) -> list[int]:
        """The lessons of these generations, which are undone from now on, or no more."""
        with self._lock:
            found = [one for one in self._lessons.values() if one.generation in generations]
            numbers = [one.number for one in found if one.is_undone is not is_undone]
            for number in numbers:
                self._lessons[number] = replace(self._lessons[number], is_undone=is_undone)
            return numbers

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While the block changes what was taught, no lesson begins. Raises DeniedError while one runs."""
        with self._lock:
            if self._running is not None:
                raise DeniedError(409, f"lesson {self._running} is still being taught; wait until it is done")
            self._changes += 1
        try:
            yield
        finally:
            with self._lock:
                self._changes -= 1

    def _run(self, lesson: Lesson, chosen: Sequence[HeldPicture], wanted: Wanted) -> None:
        """In the lesson's thread. Whatever is raised ends this lesson and no more."""
        number = lesson.number
        try:
            self._told(lesson, False)
            self._teach(number, chosen, wanted)
        except RefusedError as error:
            self._ended(number, "refused", str(error), self._judged(error))
        except EdgeNusaError as error:
            self._ended(number, "failed", str(error))
        except OSError as error:
            self._ended(number, "failed", str(storage_error(error, "teach")))
        except BaseException as error:  # noqa: BLE001 - a thread's own end: nobody above could tell it
            self._ended(number, "failed", f"unforeseen {type(error).__name__}; see `edge-nusa doctor`, and report it")
            raise

    def _teach(self, number: int, chosen: Sequence[HeldPicture], wanted: Wanted) -> None:
        def progress(what: str, done: int, total: int) -> None:
            known = {"what": what, "done": done, "total": total}
            self._change(number, state=STATES.get(what, what), progress=known)

        def on_head(report: LearnReport) -> None:
            self._drawer.taught(number)
            self._change(number, is_known=True, report=self._linked(report), generation=report.generation)

        report = self._model.learn(
            {label: [Picture(one.kept.data, name=one.id) for one in some] for label, some in _by_label(chosen).items()},
            head_only=wanted.is_head_only,
            force=wanted.is_forced,
            progress=progress,
            on_head=on_head,
        )
        self._drawer.taught(number)
        state, generation = ("done", report.generation) if report.labels else ("nothing new", None)
        reason = "" if report.labels else f"{pictures(len(chosen))}, all taught before or set aside"
        self._finish(
            number,
            state=state,
            is_known=bool(report.labels),
            report=self._linked(report),
            generation=generation,
            reason=reason,
        )

    def _ended(self, number: int, state: str, reason: str, report: dict[str, Any] | None = None) -> None:
        """Without success: what is not known is held again; where the head's lesson stands, its pictures are taught.
        report: what is to be told now, None for what was told before."""
        self._drawer.back(number) if not self._lessons[number].is_known else self._drawer.taught(number)
        self._finish(number, state=state, reason=reason, report=report or self._lessons[number].report)

    def _judged(self, error: RefusedError) -> dict[str, Any] | None:
        """What was judged of a lesson that is refused, None where nothing was."""
        from edge_nusa.device.learning.report import LessonRefusedError

        return self._linked(error.report) if isinstance(error, LessonRefusedError) else None

    def _finish(self, number: int, **changes: Any) -> None:
        give_back()
        self._change(number, is_over=True, **changes)

    def _change(self, number: int, **changes: Any) -> None:
        with self._lock:
            before = self._lessons[number]
            lesson = self._lessons[number] = replace(before, **changes)
            if lesson.generation != before.generation:
                self._forget_undone()
            if lesson.is_over:
                self._running = None
        self._told(lesson, before.is_known)

    def _forget_undone(self) -> None:
        """A new generation: no redo brings an older lesson again, and its number may be given anew."""
        for one in self._lessons.values():
            if one.is_undone:
                self._lessons[one.number] = replace(one, generation=None, is_undone=False)

    def _linked(self, report: LearnReport) -> dict[str, Any]:
        """The report as JSON, in which pictures have their id beside the name that their sender gave them."""
        found = report.to_json()
        for entry in (*found["mistaken"], *found["quarantined"]):
            picture = self._drawer.find(entry["image"])
            if picture is not None:
                entry["picture"], entry["image"] = picture.id, picture.name
        return found


def _by_label(chosen: Sequence[HeldPicture]) -> dict[str, list[HeldPicture]]:
    found: dict[str, list[HeldPicture]] = {}
    for one in chosen:
        found.setdefault(one.label, []).append(one)
    return found
