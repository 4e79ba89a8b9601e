"""Learning from real pictures of EDGE_NUSA_DATA: the embedded model gains on what it is taught and keeps what it
knew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import MICRO

from edge_nusa.device.asking.predict import Prediction, Predictor
from edge_nusa.device.learning.learn import LearnSettings, learn
from edge_nusa.device.learning.task import Task
from edge_nusa.device.model import Model
from edge_nusa.knowledge.recipes import DEVICE

pytestmark = [pytest.mark.data, pytest.mark.slow]
SHOTS, ASKED = 16, 12


def split(data: Path, name: str) -> tuple[Task, list[Path], list[str], str]:
    """(task of 16 pictures a class, other pictures, their labels, template) of one set, by a fixed seed."""
    wording = json.loads((data / "classes.json").read_text())[name]
    generator = np.random.default_rng(0)
    paths: list[Path] = []
    classes: list[int] = []
    asked: list[Path] = []
    goals: list[str] = []
    names = [wording["classes"][folder] for folder in sorted(wording["classes"])]
    for number, folder in enumerate(sorted(wording["classes"])):
        files = sorted((data / name / folder).iterdir())
        order = generator.permutation(len(files))
        paths += [files[i] for i in order[:SHOTS]]
        classes += [number] * SHOTS
        asked += [files[i] for i in order[SHOTS : SHOTS + ASKED]]
        goals += [names[number]] * ASKED
    return Task(names, paths, np.array(classes), []), asked, goals, wording["template"]


def accuracy(model: Model, offered: list[str], paths: list[Path], goals: list[str]) -> float:
    """Percent answered right, `offered` beside what was learned."""
    results = [r for r in Predictor(model, offered)(paths, 1) if isinstance(r, Prediction)]
    return 100 * float(np.mean([r.labels[0].label == goal for r, goal in zip(results, goals, strict=True)]))


def test_sixteen_pictures_a_class_beat_zero_shot_on_aerial_pictures_and_waste(
    data_folder: Path, tmp_path: Path
) -> None:
    model = Model.open(MICRO, tmp_path / "state", threads=1)
    for name in ("rsscn7", "trashnet"):
        task, asked, goals, template = split(data_folder, name)
        before = accuracy(model, task.labels, asked, goals)
        report = learn(model, task, LearnSettings(recipe=DEVICE, template=template), lambda what, done, total: None)
        after = accuracy(model, [], asked, goals)
        assert after >= before + 15, (name, before, after)
        assert report.retention.vocabulary_agreement >= 90


def test_pictures_of_things_never_taught_keep_the_untouched_models_accuracy(data_folder: Path, tmp_path: Path) -> None:
    _, asked, goals, _ = split(data_folder, "cifar10")
    others = sorted(set(goals))
    model = Model.open(MICRO, tmp_path / "state", threads=1)
    before = accuracy(model, others, asked, goals)
    task, _, _, template = split(data_folder, "rsscn7")
    learn(model, task, LearnSettings(recipe=DEVICE, template=template), lambda what, done, total: None)
    assert before > 13, "above chance, else this shows nothing"
    assert accuracy(model, others, asked, goals) >= before - 3


def test_a_forgotten_label_falls_to_the_zero_shot_level_and_the_others_stay(data_folder: Path, tmp_path: Path) -> None:
    task, asked, goals, template = split(data_folder, "trashnet")
    model = Model.open(MICRO, tmp_path / "state", threads=1)
    label = task.labels[0]
    ours = [path for path, goal in zip(asked, goals, strict=True) if goal == label]
    rest = [(path, goal) for path, goal in zip(asked, goals, strict=True) if goal != label]
    untouched = accuracy(model, task.labels, ours, [label] * len(ours))
    learn(model, task, LearnSettings(recipe=DEVICE, template=template), lambda what, done, total: None)
    knew = accuracy(model, [], ours, [label] * len(ours))
    before = among(model, task.labels[1:], rest)
    model.forget(label)
    assert knew >= untouched + 20, "it was never known, so that forgetting shows nothing"
    # the zero-shot level itself moves, since the others' anchors are of the task's template now (4 of 12 pictures here)
    one_picture = 100 / len(ours)
    assert accuracy(model, [label], ours, [label] * len(ours)) <= untouched + one_picture + 0.5
    assert abs(among(model, task.labels[1:], rest) - before) < 0.5


def among(model: Model, labels: list[str], asked: list[tuple[Path, str]]) -> float:
    """Percent right when these learned labels alone compete."""
    results = [r for r in Predictor(model)([path for path, _ in asked], None) if isinstance(r, Prediction)]
    first = [next(name for name, _ in r.labels if name in labels) for r in results]
    return 100 * float(np.mean([found == goal for found, (_, goal) in zip(first, asked, strict=True)]))
