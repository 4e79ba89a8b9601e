"""One lesson as steps on frozen values: look -> teach -> judge -> commit -> train the text -> keep it or not, where
teaching is here and pure.

`Seen` is what looking at the pictures gave, `Lesson` all that is taught from; `teach` makes `Taught` with the head,
which `judgement.py` judges, `teach_text` makes it again with trained text, of which `text_trial.py` says whether it is
kept. `edge-nusa learn` and the evaluation call the same; files, the lock, the trunk and the training process are around
it (`learn.py`, `research/learners/product.py`) and reach it as `Prompts` and `train`.
Letters: B pictures, C the task's labels, L labels known after it, D embedding, F features of the head, V nouns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from edge_nusa.device.asking.answer import PictureFeatures
from edge_nusa.device.learning.gaussian_replay import gaussian_replay
from edge_nusa.device.learning.task_data import TaskData, Trained
from edge_nusa.device.learning.train_head import with_head
from edge_nusa.errors import UsageError
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge import private
from edge_nusa.knowledge.groups import Formed
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.recipes import Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.threads import one_blas_thread

FEWEST_TO_HOLD_BACK = 5
"""Of a label with so many pictures some are held back from the training of the text, which is judged by them."""
HELD_BACK_SHARE = 5
"""One in so many."""
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

    def features_of(self, chosen: np.ndarray) -> PictureFeatures:
        """What an answer needs of the chosen pictures; the image tower is the untouched one."""
        return PictureFeatures(self.embedding[chosen], self.embedding[chosen], self.rows[chosen])


@dataclass(frozen=True)
class Grouping:
    """How pictures are grouped. formed: the groups that the state formed before; is_one: the pictures of a label that
    a lesson can group are one group."""

    formed: Formed
    is_one: bool = False


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """All that is taught from. names: of every label after the lesson; columns (C,) int64: the place of each of the
    task's labels among them; template: the prompt of the task's labels, None for the bundle's; grouping: None where
    all of the head's sums may leave."""

    before: Knowledge
    names: tuple[str, ...]
    columns: np.ndarray
    seen: Seen
    recipe: Recipe
    seed: int
    template: str | None = None
    grouping: Grouping | None = None

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
    def held_back(self) -> np.ndarray:
        """(B,) bool: pictures that the text is not trained on: those held out, and of a label that has none of these
        but pictures enough, some chosen by the seed."""
        generator, chosen, classes = np.random.default_rng(self.seed), self.seen.held_out.copy(), self.seen.classes
        for label in np.unique(classes):
            members = np.flatnonzero(classes == label)
            if len(members) >= FEWEST_TO_HOLD_BACK and not chosen[members].any():
                chosen[generator.permutation(members)[: len(members) // HELD_BACK_SHARE]] = True
        return chosen

    @cached_property
    def counts(self) -> np.ndarray:
        """(L,) int64: pictures of this lesson."""
        return np.bincount(self.goals, minlength=len(self.names))


@dataclass(frozen=True)
class Taught:
    """What a lesson made: the knowledge without the held-out pictures in its head, and with all of them; trained: None
    where no core was trained; formed: all groups that the state formed by then, None where its pictures are not
    grouped."""

    part: Knowledge
    whole: Knowledge
    trained: Trained | None
    formed: Formed | None = None


class Prompts(Protocol):
    """The text tower, as a lesson needs it."""

    def hidden(self, lesson: Lesson) -> tuple[np.ndarray, np.ndarray]:
        """Hidden states (C + O, T, E) and end positions (C + O,) of the task's labels, then of `remembered` ones."""

    def nouns(self, nouns: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of nouns (V, T', E), (V,), and their untouched anchors (V, D)."""

    def anchors(self, candidate: Knowledge) -> tuple[np.ndarray, np.ndarray]:
        """Untouched and adapted anchors (L, D) float32 of the candidate's labels by its cores."""


Train = Callable[[TaskData], Trained]


def teach(bundle: Bundle, lesson: Lesson, prompts: Prompts) -> Taught:
    """The knowledge after the lesson with the cores as they are: all there is to a lesson but the training of its
    text."""
    candidate = _with_cores(lesson, prompts, lesson.before.cores).with_lesson()
    if not lesson.recipe.has_head:
        return Taught(candidate, candidate, None)
    seen = lesson.seen
    with one_blas_thread:
        text_logits = bundle.manifest.logit_scale * seen.embedding @ candidate.frozen_anchors.T
    if lesson.grouping is None:
        part, whole, _ = with_head(candidate, lesson.before.head, seen.rows, text_logits, lesson.goals, seen.held_out)
        return Taught(part, whole, None)
    before = lesson.before.private or private.nothing_private(lesson.before.head)
    placed = private.placed(before, seen.rows, lesson.goals, lesson.grouping.formed, lesson.grouping.is_one)
    part, whole, losses = with_head(
        candidate, lesson.before.head, placed.rows, text_logits, lesson.goals, seen.held_out
    )
    stays = placed.stays(before, losses, len(whole.labels))
    return Taught(part, replace(whole, private=stays), None, placed.formed)


def teach_text(
    bundle: Bundle, lesson: Lesson, taught: Taught, prompts: Prompts, called: Sequence[str], train: Train
) -> Taught:
    """The same with trained cores and the anchors that they give. taught: what `teach` made of the lesson, whose head
    stays; called: the labels as prompts name them, so that no noun among them is a wrong answer; train: trains the
    cores."""
    trained = train(task_data(bundle, lesson, prompts, called))
    now = _with_cores(lesson, prompts, as_kept(trained.cores))

    def adapted(known: Knowledge) -> Knowledge:
        return replace(known, cores=now.cores, frozen_anchors=now.frozen_anchors, adapted_anchors=now.adapted_anchors)

    return Taught(adapted(taught.part), adapted(taught.whole), trained, taught.formed)


def _with_cores(lesson: Lesson, prompts: Prompts, cores: Mapping[str, np.ndarray]) -> Knowledge:
    """The knowledge before with the lesson's labels, these cores, and the anchors that they give; the head as it
    was."""
    candidate = replace(
        lesson.before,
        recipe=lesson.recipe,
        cores=cores,
        labels=labels_after(lesson),
        tasks=lesson.before.tasks + 1,
        private=None,
    )
    frozen, adapted = prompts.anchors(candidate)
    return replace(candidate, frozen_anchors=frozen, adapted_anchors=adapted)


def task_data(bundle: Bundle, lesson: Lesson, prompts: Prompts, called: Sequence[str]) -> TaskData:
    """What the cores are trained from."""
    seen, recipe = lesson.seen, lesson.recipe
    hidden, last = prompts.hidden(lesson)
    drawn = drawn_nouns(bundle.vocabulary[0], called, NOUNS, lesson.seed) if recipe.negatives else []
    recalled = None
    if recipe.recalled:
        head = lesson.before.head
        recalled = gaussian_replay(bundle, head, lesson.remembered, seen.rows, seen.classes, ~lesson.held_back)
    noun_hidden, noun_last, noun_anchors = prompts.nouns(drawn)
    return TaskData(
        embedding=seen.embedding,
        tokens=seen.tokens,
        classes=seen.classes,
        held_out=lesson.held_back if recipe.has_head else seen.held_out,
        class_hidden=hidden,
        class_last=last,
        noun_hidden=noun_hidden,
        noun_last=noun_last,
        noun_anchors=noun_anchors,
        gaussian_replay=recalled,
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
