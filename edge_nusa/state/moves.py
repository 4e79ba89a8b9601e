"""Which generation `undo` and `redo` go to, and what CURRENT says then.

`undo` goes back to an older kept generation and notes the one that it left in CURRENT; `redo` goes to the one that was
left last. Both are one replacement of CURRENT, so a killed process leaves the old one or the new one. A commit names
none that was left: they go with its pruning, and nothing can be redone after it. A generation that was never current
(its writer was killed) is never noted, so `redo` cannot bring it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_nusa.errors import DamagedError, InputError, OtherFormatError, UnreadableError
from edge_nusa.state.generation import (
    EMPTY_POINTER,
    GENERATIONS_KEPT,
    NO_USE,
    Generation,
    Pointer,
    pointer_to,
)
from edge_nusa.state.reader import StateReader


@dataclass(frozen=True)
class Move:
    """target: the generation to be current, None for the empty state; pointer: what CURRENT says then; damage: why the
    current one could not be gone back from, None where it is sound."""

    target: Generation | None
    pointer: Pointer
    damage: DamagedError | UnreadableError | None = None


class Moves(StateReader):
    """A state that knows where `undo` and `redo` lead to."""

    def _back(self, to: int | None) -> Move:
        """The move of an undo; to: the generation to go back to, None for the parent of the current one.

        Where the current generation is damaged or cannot be read, it leads to the newest readable older one, and
        nothing of what was left is noted. Raises InputError, DamagedError, OtherFormatError.
        """
        try:
            before = Pointer.from_bytes(self._pointer_bytes() or EMPTY_POINTER.to_bytes(), self._pointer_path)
            current = self._load(self._pointer_bytes())
            if current is not None:
                current.verify()
        except NO_USE as error:
            target = self._newest_readable() if to is None else self._older(to, self._start())
            if target is None and to is None and isinstance(error, OtherFormatError):
                raise  # nothing is damaged: another edge-nusa reads it all
            return self._move(target, (), error)
        if current is None:
            found = "expected a generation to go back from, found generation 0: nothing to undo"
            raise InputError(f"{self.folder}: {found}; learn something first")
        self._check_identity(current)  # the empty state, which it may lead to, has none
        target = self._parent(current) if to is None else self._older(to, current.number)
        return self._move(target, (replace(before, undone=()), *before.undone)[:GENERATIONS_KEPT])

    def _forward(self) -> Move:
        """The move of a redo. Raises InputError where nothing was undone, or where that is gone or damaged."""
        before = Pointer.from_bytes(self._pointer_bytes() or EMPTY_POINTER.to_bytes(), self._pointer_path)
        if not before.undone:
            raise InputError(
                f"{self.folder}: expected an undo to take back, found none since generation {before.generation} was "
                "made; what was undone goes with the next change, see `edge-nusa history`"
            )
        wanted = before.undone[0]
        target = self._readable(wanted.generation)
        if target is None or pointer_to(target) != wanted:
            raise InputError(
                f"{self.folder}: expected generation {wanted.generation} to go forward to, found it gone or damaged; "
                "teach it again"
            )
        return self._move(target, before.undone[1:])

    def _move(
        self,
        target: Generation | None,
        undone: tuple[Pointer, ...],
        damage: DamagedError | UnreadableError | None = None,
    ) -> Move:
        if target is not None:
            self._check_identity(target)
        return Move(target, replace(pointer_to(target) if target else EMPTY_POINTER, undone=undone), damage)

    def _parent(self, current: Generation) -> Generation | None:
        if current.parent == 0:
            return None
        parent = self._readable(current.parent)
        if parent is None:
            rule = f"expected generation {current.parent} to go back to, found it gone or damaged"
            raise InputError(
                f"{self.folder}: {rule}; the last {GENERATIONS_KEPT} generations are kept, see `edge-nusa history`"
            )
        return parent

    def _older(self, to: int, start: int) -> Generation | None:
        """The kept generation `to` among the ancestors of `start`; None for 0, the empty state. Raises InputError."""
        if to == 0:
            return None
        older = [number for number in self._lineage(start) if number != start]
        found = self._readable(to) if to in older else None
        if found is None:
            kept = ", ".join(map(str, [*older, 0]))
            raise InputError(
                f"{self.folder}: expected a kept generation before {start} ({kept}; 0: nothing is learned), found "
                f"{to}; see `edge-nusa history`, and `edge-nusa redo` for what was undone"
            )
        return found

    def _newest_readable(self) -> Generation | None:
        return next((found for number in self._lineage(self._start()) if (found := self._readable(number))), None)

    def _start(self) -> int:
        """The number that CURRENT names; where it cannot be read, the newest there is."""
        try:
            return Pointer.from_bytes(self._pointer_bytes() or b"", self._pointer_path).generation
        except NO_USE:
            return max(self._numbers(), default=0)
