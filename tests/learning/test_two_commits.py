"""A lesson in two commits: the head at once, the text after it, kept or dropped; whatever ends it in between."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO, bytes_of

from edge_nusa import kept
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.learning import two_commits
from edge_nusa.device.learning.learn import LearnSettings
from edge_nusa.device.learning.report import LearnReport
from edge_nusa.device.learning.task import Task, folder_per_label, one_label
from edge_nusa.device.learning.task_data import Trained
from edge_nusa.device.learning.text_trial import AFTERWARDS, TextTrial
from edge_nusa.device.learning.train_apart import Training
from edge_nusa.device.model import Model
from edge_nusa.errors import InputError, MissingPackageError, RefusedError, ResourceError, UsageError
from edge_nusa.knowledge.recipes import DEVICE, PAPER

SETTINGS = LearnSettings(recipe=DEVICE)
SIZE = 1e-3
"""Of the numbers of a core that changes hardly anything."""


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model.open(MICRO, tmp_path / "state", 1)


@pytest.fixture
def task(three: Path) -> Task:
    return folder_per_label(three)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what training does (an error to raise, or how large the numbers of its cores are) and whether its text
    adds something."""

    def chosen(size: float = SIZE, error: Exception | None = None, adds: bool = True) -> None:
        def trained(model: Model, training: Training, progress: Any) -> tuple[Trained, int]:
            if error is not None:
                raise error
            generator = np.random.default_rng(0)
            cores = {name: size * generator.standard_normal(core.shape) for name, core in training.before.cores.items()}
            return Trained(cores, 0.5, 7, {}), 0

        monkeypatch.setattr(two_commits, "train_apart", trained)
        monkeypatch.setattr(TextTrial, "adds", adds)

    return chosen


def number_of(model: Model) -> int:
    return model.status().generation


def test_the_head_answers_before_the_text_is_trained_and_one_undo_takes_both_back(
    model: Model, task: Task, train: Any, pictures: DemoPictures
) -> None:
    train()
    told: list[LearnReport] = []

    def look(report: LearnReport) -> None:
        told.append(report)
        assert number_of(model) == report.generation == 1
        picture = next(pictures.asked["gravel"].iterdir())
        (answer,) = Model.open(MICRO, model.state.folder, 1).predict([picture])
        assert "gravel" in str(answer)

    report = model.teach(task, SETTINGS, on_head=look)
    assert [(one.text, one.text_reason) for one in told] == [("not trained", AFTERWARDS.reason)]
    assert (report.text, report.generation, report.training.kept_step) == ("kept", 2, 7)
    assert 0 < report.head_seconds == told[0].head_seconds < report.seconds
    assert [(row.generation, row.report["text"]) for row in model.history()] == [(2, "kept")]
    assert any(np.any(core) for core in model.known()[1].cores.values())
    assert model.undo().generation == 0


def test_a_text_that_adds_nothing_leaves_the_heads_lesson_as_it_was_committed(
    model: Model, task: Task, train: Any
) -> None:
    train(adds=False)
    then: list[dict[str, bytes]] = []
    report = model.teach(task, SETTINGS, on_head=lambda report: then.append(bytes_of(model.state.folder)))
    assert (report.text, report.generation, report.training.kept_step) == ("dropped", 1, 7)
    assert "are answered right with it" in report.text_reason
    assert then == [bytes_of(model.state.folder)]
    assert not any(np.any(core) for core in model.known()[1].cores.values())


def test_a_text_that_the_judge_refuses_is_dropped_and_forced_it_is_kept(model: Model, task: Task, train: Any) -> None:
    train(size=1.0)
    report = model.teach(task, SETTINGS)
    assert (report.text, report.generation) == ("dropped", 1)
    assert report.text_reason.startswith("with it the lesson would be refused: ")
    assert report.retention.vocabulary_agreement == 100
    model.undo()
    report = model.teach(task, replace(SETTINGS, is_forced=True))
    assert report.text == "kept" and report.retention.vocabulary_agreement < 80


def test_a_training_that_diverges_leaves_the_heads_lesson_and_says_why(model: Model, task: Task, train: Any) -> None:
    train(error=InputError("training diverged"))
    report = model.teach(task, SETTINGS)
    assert (report.text, report.text_reason, report.generation) == ("dropped", "training diverged", 1)


def test_memory_that_runs_out_while_training_leaves_the_heads_lesson_and_is_told_with_it(
    model: Model, task: Task, train: Any
) -> None:
    train(error=ResourceError("memory ran out while training"))
    with kept.collected() as told, pytest.raises(ResourceError, match="memory ran out"):
        model.teach(task, SETTINGS)
    assert told.clauses == ["the learn is kept as generation 1: do not run it again"] and told.is_done
    (row,) = model.history()
    assert (row.generation, row.report["text"], row.report["text_reason"]) == (1, "not trained", AFTERWARDS.reason)
    assert model.undo().generation == 0


def test_a_dry_run_commits_neither_and_tells_nobody_that_it_knows_something(
    model: Model, task: Task, train: Any
) -> None:
    train()
    told: list[LearnReport] = []
    report = model.teach(task, replace(SETTINGS, is_dry_run=True), on_head=told.append)
    assert (report.text, report.generation, report.dry_run, told) == ("kept", 0, True, [])
    assert model.state.current() is None


def test_a_lesson_whose_head_is_refused_trains_nothing(
    model: Model, task: Task, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(error=AssertionError("it was trained"))
    monkeypatch.setattr("edge_nusa.device.learning.judge.LEAST_APART", 1e9)
    with pytest.raises(RefusedError, match="mixed up"):
        model.teach(task, SETTINGS)
    assert model.state.current() is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (replace(SETTINGS, is_head_only=True), "--head-only asked for that"),
        (SETTINGS, 'torch is not installed; `pip install "edge-nusa[learn]"` adds it'),
    ],
)
def test_a_text_that_is_left_out_is_told_with_its_reason(
    model: Model, task: Task, train: Any, monkeypatch: pytest.MonkeyPatch, settings: LearnSettings, reason: str
) -> None:
    train(error=AssertionError("it was trained"))
    if not settings.is_head_only:
        monkeypatch.setitem(sys.modules, "torch", None)
    told: list[LearnReport] = []
    report = model.teach(task, settings, on_head=told.append)
    assert (report.text, report.text_reason, report.generation, told) == ("not trained", reason, 1, [])
    assert report.training.kept_step == 0 and report.peak_rss_bytes > 0


def test_one_label_alone_is_known_by_the_head(model: Model, train: Any, pictures: DemoPictures) -> None:
    train(error=AssertionError("it was trained"))
    report = model.teach(one_label(pictures.taught["gravel"], "gravel"), SETTINGS)
    assert report.text_reason == "one label alone has nothing that it could be told apart from"


def test_the_published_recipe_is_one_commit_and_nothing_without_torch(
    model: Model, task: Task, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train()
    told: list[LearnReport] = []
    paper = replace(SETTINGS, recipe=PAPER)
    report = model.teach(task, paper, on_head=told.append)
    assert (report.text, report.generation, told) == ("kept", 1, [])
    assert report.text_reason.startswith("this recipe has no head")
    with pytest.raises(UsageError, match="--head-only: --recipe paper has no head to teach; leave one of the two out"):
        model.teach(task, replace(paper, is_head_only=True))
    monkeypatch.setitem(sys.modules, "torch", None)
    words = r'--recipe paper is nothing but training: torch is not installed; `pip install "edge-nusa\[learn\]"` adds'
    with pytest.raises(MissingPackageError, match=words):
        model.teach(task, paper)
