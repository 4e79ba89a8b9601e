"""The labels of the report: how many of their pictures are recognised, in counts and words, and what each is taken
for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_nusa.device.report.entries import count, entries, number, report_of
from edge_nusa.knowledge.knowledge import Knowledge

WELL = 75.0
"""Percent that the interval of a label must lie above to be called well recognised."""
MOST_IN_MATRIX = 25
"""Labels of the matrix at most, those that are mistaken most often."""
UNKNOWN = "–"
TOO_FEW, HARDLY, MOSTLY, WELL_SO_FAR, WELL_INDEED = "too few to say", "hardly", "mostly", "well, so far", "well"


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One learned label: pictures in all; of its last lesson that was judged, right of asked pictures, right before
    it, and the interval in percent (None where no report has them); expected: percent of new pictures today; taken_for:
    what the others were given."""

    label: str
    images: int
    asked: int
    right: int
    right_before: int | None
    interval: tuple[float, float] | None
    expected: float | None
    taken_for: Mapping[str, int]

    @property
    def verdict(self) -> str:
        """How well it is recognised, in a word or two."""
        if self.asked == 0 or self.interval is None:
            return TOO_FEW
        if 2 * self.right < self.asked:
            return HARDLY
        if self.interval[0] >= WELL:
            return WELL_INDEED
        return WELL_SO_FAR if 10 * self.right >= 9 * self.asked else MOSTLY

    @property
    def cells(self) -> list[str]:
        """The row of the table."""
        before = UNKNOWN if self.right_before is None else f"{self.right_before} of {self.asked}"
        after = f"{self.right} of {self.asked}" if self.asked else UNKNOWN
        between = UNKNOWN if self.interval is None else f"{self.interval[0]:.0f} to {self.interval[1]:.0f} %"
        today = UNKNOWN if self.expected is None else f"{round(self.expected / 10)} of 10"
        return [self.label, str(self.images), before, after, between, today, self.verdict]


COLUMNS = ["label", "pictures", "before", "left out", "of all, about", "today", "recognised"]


def rows(knowledge: Knowledge, generations: Sequence[dict[str, Any]], expected: Mapping[int, float]) -> list[LabelRow]:
    """A row for each label. generations: as `html_report` takes them; expected: percent by column."""
    judged: dict[str, dict[str, Any]] = {}
    for generation in generations:
        for entry in entries(report_of(generation), "labels"):
            if count(entry.get("asked")) and count(entry.get("right")) is not None:
                judged[str(entry.get("label"))] = entry
    return [
        _row(label.name, label.images, judged.get(label.name, {}), expected.get(column))
        for column, label in enumerate(knowledge.labels)
    ]


def _row(name: str, images: int, entry: dict[str, Any], expected: float | None) -> LabelRow:
    asked, right = count(entry.get("asked")) or 0, count(entry.get("right")) or 0
    taken = ((str(one.get("label")), count(one.get("count"))) for one in entries(entry, "taken_for"))
    return LabelRow(
        label=name,
        images=images,
        asked=asked,
        right=right,
        right_before=count(entry.get("right_before")),
        interval=_interval(entry.get("interval")),
        expected=expected,
        taken_for={label: times for label, times in taken if times},
    )


def _interval(value: object) -> tuple[float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = (number(one) for one in value)
    return None if low is None or high is None else (low, high)


def matrix(found: Sequence[LabelRow]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of counts: what pictures of each label are taken for, of the labels that are mistaken or that
    others are mistaken for, most mistakes first, in the same order down as across; ([], []) where none is."""
    mistakes: dict[str, int] = {}
    for row in found:
        for other, times in row.taken_for.items():
            mistakes[row.label] = mistakes.get(row.label, 0) + times
            mistakes[other] = mistakes.get(other, 0) + times
    shown = sorted(mistakes, key=lambda label: -mistakes[label])[:MOST_IN_MATRIX]
    by_label = {row.label: row for row in found if row.asked}
    body = [
        [label, *("·" if not (times := _times(by_label[label], other)) else str(times) for other in shown)]
        for label in shown
        if label in by_label
    ]
    return (shown, body) if shown else ([], [])


def _times(row: LabelRow, other: str) -> int:
    return row.right if other == row.label else row.taken_for.get(other, 0)
