"""What the demonstration asks before its lessons and after them: the counts that its lines and its report both say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_nusa.device.asking.predict import Prediction, Predictor
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.learning.left_out import wilson
from edge_nusa.device.model import Model
from edge_nusa.device.report.labels import LabelRow
from edge_nusa.device.report.page import OtherPictures
from edge_nusa.pictures.pictures import find_pictures

Given = Mapping[str, Sequence[str]]
"""By the right name the first answer to each picture of it."""


@dataclass(frozen=True)
class Counts:
    """How many pictures of a label were asked, and how many were answered with it before any lesson and after all."""

    asked: int
    before: int
    after: int


@dataclass(frozen=True)
class Answers:
    """The first answer before anything was taught, and after."""

    before: str
    after: str


def answers(model: Model, offered: list[str], pictures: DemoPictures) -> dict[str, list[str]]:
    """The first answer to every picture that is asked about, `offered` beside what was learned, by the right name."""
    predictor, found = Predictor(model, offered), {}
    for name, folder in (pictures.asked | pictures.others).items():
        results = predictor(find_pictures(folder)[0], 1)
        found[name] = [result.labels[0].label for result in results if isinstance(result, Prediction)]
    return found


def labels_of(pictures: DemoPictures, before: Given, after: Given) -> dict[str, Counts]:
    """The counts of each taught label."""
    return {
        name: Counts(len(before[name]), before[name].count(name), after[name].count(name)) for name in pictures.asked
    }


def kept_of(pictures: DemoPictures, before: Given, after: Given) -> dict[str, Answers]:
    """The answers to a picture of each thing that was never taught."""
    return {thing: Answers(before[thing][0], after[thing][0]) for thing in pictures.others}


def other_pictures(
    labels: Mapping[str, Counts], kept: Mapping[str, Answers], after: Given, offered: int
) -> OtherPictures:
    """The same for the report's page. offered: names that were offered."""
    return OtherPictures(
        rows={name: _row(name, count, after[name]) for name, count in labels.items()},
        how="Before and now: other pictures of the same things, asked before the first lesson and after the last, "
        f"with all {offered} names offered.",
        others=[(thing, answer.before, answer.after) for thing, answer in kept.items()],
    )


def _row(name: str, count: Counts, given: Sequence[str]) -> LabelRow:
    return LabelRow(
        label=name,
        images=0,
        asked=count.asked,
        right=count.after,
        right_before=count.before,
        interval=wilson(count.after, count.asked),
        expected=None,
        taken_for=dict(Counter(answer for answer in given if answer != name).most_common()),
    )
