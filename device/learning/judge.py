"""Judges a candidate before it is committed: what its pictures are answered, and what happened to old knowledge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_nusa.device.learning.left_out import LeftOut
from edge_nusa.errors import RefusedError
from edge_nusa.knowledge.fit import Solved
from edge_nusa.knowledge.labels import quoted
from edge_nusa.threads import one_blas_thread

DISTRACTORS = 20
"""Vocabulary nouns offered beside the labels while judging where fewer than two labels are known."""
LARGEST_AGREEMENT_LOSS = 20.0
"""Points of vocabulary agreement that a candidate may lose (chosen on `micro`: docs/decisions.md)."""
FEWEST_TO_TELL_APART = 4
"""A label with fewer pictures in one learn says nothing about whether it is told apart."""
LEAST_APART = -0.2
"""The median label of a learn must be told apart from its closest label by at least so many standard errors
(docs/evidence.md)."""
LITTLE_APART = 1.0
"""A label less than so many standard errors from its closest is told to the user: one thing under two names?"""
LARGEST_ACCURACY_LOSS = 10.0
"""Percent of the judged pictures that may be answered right less often than by the state before, however many there
are."""
ADVICE = "more pictures (10 to 20 a label), another name, or a bigger model (`edge-nusa export`)"
"""What helps where labels cannot be recognised."""
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


def check_apart(apart: Mapping[int, Apart], names: Sequence[str], left_out: LeftOut) -> None:
    """Raises RefusedError where the median label of a learn is less told apart than LEAST_APART. left_out: what its
    pictures were answered."""
    if not apart or float(np.median([one.errors for one in apart.values()])) >= LEAST_APART:
        return
    column, worst = min(apart.items(), key=lambda item: item[1].errors)
    mine, other, counted = quoted(names[column]), quoted(names[worst.closest]), left_out.count(column)
    found = f"{counted.right} of {counted.asked} pictures of {mine} are recognised when left out"
    if len(apart) == 1:
        raise RefusedError(
            f"refused: {mine} cannot be told from {other}: {found}; the state is unchanged: if both are one thing, "
            f"teach these pictures as {other}; if not, give {ADVICE}; or use --force"
        )
    total = left_out.total
    raise RefusedError(
        f"refused: the pictures look as if labels were mixed up: {total.right} of {total.asked} are recognised when "
        f"left out, and {mine} looks most like {other} ({found}); the state is unchanged: check which picture lies "
        f"under which label; if all lie right, give {ADVICE}; or use --force"
    )


def is_hardly_recognised(right: int, asked: int) -> bool:
    """Whether fewer than half of a label's pictures are recognised when left out."""
    return 2 * right < asked


def check_kept(kept: Retention) -> None:
    """Raises RefusedError where more of the vocabulary changed its meaning than LARGEST_AGREEMENT_LOSS."""
    lost = 100 - kept.vocabulary_agreement
    if lost > LARGEST_AGREEMENT_LOSS:
        raise RefusedError(
            f"refused: {lost:.1f} of 100 common words would no longer mean what they meant, at most "
            f"{LARGEST_AGREEMENT_LOSS:.0f} may; the state is unchanged: use more varied pictures, fewer --steps, or "
            "--force"
        )


def check_loss(before: int, after: int, asked: int) -> None:
    """Raises RefusedError where so many fewer pictures are answered right that chance does not explain it.

    before, after: how many of the `asked` pictures the state before and the candidate answer right. One picture more or
    less is never a loss.
    """
    bound = largest_loss(before, after, asked)
    if before - after > bound:
        raise RefusedError(
            f"refused: of {asked} judged pictures {after} would be answered right, {before} were before; at most "
            f"{bound:.0f} fewer are borne; the state is unchanged: check that the pictures show what the label says, "
            "or use --force"
        )


def largest_loss(right_before: float, right_after: float, total: int) -> float:
    """How many of `total` judged pictures may be lost: one, LARGEST_ACCURACY_LOSS, or what chance explains,
    whichever is most.

    Chance: CHANCE_ERRORS * sqrt(n p (1 - p) + n q (1 - q)) of the shares p and q answered right before and after.
    """
    variance = sum(right * (total - right) / max(total, 1) for right in (right_before, right_after))
    return float(max(1.01, LARGEST_ACCURACY_LOSS * total / 100, CHANCE_ERRORS * np.sqrt(variance)))
