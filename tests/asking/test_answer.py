"""Who answers: the gate, the head and the untouched model, and what learning must not do to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MICRO

from edge_nusa.device.asking.answer import combined
from edge_nusa.device.asking.predict import Prediction, Predictor
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.learning.learn import LearnSettings
from edge_nusa.device.learning.report import LearnReport
from edge_nusa.device.learning.task import one_label
from edge_nusa.device.model import Model
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.pictures.pictures import find_pictures

QUICK = LearnSettings(recipe=replace(DEVICE, steps=3), is_forced=True)


def teach(model: Model, folder: Path, label: str, settings: LearnSettings = QUICK) -> LearnReport:
    """One learn of a few steps, without progress."""
    return model.teach(one_label(folder, label), settings)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """The bundle `micro` with an empty state, on one thread."""
    return Model.open(MICRO, tmp_path / "state", threads=1)


def first_answers(model: Model, others: list[str], folder: Path) -> list[str]:
    """The most probable label of each picture in a folder."""
    return [
        r.labels[0].label for r in Predictor(model, others)(find_pictures(folder)[0], 1) if isinstance(r, Prediction)
    ]


def test_one_picture_does_not_open_the_gate_for_everything(model: Model, pictures: DemoPictures) -> None:
    one = find_pictures(pictures.taught["brick wall"])[0][0]
    before = {thing: first_answers(model, list(pictures.others), folder) for thing, folder in pictures.others.items()}
    teach(model, one, "qwxv")
    assert {
        thing: first_answers(model, list(pictures.others), folder) for thing, folder in pictures.others.items()
    } == before


def test_a_label_alone_is_judged_against_nouns_and_not_always_right(
    model: Model, pictures: DemoPictures, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    sources = [find_pictures(folder)[0][0] for folder in (*pictures.others.values(), *pictures.taught.values())]
    for index, source in enumerate(sources):
        (mixed / f"{index}.png").write_bytes(source.read_bytes())
    report = teach(model, mixed, "zebra")
    assert report.judged_by == "leave-one-out"
    assert (report.labels[0].accuracy_after or 0) < 100


def test_teaching_a_case_twin_goes_on_with_the_same_label_and_its_template(
    model: Model, pictures: DemoPictures
) -> None:
    teach(model, pictures.taught["gravel"], "gravel", replace(QUICK, template="{} on the ground"))
    report = teach(model, pictures.asked["gravel"], "Gravel")
    labels = model.known()[1].labels
    assert [(label.name, label.images, label.template) for label in labels] == [("gravel", 16, "{} on the ground")]
    assert report.retention.old_labels_cosine is None


def test_the_chosen_learned_label_always_wins_over_the_others() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        learned, others = generator.integers(1, 6, 2)
        chosen = generator.dirichlet(np.ones(learned), 4)
        zero_shot = generator.dirichlet(np.ones(learned + others) * 0.3, 4)
        row = combined(chosen, zero_shot, int(learned), generator.random(4))
        np.testing.assert_allclose(row.sum(axis=1), 1)
        assert (row.argmax(axis=1) == chosen.argmax(axis=1)).all()
