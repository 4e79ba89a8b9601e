"""What a lesson's pictures are answered when each is left out: counts with an interval, and what is taken for what.

Letters: B pictures, L labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_nusa.device.asking.answer import Answers

NO_LABEL = -1
"""The column of an answer that is none of the labels."""
NORMAL_95 = 1.959964
"""Standard deviations on either side of the mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Count:
    """So many of those asked were answered right."""

    right: int
    asked: int

    @property
    def percent(self) -> float | None:
        """Percent right to 0.01; None of nothing."""
        return round(100 * self.right / self.asked, 2) if self.asked else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Percent between which the share of all such pictures lies, by 95 % (`wilson`); None of nothing."""
        return wilson(self.right, self.asked) if self.asked else None


def wilson(right: int, asked: int) -> tuple[float, float]:
    """The score interval of a proportion, in percent to 0.1 (Wilson 1927; equation of Newcombe 1998, method 3), which
    holds for few pictures and for all or none right. asked: at least 1."""
    square = NORMAL_95**2
    middle = 2 * right + square
    spread = NORMAL_95 * float(np.sqrt(square + 4 * right * (asked - right) / asked))
    low, high = ((middle + sign * spread) / (2 * (asked + square)) for sign in (-1, 1))
    return round(100 * max(low, 0.0), 1), round(100 * min(high, 1.0), 1)


@dataclass(frozen=True)
class LeftOut:
    """goals (B,) int64: the label of each picture that was asked; answered (B,) int64: the label that it was given, or
    NO_LABEL; losses (B,) float64: - log of the probability of its own label; places (B,) int64: which picture of the
    lesson it is."""

    goals: np.ndarray
    answered: np.ndarray
    losses: np.ndarray
    places: np.ndarray

    @classmethod
    def of(cls, answers: Answers, goals: np.ndarray, places: np.ndarray, label_count: int) -> LeftOut:
        """Of answers about pictures of the labels `goals` among the first `label_count`."""
        found = np.where(answers.unknown, label_count, answers.probabilities.argmax(axis=1))
        own = answers.probabilities[np.arange(len(goals)), goals]
        losses = -np.log(np.maximum(own, 1e-12))
        return cls(goals, np.where(found < label_count, found, NO_LABEL), losses, places)

    def count(self, column: int) -> Count:
        """How many of the label's pictures were answered right."""
        mine = self.goals == column
        return Count(int((self.answered[mine] == column).sum()), int(mine.sum()))

    @property
    def total(self) -> Count:
        """How many of all pictures were answered right."""
        return Count(int((self.answered == self.goals).sum()), len(self.goals))

    def taken_for(self, column: int) -> Mapping[int, int]:
        """How many of the label's pictures were given each other label (or NO_LABEL), the most first."""
        wrong = self.answered[(self.goals == column) & (self.answered != column)]
        return dict(sorted(Counter(wrong.tolist()).items(), key=lambda item: (-item[1], item[0])))

    @property
    def mistaken(self) -> list[int]:
        """Which of the pictures were answered wrong, the greatest loss first."""
        wrong = np.flatnonzero(self.answered != self.goals)
        return [int(i) for i in wrong[np.argsort(-self.losses[wrong], kind="stable")]]
