"""How a lesson is judged before it is committed: accuracy before and after, and how far labels are told apart; pure.

Letters: B pictures, L labels known after the lesson, D embedding, V what is offered beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_nusa.device.asking.answer import Answerer
from edge_nusa.device.learning.judge import Apart, Retention, accuracies, check, check_apart, told_apart
from edge_nusa.device.learning.lesson import Lesson, Taught
from edge_nusa.knowledge.knowledge import Knowledge


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """before, after: percent right of each of the L labels, None where it was not asked; apart: of the columns that
    have enough pictures; asked (L,): how many pictures; by: how the pictures were asked, in words."""

    before: list[float | None]
    after: list[float | None]
    apart: Mapping[int, Apart]
    asked: list[int]
    by: str

    def check(self, kept: Retention, names: Sequence[str]) -> None:
        """Raises RefusedError where labels look mixed up, or more is lost than the bounds allow."""
        check_apart(self.apart, names)
        check(kept, self.before, self.after, self.asked)


def judge(lesson: Lesson, taught: Taught, offered: tuple[np.ndarray, np.ndarray], logit_scale: float) -> Judgement:
    """Accuracy before and after, and how far labels are told apart.

    offered: untouched and adapted anchors (V, D) of what is offered beside the labels. Held-out pictures are asked
    of `taught.part`, which never saw them; a label with too few to hold any out is asked about all of its pictures,
    each left out in turn.
    """
    seen, goals, count = lesson.seen, lesson.goals, len(lesson.names)
    has_head = taught.whole.recipe.has_head
    apart: dict[int, Apart] = {}
    alone = np.zeros(0, np.int64)
    if has_head:
        apart = told_apart(taught.whole.solved, taught.whole.solved.whitened(seen.rows), goals)
        alone = np.flatnonzero(~np.isin(seen.classes, seen.classes[seen.held_out]))
    held = np.flatnonzero(seen.held_out)
    asked = np.union1d(held, alone)
    by = [*(["held-out pictures"] if len(held) else []), *(["leave-one-out"] if len(alone) else [])]
    return Judgement(
        before=_before(lesson, taught.whole, offered[0], asked, logit_scale),
        after=_after(lesson, taught, offered, (held, alone), logit_scale),
        apart=apart,
        asked=np.bincount(goals[asked], minlength=count).tolist(),
        by=" and ".join(by) or "nothing held out",
    )


def _before(
    lesson: Lesson, candidate: Knowledge, offered: np.ndarray, asked: np.ndarray, logit_scale: float
) -> list[float | None]:
    """Percent right of the state before: its learned labels, the new ones by the untouched model."""
    if not len(asked):
        return [None] * len(lesson.names)
    others = np.concatenate([candidate.frozen_anchors[len(lesson.before.labels) :], offered])
    answerer = Answerer(lesson.before, logit_scale, others, others)
    return accuracies(answerer(lesson.seen.features_of(asked)), lesson.goals[asked], len(lesson.names))


def _after(
    lesson: Lesson,
    taught: Taught,
    offered: tuple[np.ndarray, np.ndarray],
    asked: tuple[np.ndarray, np.ndarray],
    logit_scale: float,
) -> list[float | None]:
    """Percent right of the candidate: of the pictures held out, and of those asked by leaving each out."""
    (held, alone), count, seen = asked, len(lesson.names), lesson.seen
    after: list[float | None] = [None] * count
    if len(held):
        answers = Answerer(taught.part, logit_scale, *offered)(seen.features_of(held))
        after = accuracies(answers, lesson.goals[held], count)
    if not len(alone):
        return after
    answerer, asked_features, solved = (
        Answerer(taught.whole, logit_scale, *offered),
        seen.features_of(alone),
        taught.whole.solved,
    )
    left_out = solved.leave_one_out(solved.whitened(asked_features.features), lesson.goals[alone])
    others = accuracies(answerer(asked_features, left_out), lesson.goals[alone], count)
    shown = taught.whole.head.counts
    # of a label of one picture nothing is left when that is left out
    return [
        a if a is not None else b if shown[c] > 1 else None for c, (a, b) in enumerate(zip(after, others, strict=True))
    ]
