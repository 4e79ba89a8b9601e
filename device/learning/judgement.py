"""How a lesson is judged before it is committed: each picture left out in turn, before and after, and how far labels
are told apart; pure.

The head leaves a picture out exactly (`Solved.leave_one_out`). Text that was trained on the pictures saw each of them,
which makes the counts a little too good (docs/evidence.md, the judge).
Letters: B pictures, L labels known after the lesson, D embedding, V what is offered beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_nusa.device.asking.answer import Answerer
from edge_nusa.device.learning.judge import Apart, Retention, check_apart, check_kept, check_loss, told_apart
from edge_nusa.device.learning.left_out import LeftOut
from edge_nusa.device.learning.lesson import Lesson, Taught


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """before, after: what each picture that could be left out is answered by the state before and by the candidate;
    apart: of the columns that have enough pictures; by: how the pictures were asked, in words."""

    before: LeftOut
    after: LeftOut
    apart: Mapping[int, Apart]
    by: str

    def check(self, kept: Retention, names: Sequence[str]) -> None:
        """Raises RefusedError where labels look mixed up, or more is lost than the bounds allow."""
        check_apart(self.apart, names, self.after)
        check_kept(kept)
        check_loss(self.before.total.right, self.after.total.right, self.after.total.asked)


def judge(lesson: Lesson, taught: Taught, offered: tuple[np.ndarray, np.ndarray], logit_scale: float) -> Judgement:
    """What the pictures are answered before and after, and how far labels are told apart.

    offered: untouched and adapted anchors (V, D) of what is offered beside the labels. Of a label of one picture
    nothing is left when that is left out, so it is not asked; of a recipe without head no picture is.
    """
    solved, places = None, np.zeros(0, np.int64)
    if taught.whole.recipe.has_head:
        solved = taught.whole.solved
        places = np.flatnonzero(solved.counts[lesson.goals] > 1)
    goals, features, count = lesson.goals[places], lesson.seen.features_of(places), len(lesson.names)
    others = np.concatenate([taught.whole.frozen_anchors[len(lesson.before.labels) :], offered[0]])
    before = after = LeftOut(goals, goals, np.zeros(0), places)
    if solved is not None and len(places):
        answerer = Answerer(lesson.before, logit_scale, others, others)
        before = LeftOut.of(answerer(features), goals, places, count)
        left_out = solved.left_out(features.features, goals)
        answers = Answerer(taught.whole, logit_scale, *offered)(features, left_out)
        after = LeftOut.of(answers, goals, places, count)
    apart = told_apart(solved, solved.whitened(lesson.seen.rows), lesson.goals) if solved is not None else {}
    by = "leave-one-out" if len(places) else "nothing left out"
    return Judgement(before=before, after=after, apart=apart, by=by)
