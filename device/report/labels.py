"""The labels of the report, the worst first: how many of their pictures are recognised, in counts and words, what each
is taken for, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_nusa.device.report.entries import count, entries, number, report_of
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.labels import quoted

WELL = 75.0
"""Percent that the interval of a label must lie above to be called well recognised."""
TOO_FEW, HARDLY, MOSTLY, WELL_SO_FAR, WELL_INDEED = "too few to say", "hardly", "mostly", "well, so far", "well"
WORST_FIRST = (HARDLY, TOO_FEW, MOSTLY, WELL_SO_FAR, WELL_INDEED)
GOOD = frozenset({WELL_SO_FAR, WELL_INDEED})
MANY = 20
"""Pictures of a label from which on more of the same help little."""


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One learned label: pictures in all; of its last lesson that was judged, right of asked pictures, right before
    it, and the interval in percent (None where no report has them); expected: percent of new pictures today; taken_for:
    what the others were given, the most first."""

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
    def is_good(self) -> bool:
        """Whether nothing needs to be done about it."""
        return self.verdict in GOOD

    def next_step(self, known: Collection[str]) -> str:
        """What to do about it, as one sentence. known: the labels that were taught."""
        if self.verdict == WELL_INDEED:
            return "Nothing to do."
        if self.verdict == WELL_SO_FAR:
            return "Nothing to do; more pictures would make this surer."
        if self.verdict == TOO_FEW:
            return "Teach it with 10 to 20 pictures."
        other = next(iter(self.taken_for), "")
        if other in known:
            return f"Teach more pictures that show how it differs from {quoted(other)}{self._or_more}."
        return f"Teach more pictures: other backgrounds, other light{self._or_more}."

    @property
    def _or_more(self) -> str:
        if self.verdict != HARDLY:
            return ""
        return "; or try another name for it" if self.images < MANY else "; or try another name, or a bigger model"


def rows(knowledge: Knowledge, generations: Sequence[dict[str, Any]], expected: Mapping[int, float]) -> list[LabelRow]:
    """A row for each label, in the order they were taught. generations: as `html_report` takes them; expected: percent
    by column. What was judged under an earlier name of a label is its own."""
    judged: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    for generation in generations:
        report = report_of(generation)
        for entry in entries(report, "labels"):
            if count(entry.get("asked")) and count(entry.get("right")) is not None:
                judged[str(entry.get("label"))] = entry
        if isinstance(renamed := report.get("renamed"), dict):
            old, new = str(renamed.get("old")), str(renamed.get("new"))
            names = {name: new if now == old else now for name, now in names.items()} | {old: new}
            if old in judged:
                judged[new] = judged.pop(old)
    return [
        _row(label.name, label.images, judged.get(label.name, {}), expected.get(column), names)
        for column, label in enumerate(knowledge.labels)
    ]


def worst_first(found: Sequence[LabelRow]) -> list[LabelRow]:
    """By the verdict, then by the share that is recognised; labels that are alike stay in their order."""
    return sorted(found, key=lambda row: (WORST_FIRST.index(row.verdict), row.right / row.asked if row.asked else 0))


def tested(found: Sequence[LabelRow], answers: Mapping[str, LabelRow]) -> list[LabelRow]:
    """The rows with the counts of other pictures, which were asked by hand, in place of the lessons' own and of what is
    expected."""
    return [
        replace(
            row,
            asked=one.asked,
            right=one.right,
            right_before=one.right_before,
            interval=one.interval,
            expected=None,
            taken_for=one.taken_for,
        )
        if (one := answers.get(row.label)) is not None
        else row
        for row in found
    ]


def _row(name: str, images: int, entry: dict[str, Any], expected: float | None, names: Mapping[str, str]) -> LabelRow:
    asked, right = count(entry.get("asked")) or 0, count(entry.get("right")) or 0
    taken = ((str(one.get("label")), count(one.get("count"))) for one in entries(entry, "taken_for"))
    most_first = sorted(((label, times) for label, times in taken if times), key=lambda pair: -pair[1])
    before = count(entry.get("right_before"))
    return LabelRow(
        label=name,
        images=images,
        asked=asked,
        right=min(right, asked),
        right_before=None if before is None else min(before, asked),
        interval=_interval(entry.get("interval")),
        expected=expected,
        taken_for={names.get(label, label): times for label, times in most_first},
    )


def _interval(value: object) -> tuple[float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = (number(one) for one in value)
    return None if low is None or high is None else (low, high)


@dataclass(frozen=True)
class Confusion:
    """Pictures of a label that were taken for another: so many times of asked."""

    label: str
    other: str
    times: int
    asked: int


def confusions(found: Sequence[LabelRow]) -> list[Confusion]:
    """Every label with every other that it is taken for, the most frequent first."""
    pairs = [Confusion(row.label, other, times, row.asked) for row in found for other, times in row.taken_for.items()]
    return sorted(pairs, key=lambda pair: (-pair.times, pair.asked))
