"""The commits of one lesson: its head at once, then, in place of that, its head with a trained text, where that adds
something.

The second generation has the first one's parent, so that one `undo` takes the whole lesson back, and five lessons can
be. Killed before the first commit the state is as it was, between the two the head's lesson stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_nusa.device.asking.features import Features
from edge_nusa.device.board import linux
from edge_nusa.device.learning import lesson as lessons
from edge_nusa.device.learning.judgement import judge
from edge_nusa.device.learning.lesson import Lesson, Taught
from edge_nusa.device.learning.prompts import BundlePrompts
from edge_nusa.device.learning.report import (
    LearnReport,
    LessonRefusedError,
    earlier,
    label_reports,
    mistaken,
    training_report,
)
from edge_nusa.device.learning.task_data import TaskData, Trained
from edge_nusa.device.learning.text_trial import AFTERWARDS, NO_HEAD, TextOutcome, try_text, why_no_text
from edge_nusa.device.learning.train_apart import Training, train_apart
from edge_nusa.device.opened import Opened
from edge_nusa.errors import InputError, RefusedError
from edge_nusa.knowledge import groups
from edge_nusa.knowledge.stored import from_files, to_files
from edge_nusa.knowledge.waiting import waiting
from edge_nusa.memory import give_back, peak_bytes
from edge_nusa.pictures.pictures import Quarantined
from edge_nusa.state.generation import Generation

Progress = Callable[[str, int, int], None]
Told = Callable[[LearnReport], None]


class TrainingApart:
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


@dataclass(frozen=True, kw_only=True)
class TwoCommits:
    """One lesson that was looked at, with the state's lock held. files: of the lesson's pictures; before: the
    generation that is current; began, looked: when the lesson began and when its last picture was through the trunk, by
    `time.monotonic`."""

    opened: Opened
    lesson: Lesson
    prompts: BundlePrompts
    training: TrainingApart
    is_forced: bool
    is_dry_run: bool
    progress: Progress
    files: Sequence[Path]
    quarantined: tuple[Quarantined, ...]
    before: int
    began: float
    looked: float

    def run(self, left_out: str | None, on_head: Told | None) -> LearnReport:
        """Both; the report of what stands at the end. left_out: why the text is not trained, None where it is."""
        taught = lessons.teach(self.opened.bundle, self.lesson, self.prompts)
        if not self.lesson.recipe.has_head:
            taught = self._trained(taught)
            return self._committed(taught, self._judged(taught, NO_HEAD), None)[0]
        reason = left_out or why_no_text(self.lesson)
        text = TextOutcome("not trained", reason) if reason else AFTERWARDS
        report, generation = self._committed(taught, self._judged(taught, text), None)
        report = replace(report, head_seconds=round(time.monotonic() - self.looked, 2))
        if reason:
            return report
        if on_head is not None and generation is not None:
            on_head(report)
        return self._with_text(taught, report, generation)

    def _with_text(self, taught: Taught, first: LearnReport, generation: Generation | None) -> LearnReport:
        """Train the text, and commit it in place of the head's lesson where it adds something."""
        try:
            adapted = self._trained(taught)
        except InputError as error:  # it diverged, or has no null space left
            return self._ended(first, TextOutcome("dropped", str(error)))
        text = try_text(self.lesson, taught, adapted, self.opened.bundle.manifest.logit_scale).outcome()
        if text.outcome == "kept":
            try:
                now = self._judged(adapted, text)
            except RefusedError as error:
                text = TextOutcome("dropped", f"with it the lesson would be {error}")
            else:
                return self._committed(adapted, replace(now, head_seconds=first.head_seconds), generation)[0]
        return replace(self._ended(first, text), training=training_report(adapted.trained))

    def _trained(self, taught: Taught) -> Taught:
        bundle, lesson = self.opened.bundle, self.lesson
        return lessons.teach_text(bundle, lesson, taught, self.prompts, lesson.names, self.training)

    def _judged(self, taught: Taught, text: TextOutcome) -> LearnReport:
        """The report, of no generation yet. Raises LessonRefusedError, which has it too, where the judge refuses."""
        give_back()
        self.progress("judging", 0, 1)
        judgement = judge(self.lesson, taught, self.prompts.offered, self.opened.bundle.manifest.logit_scale)
        self.progress("judging", 1, 1)
        report = LearnReport(
            generation=self.before,
            labels=label_reports(self.lesson, judgement),
            mistaken=mistaken(self.lesson, judgement, self.files),
            earlier=earlier(self.opened.bundle, self.lesson, taught.whole),
            retention=self.prompts.retention,
            quarantined=self.quarantined,
            seconds=0.0,
            head_seconds=0.0,
            peak_rss_bytes=0,
            training=training_report(taught.trained),
            text=text.outcome,
            text_reason=text.reason,
            judged_by=judgement.by,
            dry_run=self.is_dry_run,
            pictures_waiting=waiting(taught.whole, taught.formed) if taught.formed else (),
        )
        report = self._ended(report, text)
        try:
            if not self.is_forced:
                judgement.check(self.prompts.retention, self.lesson.names)
        except RefusedError as error:
            raise LessonRefusedError(str(error), report) from error
        return report

    def _ended(self, report: LearnReport, text: TextOutcome) -> LearnReport:
        """The report with what became of the text, and with what was spent until now."""
        return replace(
            report,
            text=text.outcome,
            text_reason=text.reason,
            seconds=round(time.monotonic() - self.began, 2),
            peak_rss_bytes=max(self.training.peak_bytes, peak_bytes()),
        )

    def _remember(self, taught: Taught, instead_of: Generation | None) -> None:
        """What was grouped is remembered before it can be sent; the second commit has the groups of the first."""
        before = self.lesson.grouping
        if instead_of is None and before is not None and taught.formed not in (None, before.formed):
            groups.remember(self.opened.state.folder, taught.formed)

    def _committed(
        self, taught: Taught, report: LearnReport, instead_of: Generation | None
    ) -> tuple[LearnReport, Generation | None]:
        """Make it a generation, but in a dry run; the report with its number. What could not be read back is not
        committed."""
        if self.is_dry_run:
            return report, None
        files = to_files(replace(taught.whole, report=report.stored()))
        from_files(self.opened.bundle, files)
        self._remember(taught, instead_of)
        made = self.opened.state.commit(files, "learn", instead_of)
        return replace(report, generation=made.number), made
