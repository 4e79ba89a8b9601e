"""What one learn decides around training: which nouns are wrong answers, what is remembered, and what cannot be
judged. Nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO
from PIL import Image

from edge_nusa.device.learning import two_commits
from edge_nusa.device.learning.learn import LearnSettings, learn
from edge_nusa.device.learning.task import folder_per_label
from edge_nusa.device.learning.task_data import TaskData, Trained
from edge_nusa.device.model import Model
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State

NOUNS = ["mug", "Cup", "tree", "river", "lamp", "chair", "cloud", "boat"]


def folder(path: Path, counts: dict[str, int], lesson: int) -> Path:
    """Blobs of one colour a label, a little different each."""
    generator = np.random.default_rng(lesson)
    for seed, (name, count) in enumerate(counts.items()):
        (path / name).mkdir(parents=True)
        for index in range(count):
            blobs = generator.integers(0, 120, (9, 9, 3)) + np.array([120 * (seed == part) for part in range(3)])
            Image.fromarray(blobs.astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC).save(
                path / name / f"{index}.png"
            )
    return path


@pytest.fixture
def taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Teaches a folder of so many pictures a label, without training; returns the report and what training was
    given."""
    given: list[TaskData] = []
    names, anchors = Bundle.open(MICRO).vocabulary
    monkeypatch.setattr(Bundle, "vocabulary", (NOUNS, anchors[: len(NOUNS)]))
    bundle = Bundle.open(MICRO)
    model = Model(bundle, State(tmp_path / "state", bundle.manifest.identity), 1)

    def untrained(model: Model, lesson: Any, progress: Any) -> tuple[Trained, int]:
        given.append(lesson.data)
        return Trained(dict(lesson.before.cores), 0.0, 1, {}), 0

    monkeypatch.setattr(two_commits, "train_apart", untrained)

    def teach(**counts: int) -> tuple[dict[str, Any], TaskData]:
        path = folder(tmp_path / f"pictures-{len(given)}", counts, len(given))
        report = learn(
            model,
            folder_per_label(path),
            LearnSettings(recipe=DEVICE, is_forced=True),
            lambda what, done, total: None,
        )
        return report.to_json(), given[-1]

    return teach


def test_taught_names_are_never_drawn_as_wrong_answers_now_or_later(taught: Any) -> None:
    _, data = taught(cup=5, stone=5)
    assert (len(data.noun_last), len(data.class_last)) == (len(NOUNS) - 1, 2)
    _, data = taught(MUG=5, sky=5)
    # the cup of the first lesson is no wrong answer in the second either; both old labels are remembered
    assert (len(data.noun_last), len(data.class_last), data.own_count) == (len(NOUNS) - 2, 4, 2)


def test_a_label_of_one_picture_is_not_judged_and_others_are(taught: Any) -> None:
    report, data = taught(one=1, two=2, ten=10)
    after = {row["label"]: row["accuracy_after"] for row in report["labels"]}
    assert after["one"] is None
    assert after["two"] is not None and after["ten"] is not None
    assert report["judged_by"] == "leave-one-out"
    assert {row["label"]: row["asked"] for row in report["labels"]} == {"one": 0, "two": 2, "ten": 10}
    assert data.held_out.sum() == 2


def test_labels_of_earlier_lessons_are_told_as_they_are_expected_now(taught: Any) -> None:
    report, _ = taught(one=1, two=5, three=6)
    assert list(report["earlier"]) == []
    report, _ = taught(three=5, four=5)
    # "one" has a single picture, "three" is taught now
    assert [row["label"] for row in report["earlier"]] == ["two"]
    assert 0 <= report["earlier"][0]["expected"] <= 100
