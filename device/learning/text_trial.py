"""Whether a lesson's trained text is kept: it is where it answers no fewer of the lesson's pictures right than the head
with the text as it was, and makes their labels likelier.

Pure, and the same in any order of the pictures: counts and whole numbers are compared. The pictures asked are those
that the text was not trained on. Letters: B pictures asked, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge_nusa.device.asking.answer import Answerer
from edge_nusa.device.learning.lesson import FEWEST_TO_HOLD_BACK, HELD_BACK_SHARE, Lesson, Taught
from edge_nusa.knowledge.fusion import LEAST_LIKELY, UNIT
from edge_nusa.knowledge.knowledge import Knowledge

FEWEST_LABELS = 2
"""Text tells labels apart from each other."""
Outcome = Literal["kept", "dropped", "not trained"]


@dataclass(frozen=True)
class TextOutcome:
    """What became of a lesson's text, and why in a person's words."""

    outcome: Outcome
    reason: str


NO_HEAD = TextOutcome("kept", "this recipe has no head: what it trains is all that it learns")
AFTERWARDS = TextOutcome("not trained", "this is the head's lesson; a text trained later added nothing, or never came")
"""What a generation says that was committed before its text was trained, and that no other took the place of."""


def why_no_text(lesson: Lesson) -> str | None:
    """Why nothing can be said for a text of this lesson, whatever it learned; None where something may."""
    if len(lesson.names) < FEWEST_LABELS:
        return "one label alone has nothing that it could be told apart from"
    if not lesson.held_back.any():
        return (
            f"it takes {FEWEST_TO_HOLD_BACK} pictures of a label: one in {HELD_BACK_SHARE} is held back to judge it by"
        )
    return None


@dataclass(frozen=True, kw_only=True)
class TextTrial:
    """B pictures asked of the lesson without and with its trained text: how many were answered right, and by how
    many nats / UNIT all of their labels were missed (a sum of whole numbers)."""

    asked: int
    right_without: int
    right_with: int
    loss_without: int
    loss_with: int

    @property
    def adds(self) -> bool:
        """The rule."""
        return self.right_with >= self.right_without and self.loss_with < self.loss_without

    def outcome(self) -> TextOutcome:
        """The rule in words."""
        counts = f"of {self.asked} pictures asked {self.right_with} are answered right with it"
        counts += f" and {self.right_without} without"
        if self.adds:
            return TextOutcome("kept", f"{counts}, and it makes their labels likelier")
        if self.right_with < self.right_without:
            return TextOutcome("dropped", counts)
        return TextOutcome("dropped", f"{counts}, but it makes their labels no likelier")


def try_text(lesson: Lesson, without: Taught, adapted: Taught, logit_scale: float) -> TextTrial:
    """Ask the lesson's pictures of both, each left out of the head. without: as `lesson.teach` made it; adapted: as
    `lesson.teach_text` did."""
    asked = np.flatnonzero(lesson.held_back)
    goals, solved = lesson.goals[asked], without.whole.solved
    pictures = lesson.seen.features_of(asked)
    left_out = solved.left_out(pictures.features, goals)

    def answered(known: Knowledge) -> tuple[int, int]:
        none = known.frozen_anchors[:0]
        return measured(Answerer(known, logit_scale, none, none)(pictures, left_out).probabilities, goals)

    right_without, loss_without = answered(without.whole)
    right_with, loss_with = answered(adapted.whole)
    return TextTrial(
        asked=len(asked),
        right_without=right_without,
        right_with=right_with,
        loss_without=loss_without,
        loss_with=loss_with,
    )


def measured(probabilities: np.ndarray, goals: np.ndarray) -> tuple[int, int]:
    """How many of B pictures are answered right, and by how many nats / UNIT their labels are missed, each picture's
    rounded. probabilities (B, L); goals (B,) int64."""
    found = np.maximum(probabilities[np.arange(len(goals)), goals], LEAST_LIKELY)
    loss = np.rint(-UNIT * np.log(found)).astype(np.int64).sum()
    return int((probabilities.argmax(axis=1) == goals).sum()), int(loss)
