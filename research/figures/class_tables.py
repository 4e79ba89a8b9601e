"""The page's part on single classes, folded, a fold a learner: what is recognised of each class, the worst first, and
what is taken for what. Counts are added over the learner's runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from edge_nusa.device.report import page as report
from edge_nusa.device.report.cards import isolated
from edge_nusa.research.figures.classes import Classes, added
from edge_nusa.research.figures.runs import Run, key_of
from edge_nusa.research.figures.tables import UNKNOWN

MOST_ROWS, MOST_OF_A_MATRIX = 300, 12
"""Classes that a fold shows; labels of a task whose every pair is shown as a matrix."""
COLUMNS = ("Class", "Set or step", "Asked", "Right after its task", "Right at the end", "Most often taken for")
Class = tuple[str, str]
"""Its task and its label."""


@dataclass(frozen=True)
class Counted:
    """One learner's classes: of each (asked, right after its task, right at the end), and how often one was taken for
    another at the end."""

    rights: dict[Class, tuple[int, int, int]]
    mistaken: Counter[tuple[Class, Class]]

    @property
    def worst_first(self) -> list[Class]:
        """By the share that is right at the end, equals by name."""
        return sorted(self.rights, key=lambda one: (self.rights[one][2] / max(self.rights[one][0], 1), one))

    def taken_for(self, shown: Class) -> str:
        """`what (how often)`, the most often; a dash where every picture was right."""
        others = [(count, other) for (one, other), count in self.mistaken.items() if one == shown]
        count, (task, label) = max(others, key=lambda each: (each[0], each[1]), default=(0, ("", "")))
        where = "" if task == shown[0] else f" of {task}"
        return f"{label}{where} ({count})" if count else UNKNOWN


def counted(several: Mapping[str, Classes]) -> Counted:
    """Added over runs."""
    mistaken: Counter[tuple[Class, Class]] = Counter()
    for one in several.values():
        names = one.names()
        for shown, answered, count in one.mistakes:
            mistaken[names[shown], names[answered]] += count
    return Counted(added(several), mistaken)


def folds(by_learner: Mapping[str, Sequence[Run]], classes: Mapping[str, Classes]) -> str:
    """HTML of one section's learners, in their order; "" where no run's classes are known."""
    parts = []
    for learner, runs in by_learner.items():
        known = {key_of(run): classes[key_of(run)] for run in runs if key_of(run) in classes}
        if known:
            parts.append(_fold(learner, counted(known), len(known)))
    return f"<h3>Classes</h3>{_note()}{''.join(parts)}" if parts else ""


def _note() -> str:
    return (
        '<p class="note">Pictures of each class, added over runs; all of it is in results-classes.csv and '
        "results-confusions.csv.</p>"
    )


def _fold(learner: str, found: Counted, runs: int) -> str:
    asked, right = (sum(each[place] for each in found.rights.values()) for place in (0, 2))
    about = f"{right:,} of {asked:,} pictures right at the end, {len(found.rights):,} classes"
    summary = f"{isolated(learner)}: {escape(about)}{f', {runs} runs' if runs > 1 else ''}"
    chosen = found.worst_first[:MOST_ROWS]
    rows = [[one[1], one[0], *map(str, found.rights[one]), found.taken_for(one)] for one in chosen]
    more = len(found.rights) - len(chosen)
    note = f'<p class="note">The {MOST_ROWS} worst; {more:,} more are in the files.</p>' if more else ""
    table = report._table(COLUMNS, rows, {0, 1, 5})
    return f"<details><summary>{summary}</summary>{note}{table}{_matrices(found)}</details>"


def _matrices(found: Counted) -> str:
    tasks: dict[str, list[Class]] = {}
    for one in found.rights:
        tasks.setdefault(one[0], []).append(one)
    groups = {task: each for task, each in tasks.items() if 1 < len(each) <= MOST_OF_A_MATRIX}
    return "".join(_matrix(task, each, found) for task, each in groups.items())


def _matrix(task: str, group: Sequence[Class], found: Counted) -> str:
    """Rows: what was shown; columns: what was answered at the end, those of other tasks together in the last."""
    rows = []
    for one in group:
        cells = [found.rights[one][2] if other == one else found.mistaken[one, other] for other in group]
        rows.append([one[1], *map(str, cells), str(found.rights[one][0] - sum(cells))])
    has_others = any(row[-1] != "0" for row in rows)
    heads = ["shown", *(label for _, label in group), *(["other tasks"] if has_others else [])]
    body = rows if has_others else [row[:-1] for row in rows]
    note = f"{task}: rows are what was shown, columns what was answered at the end"
    return f'<p class="note">{isolated(note)}</p><div class="matrix">{report._table(heads, body, {0})}</div>'
