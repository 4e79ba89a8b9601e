"""The drawer: pictures that wait in memory until they are taught or dropped, and those of the newest lessons, so that
an undo brings them back. Nothing of it is ever written."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

from edge_nusa.device.teaching.denied import DeniedError, FullError
from edge_nusa.device.teaching.reading import Kept
from edge_nusa.files.foreign import named
from edge_nusa.knowledge import labels as label_names

MOST_PICTURES = 1000
MOST_BYTES = 128 << 20
HELD, TEACHING, TAUGHT = "held", "teaching", "taught"
"""States of a picture."""


@dataclass(frozen=True, kw_only=True)
class HeldPicture:
    """A picture in the drawer. id: never that of a picture of an earlier server, which a page may still show; name:
    what its sender called it; state: HELD, TEACHING or TAUGHT; lesson: the one that taught it last, 0 for none."""

    id: str
    label: str
    name: str
    kept: Kept
    state: str = HELD
    lesson: int = 0

    @property
    def bytes(self) -> int:
        """What it takes of the drawer."""
        return len(self.kept.data) + len(self.kept.thumbnail)

    def to_json(self) -> dict[str, Any]:
        """As docs/http.md says."""
        return {
            "id": self.id,
            "label": self.label,
            "name": self.name,
            "width": self.kept.width,
            "height": self.kept.height,
            "state": self.state,
        }


class Drawer:
    """Used by any thread. The pictures of the oldest lessons go where room is needed; what was not taught never goes
    by itself."""

    def __init__(self, most: int = MOST_PICTURES, most_bytes: int = MOST_BYTES) -> None:
        self.most, self.most_bytes = most, most_bytes
        self._lock = threading.RLock()
        self._pictures: dict[str, HeldPicture] = {}
        self._given, self._run = 0, token_hex(2)

    @classmethod
    def within(cls, budget: int | None) -> Drawer:
        """For a process that may take so many bytes in all, None for no bound: a quarter of them at most."""
        return cls(most_bytes=MOST_BYTES if budget is None else min(MOST_BYTES, budget // 4))

    def add(self, label: str, name: str, kept: Kept) -> HeldPicture:
        """Put a picture in. Raises FullError."""
        with self._lock:
            self._make_room(len(kept.data) + len(kept.thumbnail))
            self._given += 1
            picture = HeldPicture(id=f"p{self._run}-{self._given}", label=self._spelling(label), name=name, kept=kept)
            self._pictures[picture.id] = picture
            return picture

    def find(self, id: str) -> HeldPicture | None:
        """The picture of this id, whatever its state."""
        with self._lock:
            return self._pictures.get(id)

    def waiting(self, label: str | None = None) -> list[HeldPicture]:
        """Pictures that are held or being taught, the oldest first; label: of this one alone."""
        wanted = None if label is None else label_names.key(label)
        with self._lock:
            return [
                one
                for one in self._pictures.values()
                if one.state != TAUGHT and wanted in (None, label_names.key(one.label))
            ]

    def counts(self) -> dict[str, int]:
        """How many pictures wait, by their label."""
        found: dict[str, int] = {}
        for one in self.waiting():
            found[one.label] = found.get(one.label, 0) + 1
        return found

    @property
    def bytes(self) -> int:
        """What all pictures take."""
        with self._lock:
            return sum(one.bytes for one in self._pictures.values())

    def move(self, ids: Sequence[str], label: str) -> list[HeldPicture]:
        """Hold the pictures under another label. Raises DeniedError, and then moves none."""
        with self._lock:
            found = self._free(ids)
            label = self._spelling(label)
            for one in found:
                self._pictures[one.id] = replace(one, label=label, state=HELD, lesson=0)
            return [self._pictures[one.id] for one in found]

    def drop(self, ids: Sequence[str]) -> int:
        """Let go of pictures. Raises DeniedError, and then drops none."""
        with self._lock:
            found = self._free(ids)
            for one in found:
                del self._pictures[one.id]
            return len(found)

    def relabel(self, old: str, new: str) -> int:
        """All held pictures of a label under its new name; how many there are."""
        with self._lock:
            return len(self.move([one.id for one in self.waiting(old) if one.state == HELD], new))

    def begin(self, lesson: int, labels: Collection[str] | None) -> list[HeldPicture]:
        """What a lesson teaches of what is held, of these labels or of all, from now on TEACHING."""
        keys = None if labels is None else {label_names.key(label) for label in labels}
        with self._lock:
            chosen = [
                one
                for one in self._pictures.values()
                if one.state == HELD and (keys is None or label_names.key(one.label) in keys)
            ]
            for one in chosen:
                self._pictures[one.id] = replace(one, state=TEACHING, lesson=lesson)
            return chosen

    def taught(self, lesson: int) -> None:
        """What the lesson teaches is taught; it goes where room is needed."""
        self._became(lesson, TEACHING, TAUGHT)

    def back(self, lesson: int) -> int:
        """What the lesson teaches, or taught, is held again; how many there are."""
        return self._became(lesson, TEACHING, HELD) + self._became(lesson, TAUGHT, HELD)

    def again(self, lesson: int) -> int:
        """What an undo of the lesson put back, and is held still, is taught again; how many there are."""
        return self._became(lesson, HELD, TAUGHT)

    def _became(self, lesson: int, before: str, after: str) -> int:
        with self._lock:
            found = [one for one in self._pictures.values() if one.lesson == lesson and one.state == before]
            for one in found:
                self._pictures[one.id] = replace(one, state=after)
            return len(found)

    def _free(self, ids: Iterable[str]) -> list[HeldPicture]:
        """The pictures of these ids. Raises DeniedError where one is not there, or is being taught."""
        found = []
        for id in ids:
            picture = self._pictures.get(id)
            if picture is None:
                raise DeniedError(404, f"expected a picture of the drawer, found none called {named(id)}; look again")
            if picture.state == TEACHING:
                raise DeniedError(409, "a lesson is being taught with this picture; wait until it is done")
            found.append(picture)
        return found

    def _make_room(self, size: int) -> None:
        """Let go of taught pictures, the oldest first, until one of `size` bytes fits. Raises FullError."""
        for one in [one for one in self._pictures.values() if one.state == TAUGHT]:
            if self._fits(size):
                return
            del self._pictures[one.id]
        if not self._fits(size):
            held, used = len(self._pictures), self.bytes >> 20
            raise FullError(
                f"expected room for a picture, found the drawer full: it holds {held} pictures ({used} MiB) of at most "
                f"{self.most} ({self.most_bytes >> 20} MiB); teach them, or drop some"
            )

    def _fits(self, size: int) -> bool:
        return len(self._pictures) < self.most and self.bytes + size <= self.most_bytes

    def _spelling(self, label: str) -> str:
        """The label as the drawer spells it already, where it does: "Cat" and "cat" are one."""
        wanted = label_names.key(label)
        return next((one.label for one in self._pictures.values() if label_names.key(one.label) == wanted), label)
