"""`--shard K/N`: a sweep's runs dealt to N processes that know nothing of each other.

The deal depends on which runs were asked for and on nothing else, so that every process deals alike: whenever it was
started, with however many --jobs, and whatever was done before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown
from edge_nusa.research.learners.described import DESCRIBED, NEED_TOKENS, TRAIN_TEXT
from edge_nusa.research.protocol.sequence import Plan

MOST_SHARDS = 10_000


@dataclass(frozen=True)
class Shard:
    """One of `of` parts, `part` from 0."""

    part: int
    of: int

    def __str__(self) -> str:
        return f"{self.part}/{self.of}"

    @classmethod
    def parsed(cls, text: str) -> Shard:
        """Of `K/N`. Raises UsageError for anything else, and for a K that is not from 0 to N - 1."""
        match = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", text)
        part, of = (int(match[1]), int(match[2])) if match else (0, 0)
        if 1 <= of <= MOST_SHARDS and part < of:
            return cls(part, of)
        last = f"{of - 1}/{of}" if 1 <= of <= MOST_SHARDS else "15/16"
        raise UsageError(
            f"--shard: expected K/N with K counted from 0, such as 0/{last.partition('/')[2]} for the first and {last} "
            f"for the last, found {shown(text)}; in a job array of SLURM, --array=0-{last.partition('/')[0]}"
        )


def dealt(plans: Sequence[Plan], shard: Shard) -> list[Plan]:
    """The shard's plans, in the order of `plans`. Each plan is in one shard, and no shard has two more than another.

    The dearest are dealt first, row by row and every second row backwards, as players are picked for teams; those of
    one learner lie side by side, so that each learner is spread over all shards.
    """
    ranked = sorted(range(len(plans)), key=lambda index: _dearest_first(plans[index]))
    mine = set()
    for place, index in enumerate(ranked):
        row, column = divmod(place, shard.of)
        if shard.part == (column if row % 2 == 0 else shard.of - 1 - column):
            mine.add(index)
    return [plan for index, plan in enumerate(plans) if index in mine]


def _dearest_first(plan: Plan) -> tuple[int, str, int, float, str]:
    """A learner's runs are dearer with more tasks, and with more pictures (0: all of them)."""
    return _cost(plan.learner), plan.learner, -len(plan.order), -(plan.shots or float("inf")), plan.key


def _cost(learner: str) -> int:
    """0 for the dearest; a learner of one's own, of which nothing is known, is taken for one of them."""
    if learner in NEED_TOKENS or learner not in DESCRIBED:
        return 0
    return 1 if learner in TRAIN_TEXT else 2
