"""Judges a candidate before it is committed: held-out accuracy before and after, and what happened to old knowledge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_nusa.device.asking.answer import Answers
from edge_nusa.errors import RefusedError
from edge_nusa.knowledge.head import Solved
from edge_nusa.knowledge.labels import quoted
from edge_nusa.threads import one_blas_thread

DISTRACTORS = 20
"""Vocabulary nouns offered beside the labels while judging where fewer than two labels are known."""
LARGEST_AGREEMENT_LOSS = 20.0
"""Points of vocabulary agreement that a candidate may lose (chosen on `micro`: docs/decisions.md)."""
FEWEST_TO_TELL_APART = 4
"""A label with fewer pictures in one learn says nothing about whether it is told apart."""
LEAST_APART = -0.6
"""The median label of a learn must be told apart from its closest label by at least so many standard errors
(docs/evidence.md)."""
LITTLE_APART = 1.0
"""A label less than so many standard errors from its closest is told to the user: one thing under two names?"""
LARGEST_ACCURACY_LOSS = 10.0
"""Percent of the judged pictures that may be answered right less often than by the state before, however many there
are."""
CHANCE_ERRORS = 1.64
"""Standard errors of the difference of two proportions that chance explains (one in twenty, one-sided)."""


@dataclass(frozen=True)
class Retention:
    """What became of old knowledge. vocabulary_agreement: percent of vocabulary nouns whose adapted anchor is still
    nearest to its own frozen anchor; vocabulary_cosine: mean cosine of the two; old_labels_cosine: least cosine of
    the anchor before and after of a label known before and not taught now, None where there is none."""

    vocabulary_agreement: float
    vocabulary_cosine: float
    old_labels_cosine: float | None


@one_blas_thread
def retention(frozen: np.ndarray, adapted: np.ndarray, old_before: np.ndarray, old_after: np.ndarray) -> Retention:
    """frozen, adapted (V, D): vocabulary anchors; old_before, old_after (L, D): anchors of labels known before."""
    agreement = 100 * float(((adapted @ frozen.T).argmax(axis=1) == np.arange(len(frozen))).mean())
    old = float((old_before * old_after).sum(axis=1).min()) if len(old_before) else None
    return Retention(
        round(agreement, 2),
        round(float((frozen * adapted).sum(axis=1).mean()), 4),
        None if old is None else round(old, 4),
    )


def accuracies(answers: Answers, goals: np.ndarray, label_count: int) -> list[float | None]:
    """Percent right of each of the first `label_count` columns; None where no picture is of that label.

    goals (B,) int64: the right column of each picture among learned labels, then others.
    """
    found = answers.probabilities.argmax(axis=1)
    return [percent(found[goals == column] == column) for column in range(label_count)]


@dataclass(frozen=True)
class Apart:
    """How well a label's pictures are told apart from those of the label that is closest to it. closest: that
    label's column;
    errors: by how many standard errors, below 0 where they look more like the other's."""

    closest: int
    errors: float


def told_apart(solved: Solved, rows: np.ndarray, goals: np.ndarray) -> dict[int, Apart]:
    """Of each label with enough pictures among rows, beside the labels of the fit; empty where it knows one label only.

    solved: a fit with these pictures in its sums; rows (B, F) `whitened`; goals (B,) int64. A picture's margin is its
    leave-one-out score for its label less that for the other. Means of few pictures lie further off by chance, which
    would favour the label of more pictures, so half of v / n is given back, v the pictures' mean squared distance.
    """
    scores, distances = solved.leave_one_out(rows, goals)
    found: dict[int, Apart] = {}
    for column in np.unique(goals):
        mine, count = goals == column, int(solved.counts[column])
        others = np.flatnonzero((solved.counts > 0) & (np.arange(len(solved.counts)) != column))
        if mine.sum() < FEWEST_TO_TELL_APART or not len(others):
            continue
        spread = distances[mine].mean() * (count - 1) / count
        given_back = spread * (1 / (count - 1) - 1 / solved.counts[others]) / 2
        margins = scores[mine][:, [column]] - scores[mine][:, others] + given_back
        errors = margins.mean(axis=0) / (margins.std(axis=0, ddof=1) / np.sqrt(mine.sum()) + 1e-9)
        found[int(column)] = Apart(int(others[errors.argmin()]), round(float(errors.min()), 2))
    return found


def check_apart(apart: Mapping[int, Apart], names: Sequence[str]) -> None:
    """Raises RefusedError where the median label of a learn is less told apart than LEAST_APART."""
    if not apart or float(np.median([one.errors for one in apart.values()])) >= LEAST_APART:
        return
    column, worst = min(apart.items(), key=lambda item: item[1].errors)
    raise RefusedError(
        f"refused: the pictures look as if labels were mixed up ({quoted(names[column])} is told apart from "
        f"{quoted(names[worst.closest])} by {worst.errors:.1f} standard errors, "
        f"the median label must reach {LEAST_APART}); the state is unchanged: check which picture lies under which "
        "label, or use --force"
    )


def percent(hits: np.ndarray) -> float | None:
    """100 * mean, rounded to 0.01; None of nothing."""
    return round(100 * float(hits.mean()), 2) if len(hits) else None


def check(kept: Retention, before: list[float | None], after: list[float | None], asked: list[int]) -> None:
    """Raises RefusedError where the candidate loses more than the bounds allow.

    before, after: percent of each label; asked: how many pictures each was asked. One picture more or less is never a
    loss.
    """
    if 100 - kept.vocabulary_agreement > LARGEST_AGREEMENT_LOSS:
        raise RefusedError(
            f"refused: {100 - kept.vocabulary_agreement:.1f} % of the vocabulary changed its meaning, the bound is "
            f"{LARGEST_AGREEMENT_LOSS:.0f} %; "
            "the state is unchanged: use more varied pictures, fewer --steps, or --force"
        )
    rows = [(b, a, count) for b, a, count in zip(before, after, asked, strict=True) if b is not None and a is not None]
    total = sum(count for _, _, count in rows)
    right_before, right_after = (sum(row[i] * row[2] for row in rows) / 100 for i in (0, 1))
    bound = largest_loss(right_before, right_after, total)
    if right_before - right_after > bound:
        raise RefusedError(
            f"refused: of {total} judged pictures {right_after:.0f} would be answered right, {right_before:.0f} were "
            f"before; {bound:.0f} fewer are borne; "
            "the state is unchanged: check that the pictures show what the label says, or use --force"
        )


def largest_loss(right_before: float, right_after: float, total: int) -> float:
    """How many of `total` judged pictures may be lost: one, LARGEST_ACCURACY_LOSS, or what chance explains,
    whichever is most.

    Chance: CHANCE_ERRORS * sqrt(n p (1 - p) + n q (1 - q)) of the shares p and q answered right before and after.
    """
    variance = sum(right * (total - right) / max(total, 1) for right in (right_before, right_after))
    return float(max(1.01, LARGEST_ACCURACY_LOSS * total / 100, CHANCE_ERRORS * np.sqrt(variance)))
