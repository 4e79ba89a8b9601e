"""How far the judge's words can be trusted, beside pictures it never saw.

`python -m edge_nusa.research.judged --data DIR --out ROWS`.

Lessons: a set's labels are taught in three lessons. Of each label: what leaving its pictures out says, what is expected
of it later (`edge_nusa.device.learning.expected`), and what its fresh pictures show. Mixed up: heads of five labels,
alone or beside five known ones, whose pictures lie right or are dealt anew; no text is trained, so thousands are cheap.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.device.asking.answer import Answerer, PictureFeatures
from edge_nusa.device.asking.features import Trunk, extract, limits
from edge_nusa.device.learning.expected import expected
from edge_nusa.device.learning.judge import told_apart
from edge_nusa.device.learning.judgement import judge
from edge_nusa.device.learning.left_out import wilson
from edge_nusa.device.learning.lesson import Lesson, Seen, Taught, teach, teach_text
from edge_nusa.device.learning.prompts import BundlePrompts
from edge_nusa.device.learning.task import held_out
from edge_nusa.device.learning.task_data import TaskData, Trained
from edge_nusa.device.learning.text_trial import try_text, why_no_text
from edge_nusa.device.learning.train_cores import Trainer
from edge_nusa.device.opened import Opened
from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge, nothing
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.model import sessions
from edge_nusa.model.bundle import embedded_bundle
from edge_nusa.research.data.datasets import DataSet, find_sets

MOST = 50
"""Pictures of a label: those that are taught, and the rest as fresh ones."""
LABELS = 5


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """B pictures of a set as the trunk saw them: embedding (B, D), rows (B, F) int64 features, classes (B,) int64."""

    name: str
    labels: tuple[str, ...]
    embedding: np.ndarray
    rows: np.ndarray
    classes: np.ndarray

    def of(self, chosen: np.ndarray) -> PictureFeatures:
        """What an answer needs of them."""
        return PictureFeatures(self.embedding[chosen], self.embedding[chosen], self.rows[chosen])


def looked(opened: Opened, dataset: DataSet) -> Pictures:
    """At most MOST pictures of each label through the trunk."""
    random = np.random.default_rng(0)
    members = [random.permutation(np.flatnonzero(dataset.classes == label)) for label in range(len(dataset.labels))]
    chosen = np.concatenate([one[:MOST] for one in members])
    paths = [Path(str(dataset.pictures[i])) for i in chosen]
    trunk = Trunk(sessions.open_session(opened.bundle, "image_trunk", 1), opened.bundle)
    found = extract(trunk, paths, limits(opened.bundle, None), False, lambda done, total: None)
    return Pictures(
        name=dataset.name,
        labels=dataset.labels,
        embedding=found.embedding,
        rows=heads.features(found.taps),
        classes=dataset.classes[chosen][found.kept],
    )


def lessons(opened: Opened, seen: Pictures, shots: int, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each label after each of three lessons."""
    random = np.random.default_rng([seed, shots, len(seen.name)])
    order = random.permutation(len(seen.labels))[: 2 * LABELS]
    drawn = {label: random.permutation(np.flatnonzero(seen.classes == label)) for label in order.tolist()}
    known, taught = nothing(opened.bundle, DEVICE), list[int]()
    for task in np.array_split(order, 3):
        if not len(task):
            continue
        first, taught = len(taught), [*taught, *task.tolist()]
        chosen = np.concatenate([drawn[label][:shots] for label in task.tolist()])
        lesson, made, offered = _taught(opened, seen, known, (taught, first, chosen), seed)
        scale, known = opened.bundle.manifest.logit_scale, made.whole
        judged, today = judge(lesson, made, offered, scale).after, expected(opened.bundle, known)
        answerer = Answerer(known, scale, *offered)
        for column, label in enumerate(taught):
            fresh = answerer(seen.of(drawn[label][shots:])).probabilities.argmax(axis=1) == column
            row = {"set": seen.name, "shots": shots, "old": column < first, "fresh": 100 * float(fresh.mean())}
            count = judged.count(column)
            yield {**row, "right": count.right, "asked": count.asked, "expected": today.get(column)}


def _taught(
    opened: Opened, seen: Pictures, before: Knowledge, what: tuple[Sequence[int], int, np.ndarray], seed: int
) -> tuple[Lesson, Taught, tuple[np.ndarray, np.ndarray]]:
    """One lesson. what: the labels after it, the place of the first new one, and the pictures."""
    labels, first, chosen = what
    place = {label: column - first for column, label in enumerate(labels)}
    classes = np.array([place[label] for label in seen.classes[chosen].tolist()])
    lesson = Lesson(
        before=before,
        names=tuple(seen.labels[label] for label in labels),
        columns=np.arange(first, len(labels)),
        seen=Seen(
            embedding=seen.embedding[chosen],
            rows=seen.rows[chosen],
            tokens=None,
            classes=classes,
            held_out=held_out(classes, seed),
        ),
        recipe=DEVICE,
        seed=seed,
    )
    prompts = BundlePrompts(opened.bundle, 1, lesson)

    def train(data: TaskData) -> Trained:
        return Trainer(opened.bundle, before, data, DEVICE, seed).run(lambda done, total: None)

    taught = teach(opened.bundle, lesson, prompts)
    if why_no_text(lesson) is None:
        adapted = teach_text(opened.bundle, lesson, taught, prompts, lesson.names, train)
        taught = adapted if try_text(lesson, taught, adapted, opened.bundle.manifest.logit_scale).adds else taught
    return lesson, taught, prompts.offered


def mixed_up(seen: Pictures, shots: int, seed: int) -> Iterator[dict[str, Any]]:
    """The median label's standard errors of good and of shuffled lessons of the head alone."""
    random = np.random.default_rng([seed, shots, len(seen.name)])
    order = random.permutation(len(seen.labels))
    drawn = {label: random.permutation(np.flatnonzero(seen.classes == label))[:shots] for label in order.tolist()}
    for known in (0, LABELS):
        new = order[known : known + LABELS].tolist()
        if len(new) < 2 - (known > 0):
            continue
        head = Head.empty(seen.rows.shape[1])
        if known:
            old = np.concatenate([drawn[label] for label in order[:known].tolist()])
            head = head.added(seen.rows[old], np.repeat(np.arange(known), shots), known)
        chosen = np.concatenate([drawn[label] for label in new])
        goals = np.repeat(np.arange(known, known + len(new)), shots)
        row = {"set": seen.name, "shots": shots, "known": known}
        yield {**row, "kind": "good", "errors": _median(head, seen.rows[chosen], goals)}
        if len(new) >= LABELS - 1:
            yield {**row, "kind": "shuffled", "errors": _median(head, seen.rows[chosen], random.permutation(goals))}
        if known:
            yield {**row, "kind": "one label", "errors": _median(head, seen.rows[chosen[:shots]], goals[:shots])}


def _median(before: Head, rows: np.ndarray, goals: np.ndarray) -> float:
    solved = before.added(rows, goals, int(goals.max()) + 1).solve()
    return float(np.median([one.errors for one in told_apart(solved, solved.whitened(rows), goals).values()]))


def summary(rows: Sequence[dict[str, Any]], shots: int) -> str:
    """What leaving out and expecting say beside fresh pictures, as lines of text."""
    lines = []
    mine = [row for row in rows if row["shots"] == shots]
    new = [row for row in mine if not row["old"] and row["asked"]]
    says = np.array([100 * row["right"] / row["asked"] for row in new])
    fresh = np.array([row["fresh"] for row in new])
    within = [low <= row["fresh"] <= high for row in new for low, high in [wilson(row["right"], row["asked"])]]
    lines.append(f"{shots} left out: {_beside(says, fresh)}, {100 * np.mean(within):.0f} % within the interval")
    old = [row for row in mine if row["old"] and row["expected"] is not None]
    told, shown = (np.array([row[name] for row in old]) for name in ("expected", "fresh"))
    lines.append(f"{shots} expected of earlier labels: {_beside(told, shown)}")
    return "\n".join(lines)


def _beside(says: np.ndarray, shows: np.ndarray) -> str:
    off = np.abs(says - shows).mean()
    return f"{len(says)} labels, says {says.mean():.1f}, fresh {shows.mean():.1f}, a label is off by {off:.1f}"


def main() -> None:
    """Print what is said and what is shown; --out keeps every row as a line of JSON."""
    parser = argparse.ArgumentParser(description="What the judge says beside what fresh pictures show.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", default="")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--heads", type=int, default=20, help="seeds of heads without text; 0 for none")
    chosen = parser.parse_args()
    opened, rows = Opened.open(embedded_bundle(), chosen.out.parent / "state", threads=1), list[dict[str, Any]]()
    with chosen.out.open("w") as file:
        for dataset in find_sets(chosen.data, chosen.sets.split(",") if chosen.sets else None):
            seen = looked(opened, dataset)
            for shots in (5, 16):
                found = [row for seed in range(chosen.seeds) for row in lessons(opened, seen, shots, seed)]
                rows += found
                found += [row for seed in range(chosen.heads) for row in mixed_up(seen, shots, seed)]
                file.writelines(json.dumps(row, allow_nan=False) + "\n" for row in found)
    for shots in (5, 16):
        print(summary(rows, shots))


if __name__ == "__main__":
    main()
