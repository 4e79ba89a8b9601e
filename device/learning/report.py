"""The report of one learn: what the command prints, and the form without names that the state keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge_nusa.device.learning.expected import expected
from edge_nusa.device.learning.judge import Apart, Retention
from edge_nusa.device.learning.judgement import Judgement
from edge_nusa.device.learning.left_out import NO_LABEL
from edge_nusa.device.learning.lesson import Lesson
from edge_nusa.device.learning.task_data import Trained
from edge_nusa.device.learning.text_trial import Outcome
from edge_nusa.errors import RefusedError
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.waiting import Waiting
from edge_nusa.memory import peak_bytes
from edge_nusa.model.bundle import Bundle
from edge_nusa.pictures.pictures import Quarantined, printable

SOMETHING_ELSE = "something else"
"""What a picture is taken for that is given none of the labels."""


@dataclass(frozen=True)
class TakenFor:
    """How many pictures of a label were given the label `label`, or SOMETHING_ELSE."""

    label: str
    count: int


@dataclass(frozen=True, kw_only=True)
class LabelReport:
    """One label of a learn. right of asked: its pictures that are recognised when left out; interval: percent between
    which the share of all such pictures lies, by 95 % (None of nothing); right_before: by the state before; accuracies:
    the same in percent; taken_for: how many were given each other label, the most first; closest: the label that it is
    nearest to, and by how many standard errors it is told apart from it (None: too few pictures to tell)."""

    label: str
    images: int
    right: int
    asked: int
    interval: tuple[float, float] | None
    right_before: int
    accuracy_before: float | None
    accuracy_after: float | None
    taken_for: tuple[TakenFor, ...]
    closest: str | None
    told_apart_errors: float | None


@dataclass(frozen=True)
class Mistaken:
    """A picture that is not recognised when left out: its label, what it is taken for, and the loss, - log of the
    probability of its own label."""

    image: str
    label: str
    taken_for: str
    loss: float


@dataclass(frozen=True)
class EarlierLabel:
    """A label that was taught earlier: percent of new pictures of it that are expected to be recognised now
    (`edge_nusa.device.learning.expected`)."""

    label: str
    expected: float


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """loss of the last step; kept_step: the step whose cores were kept; crossings: values that left the pool."""

    loss: float
    kept_step: int
    crossings: int


@dataclass(frozen=True, kw_only=True)
class LearnReport:
    """What a learn did. generation: the number committed (of a dry run the one before); mistaken: the pictures that
    are not recognised, the greatest loss first; earlier: the labels that were taught before and not now; retention: of
    old knowledge; head_seconds: from the last picture through the trunk until the head's lesson was committed;
    peak_rss_bytes: of both processes together; text: what became of the trained text, and text_reason why, in words;
    refused: why the judge refused it, None where it did not;
    pictures_waiting: labels with pictures that no fleet is told of yet."""

    generation: int
    labels: tuple[LabelReport, ...]
    mistaken: tuple[Mistaken, ...]
    earlier: tuple[EarlierLabel, ...]
    retention: Retention
    quarantined: tuple[Quarantined, ...]
    seconds: float
    head_seconds: float
    peak_rss_bytes: int
    training: TrainingReport
    text: Outcome
    text_reason: str
    judged_by: str
    dry_run: bool
    pictures_waiting: tuple[Waiting, ...] = ()
    refused: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What `learn --format json` prints (docs/programs.md)."""
        return {**asdict(self), "labels": [asdict(row) for row in self.labels], "quarantined": self._set_aside()}

    def stored(self) -> dict[str, Any]:
        """As the state keeps it: counts of reasons instead of file names, without the pictures that are mistaken, so
        that no path is in it, and without the generation, which the state's own number says."""
        content = self.to_json()
        del content["generation"], content["mistaken"], content["refused"]
        reasons = Counter(entry.reason for entry in self.quarantined)
        rows = [{"image": f"{count} pictures", "reason": reason} for reason, count in sorted(reasons.items())]
        return {**content, "quarantined": rows}

    def _set_aside(self) -> list[dict[str, str]]:
        return [asdict(entry) for entry in self.quarantined]


class LessonRefusedError(RefusedError):
    """The judge refused a lesson. report: what it judged, with the reason; of the generation that stays."""

    def __init__(self, reason: str, report: LearnReport) -> None:
        super().__init__(reason)
        self.report = replace(report, refused=str(self))


def label_reports(lesson: Lesson, judgement: Judgement) -> tuple[LabelReport, ...]:
    """A row for each label of the task."""
    return tuple(_label_report(lesson, judgement, column) for column in lesson.columns.tolist())


def _label_report(lesson: Lesson, judgement: Judgement, column: int) -> LabelReport:
    apart: Apart | None = judgement.apart.get(column)
    before, after = judgement.before.count(column), judgement.after.count(column)
    return LabelReport(
        label=lesson.names[column],
        images=int(lesson.counts[column]),
        right=after.right,
        asked=after.asked,
        interval=after.interval,
        right_before=before.right,
        accuracy_before=before.percent,
        accuracy_after=after.percent,
        taken_for=tuple(
            TakenFor(_named(lesson, other), count) for other, count in judgement.after.taken_for(column).items()
        ),
        closest=lesson.names[apart.closest] if apart else None,
        told_apart_errors=apart.errors if apart else None,
    )


def mistaken(lesson: Lesson, judgement: Judgement, files: Sequence[Path]) -> tuple[Mistaken, ...]:
    """The pictures that are not recognised when left out, the greatest loss first. files: of the lesson's pictures."""
    left_out = judgement.after
    return tuple(
        Mistaken(
            printable(files[left_out.places[i]]),
            lesson.names[left_out.goals[i]],
            _named(lesson, int(left_out.answered[i])),
            round(float(left_out.losses[i]), 2),
        )
        for i in left_out.mistaken
    )


def earlier(bundle: Bundle, lesson: Lesson, known: Knowledge) -> tuple[EarlierLabel, ...]:
    """What is expected of the labels that the lesson does not teach. known: after the lesson."""
    if not len(lesson.remembered):
        return ()
    found = expected(bundle, known)
    return tuple(EarlierLabel(lesson.names[i], found[i]) for i in lesson.remembered.tolist() if i in found)


def _named(lesson: Lesson, column: int) -> str:
    return SOMETHING_ELSE if column == NO_LABEL else lesson.names[column]


def training_report(trained: Trained | None) -> TrainingReport:
    """Of a training, or of none."""
    if trained is None:
        return TrainingReport(loss=0.0, kept_step=0, crossings=0)
    crossings = sum(trained.crossings.values())
    return TrainingReport(loss=round(trained.loss, 4), kept_step=trained.kept_step, crossings=crossings)


def nothing_new(number: int, set_aside: Sequence[Quarantined], is_dry_run: bool) -> LearnReport:
    """Of a learn whose files were all taught before: nothing was taught, judged or committed."""
    return LearnReport(
        generation=number,
        labels=(),
        mistaken=(),
        earlier=(),
        retention=Retention(100.0, 1.0, None),
        quarantined=tuple(set_aside),
        seconds=0.0,
        head_seconds=0.0,
        peak_rss_bytes=peak_bytes(),
        training=training_report(None),
        text="not trained",
        text_reason="nothing is new",
        judged_by="nothing new",
        dry_run=is_dry_run,
    )
