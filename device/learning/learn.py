"""Learns one task: features, training, head, judge, commit; the state changes at the very end or not at all."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from edge_nusa.device.asking import eye
from edge_nusa.device.asking.answer import Answerer
from edge_nusa.device.asking.features import Features, extract, limits
from edge_nusa.device.board import footprint, torch_check
from edge_nusa.device.board import linux as board
from edge_nusa.device.learning import judge
from edge_nusa.device.learning import report as learn_report
from edge_nusa.device.learning import train_head as lesson
from edge_nusa.device.learning.recollection import recollection
from edge_nusa.device.learning.screen import Screen
from edge_nusa.device.learning.task import Task, held_out, joined
from edge_nusa.device.learning.task_data import TaskData
from edge_nusa.device.learning.train_apart import Lesson, train_apart
from edge_nusa.device.workplace import Workplace
from edge_nusa.errors import InputError, MissingPackageError, UsageError
from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.anchors import label_anchors
from edge_nusa.knowledge.knowledge import Knowledge, Label, from_files, load, to_files
from edge_nusa.knowledge.recipes import Recipe, check_fits
from edge_nusa.memory import give_back
from edge_nusa.model import sessions
from edge_nusa.model.text_encoder import TextEncoder

NOUNS_FOR_TRAINING = 256
NOUNS_FOR_JUDGING = 256
Progress = Callable[[str, int, int], None]


class _Tails(NamedTuple):
    """Sessions of the text tail: untouched, and with what the candidate learned."""

    frozen: Any
    adapted: Any


@dataclass(frozen=True)
class LearnSettings:
    """Choices of one learn. template: a prompt with {} for these labels, or None for the bundle's."""

    recipe: Recipe
    seed: int = 0
    template: str | None = None
    is_forced: bool = False
    is_dry_run: bool = False
    wait_seconds: float = 600


def learn(workplace: Workplace, task: Task, settings: LearnSettings, progress: Progress) -> dict[str, Any]:
    """Teach the task; returns the report (README, `learn --format json`).

    Raises InputError (nothing readable, divergence), RefusedError (the judge), UsageError (recipe and bundle do not
    fit),
    ResourceError (memory, disk, another writer). The state is then as it was.
    """
    if settings.template is not None and settings.template.count("{}") != 1:
        raise UsageError(
            f"--template: expected one {{}} for the label, got {settings.template!r}; for example 'a photo of a {{}}, "
            "a type of flower.'"
        )
    check_fits(settings.recipe, workplace.bundle.manifest.image, workplace.bundle.manifest.text, len(task.labels))
    check_torch()
    with workplace.state.writer(settings.wait_seconds):
        return _Learning(workplace, task, settings, progress).run()


class _Learning:
    """One learn in progress, with the state's lock held."""

    def __init__(self, workplace: Workplace, task: Task, settings: LearnSettings, progress: Progress) -> None:
        self.began, self.neighbours = time.monotonic(), board.Neighbours()
        self.workplace, self.bundle, self.task, self.settings, self.progress = (
            workplace,
            workplace.bundle,
            task,
            settings,
            progress,
        )
        self.number, self.before = load(workplace.bundle, workplace.state, settings.recipe)
        recipe = self.before.recipe
        if self.before.tasks and (recipe.rule, recipe.towers, recipe.has_head) != (
            settings.recipe.rule,
            settings.recipe.towers,
            settings.recipe.has_head,
        ):
            raise UsageError(
                f"this state was taught with --recipe {recipe.name}; go on with it, or use another --state for "
                f"--recipe {settings.recipe.name}"
            )
        self.names, self.columns = joined(self.before.names, task)
        footprint.check_learn(
            self.bundle.manifest, settings.recipe, len(task.paths), len(self.names), workplace.max_memory_bytes
        )

    def run(self) -> dict[str, Any]:
        features = self._features()
        self.classes = self.task.classes[features.kept]
        self.goals = self.columns[self.classes]
        # the published recipe trains on every picture and has nothing held out
        self.held = held_out(self.classes, self.settings.seed) & self.settings.recipe.has_head
        self.quarantined = features.quarantined
        text = TextEncoder(self.bundle, self.workplace.threads)
        candidate = replace(self.before, recipe=self.settings.recipe, cores=self._train(features, text))
        give_back()
        tails = _Tails(text.tail({}), text.tail(candidate.merged(self.bundle, ("text",))))
        labels = self._labels()
        candidate = replace(
            candidate,
            labels=labels,
            frozen_anchors=label_anchors(text, tails.frozen, labels),
            adapted_anchors=label_anchors(text, tails.adapted, labels),
            tasks=self.before.tasks + 1,
        )
        kept, offered = self._retention(candidate, text, tails), self._offered(text, tails)
        del tails, text  # the head's sums need the room
        give_back()
        report, candidate = self._judged(candidate, features, kept, offered)
        report["peak_rss_bytes"] = max(report["peak_rss_bytes"], self.peak_bytes)
        if not self.settings.is_dry_run:
            files = to_files(replace(candidate, report=learn_report.stored(report)))
            from_files(self.bundle, files)  # what could not be read back must not be committed
            report["generation"] = self.workplace.state.commit(files, "learn").number
        return report

    def _features(self) -> Features:
        recipe, budget = self.settings.recipe, self.workplace.max_memory_bytes
        session = sessions.open_session(self.bundle, "image_trunk", self.workplace.threads)
        needs_tokens = "image" in recipe.towers and self.bundle.manifest.image.tail_blocks > 0
        features = extract(
            session,
            self.bundle,
            self.task.paths,
            limits(self.bundle, budget),
            needs_tokens,
            # fmt: skip
            lambda done, total: self.progress("looking", done, total),
            screen=Screen(self.task.classes),
        )
        del session
        give_back()
        present = set(self.task.classes[features.kept].tolist())
        for index, label in enumerate(self.task.labels):
            if index not in present:
                reasons = "; ".join(sorted({q.reason for q in features.quarantined})[:3])
                raise InputError(
                    f"no readable picture of {label!r} ({reasons}); nothing was learned: give at least one sound "
                    "picture"
                )
        return features

    def _train(self, features: Features, text: TextEncoder) -> dict[str, np.ndarray]:
        prompt = self.settings.template or self.bundle.manifest.templates[0]
        old = self._remembered()
        class_hidden, class_last = text.hidden(
            [prompt.replace("{}", name) for name in [*self.task.labels, *(self.before.names[i] for i in old)]]
        )
        nouns = (
            [prompt.replace("{}", noun) for noun in self._nouns(NOUNS_FOR_TRAINING)]
            if self.settings.recipe.negatives
            else []
        )
        noun_hidden, noun_last = text.hidden(nouns)
        noun_anchors = text.through(text.tail({}), noun_hidden, noun_last)
        text.close()
        give_back()
        recalled = None
        if self.settings.recipe.recalled:
            recalled = recollection(
                self.bundle, self.before.head, old, heads.features(features.taps), self.classes, ~self.held
            )
        data = TaskData(
            features.embedding,
            features.tokens,
            self.classes,
            self.held,
            class_hidden,
            class_last,
            noun_hidden,
            noun_last,
            noun_anchors,
            recalled,
        )
        apart = Lesson(
            self.before, data, features.spool, self.settings.recipe, self.settings.seed, self.neighbours.cores()
        )
        trained, self.peak_bytes = train_apart(
            self.workplace, apart, lambda done, total: self.progress("training", done, total)
        )
        self.trained = {
            "loss": round(trained.loss, 4),
            "kept_step": trained.kept_step,
            "crossings": sum(trained.crossings.values()),
        }
        return trained.cores

    def _remembered(self) -> np.ndarray:
        """(O,) int64: the columns of labels that are not taught now and that the head has pictures of."""
        if not self.settings.recipe.recalled:
            return np.zeros(0, np.int64)
        return np.setdiff1d(np.flatnonzero(self.before.head.counts > 0), self.columns)

    def _nouns(self, count: int) -> list[str]:
        """Vocabulary nouns that are not among the labels, chosen by the seed."""
        taken = {label_names.key(name) for name in [*self.before.names, *self.task.labels]}
        free = [noun for noun in self.bundle.vocabulary[0] if label_names.key(noun) not in taken]
        return [free[i] for i in np.random.default_rng(self.settings.seed).permutation(len(free))[:count]]

    def _labels(self) -> tuple[Label, ...]:
        counts = np.bincount(self.goals, minlength=len(self.names))
        old = dict(enumerate(self.before.labels))
        taught = set(self.columns.tolist())
        rows = []
        for index, name in enumerate(self.names):
            known = old.get(index, Label(name, 0))
            template = (self.settings.template if index in taught else None) or known.template
            rows.append(replace(known, images=known.images + int(counts[index]), template=template))
        return tuple(rows)

    def _judged(
        self, candidate: Knowledge, features: Features, kept: judge.Retention, offered: tuple[np.ndarray, np.ndarray]
    ) -> tuple[dict[str, Any], Knowledge]:
        """Judge the candidate and give its report, and the candidate with the head of all pictures. Raises
        RefusedError."""
        self.progress("judging", 0, 1)
        part = whole = candidate
        apart: dict[int, judge.Apart] = {}
        if candidate.recipe.has_head:
            rows_seen = heads.features(features.taps)
            text_logits = self.bundle.manifest.logit_scale * features.embedding @ candidate.frozen_anchors.T
            part, whole = lesson.with_head(candidate, self.before.head, rows_seen, text_logits, self.goals, self.held)
            apart = judge.told_apart(whole.solved, whole.solved.whitened(rows_seen), self.goals)
            give_back()
        # a label with too few pictures to hold any out is asked about all of them before, and by leave-one-out after
        alone = (
            np.flatnonzero(~np.isin(self.classes, self.classes[self.held]))
            if candidate.recipe.has_head
            else np.zeros(0, np.int64)
        )
        asked = np.union1d(np.flatnonzero(self.held), alone)
        before = self._accuracies_before(candidate, features, offered[0], asked)
        after = self._accuracies_after(part, whole, features, offered, alone)
        if not self.settings.is_forced:
            judge.check_apart(apart, self.names)
            judge.check(kept, before, after, np.bincount(self.goals[asked], minlength=len(self.names)).tolist())
        self.progress("judging", 1, 1)
        counts = np.bincount(self.goals, minlength=len(self.names))
        rows = [
            {
                "label": self.names[c],
                "images": int(counts[c]),
                "accuracy_before": before[c],
                "accuracy_after": after[c],
                "closest": self.names[apart[c].closest] if c in apart else None,
                "told_apart_errors": apart[c].errors if c in apart else None,
            }
            for c in self.columns.tolist()
        ]
        by = [*(["held-out pictures"] if self.held.any() else []), *(["leave-one-out"] if len(alone) else [])]
        report = learn_report.made(rows, kept, [*self.task.quarantined, *self.quarantined], self.began)
        extra = {
            "training": self.trained,
            "judged_by": " and ".join(by) or "nothing held out",
            "dry_run": self.settings.is_dry_run,
        }
        return {"generation": self.number, **report, **extra}, whole

    def _offered(self, text: TextEncoder, tails: _Tails) -> tuple[np.ndarray, np.ndarray]:
        """Frozen and adapted anchors of what is offered beside the labels while judging: nouns, where one label is
        alone."""
        nouns = self._nouns(judge.DISTRACTORS) if len(self.names) < 2 else []
        return text.anchors(tails.frozen, nouns, self.settings.template), text.anchors(
            tails.adapted, nouns, self.settings.template
        )

    def _accuracies_before(
        self, candidate: Knowledge, features: Features, offered: np.ndarray, asked: np.ndarray
    ) -> list[float | None]:
        """Of the state before: its learned labels, the new ones by the untouched model."""
        if not len(asked):
            return [None] * len(self.names)
        others = np.concatenate([candidate.frozen_anchors[len(self.before.labels) :], offered])
        answerer = Answerer(self.before, self.bundle.manifest.logit_scale, others, others)
        tail = eye.image_tail(self.bundle, self.before.merged(self.bundle, ("image",)), self.workplace.threads)
        return judge.accuracies(answerer(eye.views(features, tail, asked)), self.goals[asked], len(self.names))

    def _accuracies_after(
        self,
        part: Knowledge,
        whole: Knowledge,
        features: Features,
        offered: tuple[np.ndarray, np.ndarray],
        alone: np.ndarray,
    ) -> list[float | None]:
        """Of the candidate: held-out pictures by `part`, which never saw them, the rows `alone` by leave-one-out in
        `whole`."""
        scale, count = self.bundle.manifest.logit_scale, len(self.names)
        rows = np.flatnonzero(self.held)
        after: list[float | None] = [None] * count
        if len(rows):
            after = judge.accuracies(
                Answerer(part, scale, *offered)(eye.views(features, None, rows)), self.goals[rows], count
            )
        if not len(alone):
            return after
        answerer, views = Answerer(whole, scale, *offered), eye.views(features, None, alone)
        solved = whole.solved
        left_out = solved.leave_one_out(solved.whitened(views.features), self.goals[alone])
        others = judge.accuracies(answerer(views, left_out), self.goals[alone], count)
        # of a label of one picture nothing is left when that is left out
        return [
            a if a is not None else b if whole.head.counts[c] > 1 else None
            for c, (a, b) in enumerate(zip(after, others, strict=True))
        ]

    def _retention(self, candidate: Knowledge, text: TextEncoder, tails: _Tails) -> judge.Retention:
        names, anchors = self.bundle.vocabulary
        rows = np.random.default_rng(0).permutation(len(names))[:NOUNS_FOR_JUDGING]
        now = text.anchors(tails.adapted, [names[i] for i in rows], self.bundle.manifest.templates[0])
        old = np.setdiff1d(np.arange(len(self.before.labels)), self.columns)
        return judge.retention(anchors[rows], now, self.before.adapted_anchors[old], candidate.adapted_anchors[old])


def check_torch() -> None:
    """Raises MissingPackageError where torch is not installed, before any picture is looked at."""
    if importlib.util.find_spec("torch") is None:
        raise MissingPackageError(
            'learning needs torch; install it with `pip install "edge-nusa[learn]"` (README, a real CLIP)'
        )
    torch_check.check_processor()
