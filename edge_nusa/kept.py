"""What a command has changed for good so far, so that whatever fails afterwards is told together with it.

Whoever commits says so here in the same breath; the command line collects it around a command. Nothing is collected
where nobody asked for it, so a program that uses the library sees none of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Kept:
    """What was kept, a clause each; is_done: what the command is for is among it, so that it must not be run again."""

    clauses: list[str] = field(default_factory=list)
    is_done: bool = False

    def before(self, text: str) -> str:
        """The text with all that was kept before it."""
        return "; ".join([*self.clauses, text])


_COLLECTED: ContextVar[Kept | None] = ContextVar("edge-nusa-kept", default=None)


@contextmanager
def collected() -> Iterator[Kept]:
    """What the block keeps; of blocks inside each other the innermost has it."""
    found = Kept()
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def part(clause: str) -> None:
    """Something is kept, and the command goes on; run again, it does the rest."""
    found = _COLLECTED.get()
    if found is not None:
        found.clauses.append(clause)


def done(clause: str) -> None:
    """What the command is for is kept: run again, it would do it twice."""
    found = _COLLECTED.get()
    if found is not None:
        found.clauses.append(clause)
        found.is_done = True


def done_instead(clause: str) -> None:
    """`done`, in place of what was said last: what is kept now took its place."""
    found = _COLLECTED.get()
    if found is not None:
        found.clauses[-1:] = [clause]
        found.is_done = True


def so_far() -> Kept:
    """What is collected until now; empty where nobody collects."""
    return _COLLECTED.get() or Kept()
