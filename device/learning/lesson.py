"""One lesson as steps on frozen values: look -> teach -> judge -> commit, where teaching and judging are here and pure.

`Seen` is what looking at the pictures gave, `Lesson` all that is taught from, `teach` makes `Taught`, `judge` makes
`Judgement`. `edge-nusa learn` and the evaluation call the same `teach`; files, the lock, the trunk and the training
process are around it (`learn.py`, `research/learners/product.py`) and reach it as `Words` and `train`.
Letters: B pictures, C the task's labels, L labels known after it, D embedding, F features of the head, V nouns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from edge_nusa.device.asking.answer import Answerer, Views
from edge_nusa.device.learning import judge as judges
from edge_nusa.device.learning.recollection import recollection
from edge_nusa.device.learning.task_data import TaskData, Trained
from edge_nusa.device.learning.train_head import with_head
from edge_nusa.errors import UsageError
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.recipes import Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.threads import one_blas_thread

NOUNS = 256
"""Vocabulary nouns that a lesson draws wrong answers from."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """B pictures as the trunk saw them.

    embedding (B, D) float32 unit norm; rows (B, F) int64, the head's features; tokens (B, N, E) float16 or None where
    the image tower stays; classes (B,) int64: the label of each, counted among the task's; held_out (B,) bool.
    """

    embedding: np.ndarray
    rows: np.ndarray
    tokens: np.ndarray | None
    classes: np.ndarray
    held_out: np.ndarray

    def views(self, chosen: np.ndarray) -> Views:
        """What an answer needs of the chosen pictures; the image tower is the untouched one."""
        return Views(self.embedding[chosen], self.embedding[chosen], self.rows[chosen])


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """All that is taught from. names: of every label after the lesson; columns (C,) int64: the place of each of the
    task's labels among them; template: the prompt of the task's labels, None for the bundle's."""

    before: Knowledge
    names: tuple[str, ...]
    columns: np.ndarray
    seen: Seen
    recipe: Recipe
    seed: int
    template: str | None = None

    @cached_property
    def goals(self) -> np.ndarray:
        """(B,) int64: the place of each picture's label among all names."""
        return np.asarray(self.columns[self.seen.classes])

    @cached_property
    def remembered(self) -> np.ndarray:
        """(O,) int64: columns of labels that are not taught now and that the head has pictures of, where the recipe
        recalls any."""
        if not self.recipe.recalled:
            return np.zeros(0, np.int64)
        return np.setdiff1d(np.flatnonzero(self.before.head.counts > 0), self.columns)

    @cached_property
    def counts(self) -> np.ndarray:
        """(L,) int64: pictures of this lesson."""
        return np.bincount(self.goals, minlength=len(self.names))


@dataclass(frozen=True)
class Taught:
    """What a lesson made: the knowledge without the held-out pictures in its head, and with all of them; trained: None
    where no core was trained."""

    part: Knowledge
    whole: Knowledge
    trained: Trained | None


class Words(Protocol):
    """The text tower, as a lesson needs it."""

    def hidden(self, lesson: Lesson) -> tuple[np.ndarray, np.ndarray]:
        """Hidden states (C + O, T, E) and end positions (C + O,) of the task's labels, then of `remembered` ones."""

    def nouns(self, nouns: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of nouns (V, T', E), (V,), and their untouched anchors (V, D)."""

    def anchors(self, candidate: Knowledge) -> tuple[np.ndarray, np.ndarray]:
        """Untouched and adapted anchors (L, D) float32 of the candidate's labels by its cores."""


Train = Callable[[TaskData], Trained]


def teach(bundle: Bundle, lesson: Lesson, words: Words, called: Sequence[str], train: Train | None) -> Taught:
    """The knowledge after the lesson. called: the labels as prompts name them, so that no noun among them is a wrong
    answer; train: trains the cores (None: they stay as they are)."""
    trained = train(task_data(bundle, lesson, words, called)) if train is not None else None
    cores = as_kept(trained.cores) if trained is not None else lesson.before.cores
    candidate = replace(
        lesson.before, recipe=lesson.recipe, cores=cores, labels=labels_after(lesson), tasks=lesson.before.tasks + 1
    )
    frozen, adapted = words.anchors(candidate)
    candidate = replace(candidate, frozen_anchors=frozen, adapted_anchors=adapted)
    if not lesson.recipe.has_head:
        return Taught(candidate, candidate, trained)
    seen = lesson.seen
    with one_blas_thread:
        text_logits = bundle.manifest.logit_scale * seen.embedding @ frozen.T
    part, whole = with_head(candidate, lesson.before.head, seen.rows, text_logits, lesson.goals, seen.held_out)
    return Taught(part, whole, trained)


def task_data(bundle: Bundle, lesson: Lesson, words: Words, called: Sequence[str]) -> TaskData:
    """What the cores are trained from."""
    seen, recipe = lesson.seen, lesson.recipe
    hidden, last = words.hidden(lesson)
    drawn = drawn_nouns(bundle.vocabulary[0], called, NOUNS, lesson.seed) if recipe.negatives else []
    recalled = None
    if recipe.recalled:
        head = lesson.before.head
        recalled = recollection(bundle, head, lesson.remembered, seen.rows, seen.classes, ~seen.held_out)
    noun_hidden, noun_last, noun_anchors = words.nouns(drawn)
    return TaskData(
        embedding=seen.embedding,
        tokens=seen.tokens,
        classes=seen.classes,
        held_out=seen.held_out,
        class_hidden=hidden,
        class_last=last,
        noun_hidden=noun_hidden,
        noun_last=noun_last,
        noun_anchors=noun_anchors,
        recollection=recalled,
    )


def drawn_nouns(vocabulary: Sequence[str], called: Sequence[str], count: int, seed: int) -> list[str]:
    """Vocabulary nouns that are not among the labels, chosen by the seed."""
    taken = {label_names.key(name) for name in called}
    free = [noun for noun in vocabulary if label_names.key(noun) not in taken]
    return [free[i] for i in np.random.default_rng(seed).permutation(len(free))[:count]]


def as_kept(cores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The cores as a state keeps them, in float32, so that what is judged is what will answer."""
    return {name: core.astype(np.float32).astype(core.dtype) for name, core in cores.items()}


def labels_after(lesson: Lesson) -> tuple[Label, ...]:
    """Every label with the lesson's pictures counted and, where it was taught now with one, its template."""
    taught = set(lesson.columns.tolist())
    rows = []
    for column, name in enumerate(lesson.names):
        known = lesson.before.labels[column] if column < len(lesson.before.labels) else Label(name, 0)
        template = (lesson.template if column in taught else None) or known.template
        rows.append(replace(known, images=known.images + int(lesson.counts[column]), template=template))
    return tuple(rows)


def check_goes_on(before: Knowledge, recipe: Recipe) -> None:
    """Raises UsageError where what is known was taught by another kind of recipe."""
    kinds = [(one.rule, one.towers, one.has_head) for one in (before.recipe, recipe)]
    if before.tasks and kinds[0] != kinds[1]:
        raise UsageError(
            f"this state was taught with --recipe {before.recipe.name}; go on with it, or use another --state for "
            f"--recipe {recipe.name}"
        )


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """before, after: percent right of each of the L labels, None where it was not asked; apart: of the columns that
    have enough pictures; asked (L,): how many pictures; by: how the pictures were asked, in words."""

    before: list[float | None]
    after: list[float | None]
    apart: Mapping[int, judges.Apart]
    asked: list[int]
    by: str

    def check(self, kept: judges.Retention, names: Sequence[str]) -> None:
        """Raises RefusedError where labels look mixed up, or more is lost than the bounds allow."""
        judges.check_apart(self.apart, names)
        judges.check(kept, self.before, self.after, self.asked)


def judge(lesson: Lesson, taught: Taught, offered: tuple[np.ndarray, np.ndarray], logit_scale: float) -> Judgement:
    """Accuracy before and after, and how far labels are told apart.

    offered: untouched and adapted anchors (V, D) of what is offered beside the labels. Held-out pictures are asked
    of `taught.part`, which never saw them; a label with too few to hold any out is asked about all of its pictures,
    each left out in turn.
    """
    seen, goals, count = lesson.seen, lesson.goals, len(lesson.names)
    has_head = taught.whole.recipe.has_head
    apart: dict[int, judges.Apart] = {}
    alone = np.zeros(0, np.int64)
    if has_head:
        apart = judges.told_apart(taught.whole.solved, taught.whole.solved.whitened(seen.rows), goals)
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
    return judges.accuracies(answerer(lesson.seen.views(asked)), lesson.goals[asked], len(lesson.names))


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
        answers = Answerer(taught.part, logit_scale, *offered)(seen.views(held))
        after = judges.accuracies(answers, lesson.goals[held], count)
    if not len(alone):
        return after
    answerer, views, solved = Answerer(taught.whole, logit_scale, *offered), seen.views(alone), taught.whole.solved
    left_out = solved.leave_one_out(solved.whitened(views.features), lesson.goals[alone])
    others = judges.accuracies(answerer(views, left_out), lesson.goals[alone], count)
    shown = taught.whole.head.counts
    # of a label of one picture nothing is left when that is left out
    return [
        a if a is not None else b if shown[c] > 1 else None for c, (a, b) in enumerate(zip(after, others, strict=True))
    ]
