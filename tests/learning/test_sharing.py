"""A lesson's pictures are grouped before anything of them can be sent, and what was grouped is remembered first."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import MICRO, bytes_of

from edge_nusa.device.learning.learn import LearnSettings
from edge_nusa.device.learning.task import folder_per_label
from edge_nusa.device.model import Model
from edge_nusa.errors import ResourceError
from edge_nusa.knowledge import groups
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.waiting import Waiting
from edge_nusa.state.state import State

HEAD = LearnSettings(recipe=DEVICE, is_head_only=True, is_forced=True)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model.open(MICRO, tmp_path / "state", 1)


def some(three: Path, folder: Path, label: str, *places: int) -> Path:
    """A data set of these pictures of one label."""
    for picture in [sorted((three / label).iterdir())[place] for place in places]:
        (folder / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder / label)
    return folder


def test_a_lesson_is_grouped_and_a_dry_run_forms_no_group(model: Model, three: Path, tmp_path: Path) -> None:
    task = folder_per_label(some(three, tmp_path / "one", "gravel", 0, 1, 2, 3, 4))
    model.teach(task, LearnSettings(recipe=DEVICE, is_head_only=True, is_forced=True, is_dry_run=True))
    assert groups.read(model.state.folder).groups == ()
    report = model.teach(task, HEAD)
    assert report.pictures_waiting == ()
    assert [len(group) for group in groups.read(model.state.folder).groups] == [5]
    _, known = model.known()
    assert known.private is not None and (known.private.head.counts.tolist(), known.private.head.spare) == ([0], 4)
    assert known.shared.head.counts.tolist() == [5]


def test_pictures_taught_again_after_an_undo_are_known_to_have_been_in_a_group(
    model: Model, three: Path, tmp_path: Path
) -> None:
    model.teach(folder_per_label(some(three, tmp_path / "one", "gravel", 0, 1, 2, 3)), HEAD)
    model.undo()
    report = model.teach(folder_per_label(some(three, tmp_path / "two", "gravel", 0, 1, 2, 4)), HEAD)
    assert report.pictures_waiting == (Waiting("gravel", 4, 3),)
    model.undo()
    report = model.teach(folder_per_label(some(three, tmp_path / "three", "gravel", 0, 1, 2, 3, 4)), HEAD)
    assert report.pictures_waiting == (Waiting("gravel", 1, 3),)
    assert len(groups.read(model.state.folder).groups) == 1


def test_groups_are_remembered_before_the_lesson_is_committed(
    model: Model, three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        assert len(groups.read(model.state.folder).groups) == 1
        raise ResourceError("the disk is full")

    monkeypatch.setattr(State, "commit", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        model.teach(folder_per_label(some(three, tmp_path / "one", "gravel", 0, 1, 2, 3)), HEAD)
    monkeypatch.undo()
    report = model.teach(folder_per_label(tmp_path / "one"), HEAD)
    assert (report.pictures_waiting, len(groups.read(model.state.folder).groups)) == ((), 1)


def test_a_fleet_that_shares_exactly_groups_nothing(model: Model, three: Path, tmp_path: Path) -> None:
    (model.state.folder / "sync").mkdir(parents=True)
    (model.state.folder / "sync" / "root.json").write_text('{"signed": {"x-edge-nusa": {"sharing": "exact"}}}')
    report = model.teach(folder_per_label(some(three, tmp_path / "one", "gravel", 0, 1, 2)), HEAD)
    _, known = model.known()
    assert (report.pictures_waiting, known.private, known.shared is known) == ((), None, True)
    assert "groups" not in bytes_of(model.state.folder)


def test_where_only_means_are_shared_a_lesson_is_one_group(model: Model, three: Path, tmp_path: Path) -> None:
    (model.state.folder / "sync").mkdir(parents=True)
    (model.state.folder / "sync" / "root.json").write_text('{"signed": {"x-edge-nusa": {"sharing": "means"}}}')
    model.teach(folder_per_label(some(three, tmp_path / "one", "gravel", *range(8))), HEAD)
    assert [len(group) for group in groups.read(model.state.folder).groups] == [8]
