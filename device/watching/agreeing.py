"""Which answers are said where only changes are: a change is one when several answers in a row agree on it."""

from __future__ import annotations

from edge_nusa.device.watching.line import Answered


class Agreeing:
    """Of answers one after another, those that say a change.

    An answer is a label, or none of them. It is said when `count` answers in a row are the same and something else was
    said last; the line is that of the last of these. The first answer that so many agree on is a change, and so is
    the first after a lesson (another generation answers) and after `forget`. With a count of 1 every answer is said.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._run: tuple[int, str | None] | None = None
        self._length = 0
        self._said: tuple[int, str | None] | None = None

    def says(self, line: Answered) -> bool:
        """Whether this answer, the next one, is to be said."""
        answer = (line.generation, line.prediction.best)
        self._length = self._length + 1 if answer == self._run else 1
        self._run = answer
        if self._count > 1 and (self._length < self._count or answer == self._said):
            return False
        self._said = answer
        return True

    def forget(self) -> None:
        """What comes next follows on nothing, as after a camera was lost."""
        self._run, self._length, self._said = None, 0, None
