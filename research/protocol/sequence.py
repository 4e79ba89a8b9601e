"""Runs one learner through one sequence of tasks and measures after each; a killed run goes on after its last whole
task.

Suite `mtil`: each task is asked about with its own labels offered. Suite `cil`: with all labels seen so far.
Letters: N tasks, B pictures.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa import memory
from edge_nusa.errors import DamagedError, InputError, UsageError
from edge_nusa.files import durable
from edge_nusa.research.data.views import View
from edge_nusa.research.figures.metrics import auroc, expected_calibration_error
from edge_nusa.research.figures.runs import Run, Suite, key_of
from edge_nusa.research.learners.learners import Answer, Learner, state_bytes
from edge_nusa.research.protocol.counting import Counts
from edge_nusa.research.protocol.orders import class_order


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run: `order` are the tasks' names, in order."""

    suite: Suite
    learner: str
    shots: int
    seed: int
    order_name: str
    order: tuple[str, ...]

    @property
    def key(self) -> str:
        """A file name of its own for each plan of one folder."""
        return key_of(self)


@dataclass(frozen=True)
class Material:
    """The pictures of a run: of each task its view, the pictures (B,) int64 to learn from and to be asked about; and
    of a set that is never learned its view and pictures, or None."""

    views: Mapping[str, View]
    shots: Mapping[str, np.ndarray]
    tests: Mapping[str, np.ndarray]
    never: tuple[View, np.ndarray] | None


@dataclass(kw_only=True)
class Measured:
    """Rows so far; each list has one entry a row (`Run` says what they are)."""

    accuracy: list[list[float | None]] = field(default_factory=list)
    joint: list[float | None] = field(default_factory=list)
    retention: list[float | None] = field(default_factory=list)
    ece: list[float | None] = field(default_factory=list)
    auroc: list[float | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    state_bytes: list[int] = field(default_factory=list)
    trained_numbers: int = 0


def always() -> None:
    """A run that is wanted to its end."""


Beside = tuple[Counts, Callable[[], None]]
"""What a run fills class by class, and what is called before each task, to end the run by what it raises."""


def run(plan: Plan, material: Material, learner: Learner, part: Path, beside: Beside | None = None) -> Run:
    """Run the plan to its end; `part` is the file that holds what a killed run has so far, the caller's to remove once
    the result is kept. Raises InputError for a task without pictures to learn
    from, DamagedError and UsageError for a `part` that is none or of other tasks."""
    empty = [name for name in plan.order if not len(material.shots[name])]
    if empty:
        raise InputError(f"{empty[0]}: expected pictures to learn from, found none that can be read; check the folder")
    memory.forget_peak()
    counts, check_wanted = beside or (Counts(), always)
    measured = _resumed(part, plan, material, learner, counts)
    if not measured.accuracy:
        _measure(measured, plan, material, (learner, counts), 0)
    for done in range(len(measured.accuracy), len(plan.order) + 1):
        check_wanted()
        name = plan.order[done - 1]
        began = time.perf_counter()
        learner.learn(material.views[name], material.shots[name], plan.seed)
        measured.seconds.append(round(time.perf_counter() - began, 4))
        measured.state_bytes.append(state_bytes(learner.arrays()))
        measured.trained_numbers = learner.trained_numbers
        _measure(measured, plan, material, (learner, counts), done)
        _save(part, plan, measured, (learner, counts))
    return Run(
        suite=plan.suite,
        learner=plan.learner,
        shots=plan.shots,
        seed=plan.seed,
        order_name=plan.order_name,
        order=plan.order,
        accuracy=tuple(tuple(row) for row in measured.accuracy),
        joint=tuple(measured.joint),
        retention=tuple(measured.retention),
        ece=tuple(measured.ece),
        auroc=tuple(measured.auroc),
        seconds=tuple(measured.seconds),
        state_bytes=tuple(measured.state_bytes),
        peak_rss_bytes=memory.peak_bytes(),
        trained_numbers=measured.trained_numbers,
    )


def _measure(measured: Measured, plan: Plan, material: Material, whose: tuple[Learner, Counts], done: int) -> None:
    """Add the row after `done` tasks."""
    learner, counts = whose
    counts.begin()
    learned = [material.views[name] for name in plan.order[:done]]
    row: list[float | None] = []
    confidences, hits, known = [], [], []
    for index, name in enumerate(plan.order):
        view, pictures = material.views[name], material.tests[name]
        if not len(pictures) or (plan.suite == "cil" and index >= done):
            row.append(None)
            continue
        found = learner.answer([view] if plan.suite == "mtil" else learned, view, pictures)
        answers = _answers(found, learned if plan.suite == "cil" else [view], view)
        is_right = answers == view.classes[pictures]
        row.append(round(100 * float(is_right.mean()), 4))
        if index < done:
            counts.add(view, view.classes[pictures], answers, _start(learned, view))
            confidences.append(found.probabilities.max(axis=1))
            hits.append(is_right)
            known.append((found if plan.suite == "cil" else learner.answer(learned, view, pictures)).novelty)
    measured.accuracy.append(row)
    measured.joint.append(_percent(hits) if plan.suite == "cil" else None)
    measured.ece.append(expected_calibration_error(np.concatenate(confidences), np.concatenate(hits)) if hits else None)
    retained, unknown = _never(material, learner, learned)
    measured.retention.append(retained)
    measured.auroc.append(auroc(np.concatenate(known), unknown) if known and unknown is not None else None)


def _start(views: Sequence[View], view: View) -> int:
    """The first column of `view` among all labels of `views`, which it is one of."""
    names = [each.name for each in views]
    return sum(len(each.labels) for each in views[: names.index(view.name)])


def _answers(found: Answer, offered: Sequence[View], view: View) -> np.ndarray:
    """(B,) int64: the label that is most probable, counted from the first of `view`, whose own are 0 and above."""
    return np.asarray(found.probabilities.argmax(axis=1) - _start(offered, view))


def _percent(hits: Sequence[np.ndarray]) -> float | None:
    return round(100 * float(np.concatenate(hits).mean()), 4) if hits else None


def _never(material: Material, learner: Learner, learned: Sequence[View]) -> tuple[float | None, np.ndarray | None]:
    """Zero-shot percent on the set that is never learned, and the novelty of its pictures among the learned labels."""
    if material.never is None:
        return None, None
    view, pictures = material.never
    if not len(pictures):
        return None, None
    found = learner.answer([view], view, pictures)
    retained = round(100 * float((_answers(found, [view], view) == view.classes[pictures]).mean()), 4)
    return retained, learner.answer(learned, view, pictures).novelty if learned else None


def _save(part: Path, plan: Plan, measured: Measured, whose: tuple[Learner, Counts]) -> None:
    learner, counts = whose
    content = json.dumps({"order": plan.order, "counts": vars(counts), **vars(measured)}, allow_nan=False).encode()
    arrays = {f"state/{name}": array for name, array in learner.arrays().items()}
    buffer = io.BytesIO()
    np.savez(buffer, measured=np.frombuffer(content, np.uint8), **arrays)  # type: ignore[arg-type]
    durable.replace_file(part, buffer.getvalue())


def check_order(path: Path, order: tuple[str, ...], plan: Plan) -> None:
    """Raises UsageError where what is kept in `path` is of other tasks than the plan's, or in another order."""
    if order != plan.order:
        raise UsageError(
            f"{path}: expected the tasks {', '.join(plan.order)}, found {', '.join(order)}; take another --out"
        )


def _resumed(part: Path, plan: Plan, material: Material, learner: Learner, counts: Counts) -> Measured:
    """What a killed run left, with the learner and the counts as they were; an empty start where there is nothing."""
    if not part.exists():
        return Measured()
    try:
        with np.load(part) as found:
            content: dict[str, Any] = json.loads(found["measured"].tobytes())
            arrays = {name.removeprefix("state/"): found[name] for name in found.files if name.startswith("state/")}
        order = tuple(content.pop("order"))
        counted = Counts(**content.pop("counts"))
        measured = Measured(**content)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedError(
            f"{part}: not part of a run of this version ({error}); remove the file and run the same command again"
        ) from error
    check_order(part, order, plan)
    vars(counts).update(vars(counted))
    learner.restore(arrays, [material.views[name] for name in plan.order[: len(measured.seconds)]])
    return measured


def in_steps(
    whole: tuple[View, np.ndarray], shots: np.ndarray, plan: Plan, never: tuple[View, np.ndarray] | None
) -> Material:
    """One set cut into steps of classes."""
    view, tests = whole
    parts = np.array_split(class_order(len(view.labels), plan.order_name), len(plan.order))
    views: dict[str, View] = {}
    chosen: dict[str, np.ndarray] = {}
    asked: dict[str, np.ndarray] = {}
    for name, classes in zip(plan.order, parts, strict=True):
        views[name] = view.part(name, classes)
        chosen[name] = view.readable(shots[np.isin(view.classes[shots], classes)])
        asked[name] = tests[np.isin(view.classes[tests], classes)]
    return Material(views, chosen, asked, never)
