"""Learns one task: look at the pictures, teach, judge, commit; the state changes at the very end or not at all.

What is taught and judged is `lesson.py`; here are the lock, the trunk, the training process, and the files.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edge_nusa.device.asking.features import Features, Trunk, extract, limits
from edge_nusa.device.board import footprint, linux, torch_check
from edge_nusa.device.learning import lesson as lessons
from edge_nusa.device.learning.judgement import judge
from edge_nusa.device.learning.lesson import Lesson, Seen
from edge_nusa.device.learning.prompts import BundlePrompts
from edge_nusa.device.learning.report import LearnReport, label_reports, training_report
from edge_nusa.device.learning.screen import Screen
from edge_nusa.device.learning.task import Task, held_out, joined
from edge_nusa.device.learning.task_data import TaskData, Trained
from edge_nusa.device.learning.train_apart import Training, train_apart
from edge_nusa.device.opened import Opened
from edge_nusa.errors import InputError, MissingPackageError, UsageError
from edge_nusa.files.json_record import shown
from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge import templates
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.labels import quoted
from edge_nusa.knowledge.recipes import Recipe, check_fits
from edge_nusa.knowledge.stored import from_files, load, to_files
from edge_nusa.memory import give_back, peak_bytes
from edge_nusa.model import sessions

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class LearnSettings:
    """Choices of one learn. template: a prompt with {} for these labels, or None for the bundle's."""

    recipe: Recipe
    seed: int = 0
    template: str | None = None
    is_forced: bool = False
    is_dry_run: bool = False
    wait_seconds: float = 600


def learn(opened: Opened, task: Task, settings: LearnSettings, progress: Progress) -> LearnReport:
    """Teach the task and commit what was learned.

    Raises InputError (nothing readable, divergence), RefusedError (the judge), UsageError (recipe and bundle do not
    fit), ResourceError (memory, disk, another writer). The state is then as it was.
    """
    if settings.template is not None and not templates.is_template(settings.template):
        raise UsageError(
            f"--template: expected {templates.RULE}, found {shown(settings.template)}; for example 'a photo of a {{}}, "
            "a type of flower.'"
        )
    manifest = opened.bundle.manifest
    check_fits(settings.recipe, manifest.image, manifest.text, len(task.labels))
    check_torch()
    with opened.state.writer(settings.wait_seconds):
        return _learn(opened, task, settings, progress)


def _learn(opened: Opened, task: Task, settings: LearnSettings, progress: Progress) -> LearnReport:
    """The same, with the state's lock held."""
    began, neighbours = time.monotonic(), linux.Neighbours()
    number, before = load(opened.bundle, opened.state, settings.recipe)
    lessons.check_goes_on(before, settings.recipe)
    names, columns = joined(before, task)
    pictures, budget = len(task.paths), opened.max_memory_bytes
    footprint.check_learn(opened.bundle.manifest, settings.recipe, pictures, len(names), budget)
    features = look(opened, task, settings.recipe, progress)
    lesson = Lesson(
        before=before,
        names=tuple(names),
        columns=columns,
        seen=seen(features, task.classes, settings),
        recipe=settings.recipe,
        seed=settings.seed,
        template=settings.template,
    )
    prompts = BundlePrompts(opened.bundle, opened.threads, lesson)
    training = _TrainingApart(opened, lesson, features, prompts, neighbours, progress)
    taught = lessons.teach(opened.bundle, lesson, prompts, lesson.names, training)
    give_back()
    progress("judging", 0, 1)
    judgement = judge(lesson, taught, prompts.offered, opened.bundle.manifest.logit_scale)
    if not settings.is_forced:
        judgement.check(prompts.retention, lesson.names)
    progress("judging", 1, 1)
    report = LearnReport(
        generation=number,
        labels=label_reports(lesson, judgement),
        retention=prompts.retention,
        quarantined=(*task.quarantined, *features.quarantined),
        seconds=round(time.monotonic() - began, 2),
        peak_rss_bytes=max(training.peak_bytes, peak_bytes()),
        training=training_report(taught.trained),
        judged_by=judgement.by,
        dry_run=settings.is_dry_run,
    )
    return report if settings.is_dry_run else commit(opened, taught.whole, report)


def look(opened: Opened, task: Task, recipe: Recipe, progress: Progress) -> Features:
    """The pictures through the trunk. Raises InputError where a label has no readable one."""
    session = sessions.open_session(opened.bundle, "image_trunk", opened.threads)
    needs_tokens = "image" in recipe.towers and opened.bundle.manifest.image.tail_blocks > 0
    features = extract(
        Trunk(session, opened.bundle),
        task.paths,
        limits(opened.bundle, opened.max_memory_bytes),
        needs_tokens,
        lambda done, total: progress("looking", done, total),
        screen=Screen(task.classes),
    )
    del session
    give_back()
    present = set(task.classes[features.kept].tolist())
    for index, label in enumerate(task.labels):
        if index not in present:
            reasons = "; ".join(sorted({q.reason for q in features.quarantined})[:3])
            raise InputError(
                f"no readable picture of {quoted(label)} ({reasons}); nothing was learned: give at least one sound "
                "picture"
            )
    return features


def seen(features: Features, classes: np.ndarray, settings: LearnSettings) -> Seen:
    """The extracted pictures as a lesson sees them. The published recipe trains on every picture, none is held out."""
    mine = classes[features.kept]
    held = held_out(mine, settings.seed) & settings.recipe.has_head
    rows = heads.features(features.taps)
    return Seen(embedding=features.embedding, rows=rows, tokens=features.tokens, classes=mine, held_out=held)


class _TrainingApart:
    """`lesson.Train` in a process of its own; peak_bytes: the most memory of both processes together."""

    def __init__(
        self,
        opened: Opened,
        lesson: Lesson,
        features: Features,
        prompts: BundlePrompts,
        neighbours: linux.Neighbours,
        progress: Progress,
    ) -> None:
        self.opened, self.lesson, self.features, self.prompts = opened, lesson, features, prompts
        self.neighbours, self.progress, self.peak_bytes = neighbours, progress, 0

    def __call__(self, data: TaskData) -> Trained:
        self.prompts.rest()
        give_back()
        lesson = self.lesson
        training = Training(
            before=lesson.before,
            data=data,
            spool=self.features.spool,
            recipe=lesson.recipe,
            seed=lesson.seed,
            busy_cores=self.neighbours.cores(),
        )
        trained, self.peak_bytes = train_apart(
            self.opened, training, lambda done, total: self.progress("training", done, total)
        )
        give_back()
        return trained


def commit(opened: Opened, knowledge: Knowledge, report: LearnReport) -> LearnReport:
    """Make it a generation; the report with its number. What could not be read back is not committed."""
    files = to_files(replace(knowledge, report=report.stored()))
    from_files(opened.bundle, files)
    return replace(report, generation=opened.state.commit(files, "learn").number)


def check_torch() -> None:
    """Raises MissingPackageError where torch is not installed, before any picture is looked at."""
    if importlib.util.find_spec("torch") is None:
        raise MissingPackageError(
            'learning needs torch; install it with `pip install "edge-nusa[learn]"` (README, your own pictures)'
        )
    torch_check.check_processor()
