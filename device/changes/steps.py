"""`undo` and `redo` of a board: the step to another generation, and what it changes, told for people and programs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa.device.changes.difference import Difference, back_in_words, difference, gone_in_words, labels_of
from edge_nusa.device.opened import Opened
from edge_nusa.errors import DamagedError, RefusedError, UnreadableError
from edge_nusa.knowledge.knowledge import Label
from edge_nusa.knowledge.labels import listed
from edge_nusa.state.generation import Generation


@dataclass(frozen=True, kw_only=True)
class Step:
    """What an undo or a redo did. generation: current now, 0: nothing is learned; left: the one that was current
    before, None where it cannot be read; operations: what made the generations in between, the first one done first;
    difference: what becomes of labels and pictures; labels: known now."""

    generation: int
    left: int | None
    operations: tuple[str, ...]
    difference: Difference
    labels: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """What `undo` and `redo --format json` print."""
        return {
            "generation": self.generation,
            "left": self.left,
            "operations": list(self.operations),
            **asdict(self.difference),
            "labels": list(self.labels),
        }


def undo(opened: Opened, to: int | None = None, only: int | None = None) -> Step:
    """Go a generation back, or to the kept generation `to`; with `only`, just where that one is current still.

    Raises RefusedError where it is not, and as `edge_nusa.state.state.State.undo`.
    """
    with opened.state.writer():
        if only is not None and (found := _number(opened.state.current())) != only:
            raise RefusedError(
                f"expected generation {only} to be the current one, found {found}: something was changed after it; "
                "look at the history and go back from there"
            )
        before = _readable_current(opened)
        known, passed = None if before is None else _labels(before), opened.state.line_of(before)
        target = opened.state.undo(to)
        return _told(before, known, target, [one for one in passed if one.number > _number(target)])


def redo(opened: Opened) -> Step:
    """Go to the generation that the last undo left. Raises as `edge_nusa.state.state.State.redo`."""
    with opened.state.writer():
        before = opened.state.current()
        known = _labels(before)
        target = opened.state.redo()
        return _told(
            before, known, target, [one for one in opened.state.line_of(target) if one.number > _number(before)]
        )


def undone_in_words(step: Step) -> str:
    """What a person reads after an undo: what went, what came back, where the state is now, and how to redo it."""
    what = f"undone: {', '.join(step.operations)}" if step.operations else "undone"
    redo = "" if step.left is None else "; `edge-nusa redo` takes this back until something else is changed"
    return f"{what}; {_changed(step)}; {_now(step)}{redo}"


def redone_in_words(step: Step) -> str:
    """What a person reads after a redo."""
    return f"redone: {', '.join(step.operations)}; {_changed(step)}; {_now(step)}"


def _changed(step: Step) -> str:
    gone, back = step.difference.gone, step.difference.back
    parts = [f"gone: {gone_in_words(gone)}"] if gone else []
    parts += [f"back: {back_in_words(back)}"] if back else []
    if step.left is None:
        return "what was current cannot be read"
    return "; ".join(parts) or "no label and no picture changes"


def _now(step: Step) -> str:
    if not step.generation:
        return "back at the start, nothing is learned"
    return f"generation {step.generation} is current, which knows {listed(step.labels) or 'no label'}"


def _told(
    before: Generation | None, known: tuple[Label, ...] | None, target: Generation | None, passed: list[Generation]
) -> Step:
    now = _labels(target)
    return Step(
        generation=_number(target),
        left=None if known is None else _number(before),
        operations=tuple(one.operation for one in passed),
        difference=difference(now or () if known is None else known, now or ()),
        labels=tuple(label.name for label in now or ()),
    )


def _labels(generation: Generation | None) -> tuple[Label, ...] | None:
    """None where they cannot be read: to go back, or forward, is possible all the same."""
    with suppress(DamagedError, UnreadableError):
        return labels_of(generation)
    return None


def _number(generation: Generation | None) -> int:
    return generation.number if generation else 0


def _readable_current(opened: Opened) -> Generation | None:
    """None where it is damaged, which is undone all the same, or where there is none."""
    with suppress(DamagedError, UnreadableError):
        current = opened.state.current()
        if current is not None:
            current.verify()
        return current
    return None
