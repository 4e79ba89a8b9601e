"""Learns one task: look at the pictures, teach the head, judge, commit; then train the text, judge it against that,
and commit once more or drop it. Before its commit the state is as it was.

What is taught and judged is `lesson.py` and `text_trial.py`, the two commits are `two_commits.py`; here are the lock,
the trunk, and what is checked before it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_nusa.device.asking.features import Features, Trunk, extract, limits
from edge_nusa.device.board import footprint, linux
from edge_nusa.device.learning import lesson as lessons
from edge_nusa.device.learning.known_files import FreshTask, fresh
from edge_nusa.device.learning.lesson import Lesson, Seen
from edge_nusa.device.learning.prompts import BundlePrompts
from edge_nusa.device.learning.report import LearnReport, nothing_new
from edge_nusa.device.learning.screen import Screen
from edge_nusa.device.learning.sharing import grouping
from edge_nusa.device.learning.task import Task, held_out, joined
from edge_nusa.device.learning.text_left_out import ASKED, check_torch, why_left_out
from edge_nusa.device.learning.two_commits import Progress, Told, TrainingApart, TwoCommits
from edge_nusa.device.opened import Opened
from edge_nusa.errors import InputError, MissingPackageError, UsageError
from edge_nusa.files.foreign import shown
from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge import templates
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.labels import quoted
from edge_nusa.knowledge.recipes import Recipe, check_fits
from edge_nusa.knowledge.stored import load
from edge_nusa.memory import give_back
from edge_nusa.pictures.pictures import Quarantined


@dataclass(frozen=True, kw_only=True)
class LearnSettings:
    """Choices of one learn. template: a prompt with {} for these labels, or None for the bundle's; is_head_only: the
    text stays as it is; is_again: files that were taught before are taught once more."""

    recipe: Recipe
    seed: int = 0
    template: str | None = None
    is_forced: bool = False
    is_again: bool = False
    is_dry_run: bool = False
    is_head_only: bool = False
    wait_seconds: float = 600


def learn(
    opened: Opened, task: Task, settings: LearnSettings, progress: Progress, on_head: Told | None = None
) -> LearnReport:
    """Teach the task and commit what was learned: first the head, then, where it adds something, the text.

    on_head: is told the report of the first commit where the text is trained after it. Raises InputError (nothing
    readable, divergence), RefusedError (the judge), UsageError (recipe and bundle do not fit), ResourceError (memory,
    disk, another writer), MissingPackageError (a recipe without a head needs torch). The state is then as it was, or
    holds the head's lesson (`edge_nusa.kept` says so).
    """
    if settings.template is not None and not templates.is_template(settings.template):
        raise UsageError(
            f"--template: expected {templates.RULE}, found {shown(settings.template)}; for example 'a photo of a {{}}, "
            "a type of flower.'"
        )
    manifest = opened.bundle.manifest
    check_fits(settings.recipe, manifest.image, manifest.text, len(task.labels))
    if not settings.recipe.has_head:
        _check_trains(settings)
    with opened.state.writer(settings.wait_seconds):
        return _learn(opened, task, settings, progress, on_head)


def _check_trains(settings: LearnSettings) -> None:
    """Raises UsageError or MissingPackageError where a recipe that is nothing but training cannot train."""
    name = settings.recipe.name
    if settings.is_head_only:
        raise UsageError(f"--head-only: --recipe {name} has no head to teach; leave one of the two out")
    try:
        check_torch()
    except MissingPackageError as error:
        raise MissingPackageError(f"--recipe {name} is nothing but training: {error}") from error


def _learn(
    opened: Opened, task: Task, settings: LearnSettings, progress: Progress, on_head: Told | None
) -> LearnReport:
    """The same, with the state's lock held."""
    began, neighbours = time.monotonic(), linux.Neighbours()
    number, before = load(opened.bundle, opened.state, settings.recipe)
    lessons.check_goes_on(before, settings.recipe)
    asked = fresh(task, before, settings.is_again)
    if not asked.task.pictures:
        return nothing_new(number, tuple(asked.task.quarantined), settings.is_dry_run)
    left_out = _left_out(opened, settings, len(asked.task.pictures), len(joined(before, asked.task)[0]))
    found = looked(opened, asked, before, settings, progress)
    lesson, looked_by = found.lesson, time.monotonic()
    if not len(lesson.columns):
        return nothing_new(number, found.set_aside, settings.is_dry_run)
    prompts = BundlePrompts(opened.bundle, opened.threads, lesson)
    commits = TwoCommits(
        opened=opened,
        lesson=lesson,
        prompts=prompts,
        training=TrainingApart(opened, lesson, found.features, prompts, neighbours, progress),
        is_forced=settings.is_forced,
        is_dry_run=settings.is_dry_run,
        progress=progress,
        files=found.files,
        quarantined=found.set_aside,
        before=number,
        began=began,
        looked=looked_by,
    )
    return commits.run(left_out, on_head)


def _left_out(opened: Opened, settings: LearnSettings, pictures: int, labels: int) -> str | None:
    """Why the text is left out; raises ResourceError where nothing fits into the memory allowed."""
    manifest, budget = opened.bundle.manifest, opened.max_memory_bytes
    footprint.check_learn(manifest, settings.recipe, pictures, labels, budget)
    if settings.is_head_only:
        return ASKED
    return why_left_out(manifest, settings.recipe, pictures, labels, budget) if settings.recipe.has_head else None


class Looked(NamedTuple):
    """The lesson of pictures that were looked at, their features and files, and what was set aside."""

    lesson: Lesson
    features: Features
    files: list[Path]
    set_aside: tuple[Quarantined, ...]


def looked(opened: Opened, asked: FreshTask, before: Knowledge, settings: LearnSettings, progress: Progress) -> Looked:
    """The lesson of a task; it has no label where nothing of it is new and can be read.

    `lesson.before` knows the files already, so that whatever is made of it does.
    """
    screen = Screen(asked.task.classes, asked.digests)
    features = look(opened, asked, screen, settings.recipe, progress)
    narrow = asked.narrowed(features.kept)
    after, columns = joined(before, narrow)
    lesson = Lesson(
        before=replace(before, files=asked.taught(before.files, screen.counted, narrow, columns)),
        names=tuple(after),
        columns=columns,
        seen=seen(features, narrow.classes, settings),
        recipe=settings.recipe,
        seed=settings.seed,
        template=settings.template,
        grouping=grouping(opened.state.folder) if settings.recipe.has_head else None,
    )
    names = narrow.paths
    files = [names[i] for i in features.kept]
    return Looked(lesson, features, files, (*narrow.quarantined, *features.quarantined))


def look(opened: Opened, asked: FreshTask, screen: Screen, recipe: Recipe, progress: Progress) -> Features:
    """The pictures through the trunk. Raises InputError where a label has no readable one, and none was taught."""
    task = asked.task
    session = opened.image_trunk()
    needs_tokens = "image" in recipe.towers and opened.bundle.manifest.image.tail_blocks > 0
    features = extract(
        Trunk(session, opened.bundle),
        task.pictures,
        limits(opened.bundle, opened.max_memory_bytes),
        needs_tokens,
        lambda done, total: progress("looking", done, total),
        screen=screen,
    )
    del session
    give_back()
    present = set(task.classes[features.kept].tolist())
    for index, label in enumerate(task.labels):
        if index not in present | asked.known:
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
