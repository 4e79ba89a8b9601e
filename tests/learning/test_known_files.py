"""The same folder taught again: only what is new in it is taught, and nothing new is no lesson and no error."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO
from made_by_hand import knowledge, unit
from PIL import Image

from edge_nusa.device.learning import two_commits
from edge_nusa.device.learning.known_files import fresh
from edge_nusa.device.learning.learn import LearnSettings, learn
from edge_nusa.device.learning.report import LearnReport
from edge_nusa.device.learning.task import Task, folder_per_label
from edge_nusa.device.learning.task_data import Trained
from edge_nusa.device.model import Model
from edge_nusa.errors import InputError
from edge_nusa.files.file_record import file_sha256
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.taught_files import TaughtFiles, digest_of
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State


def task_of(folder: Path, **counts: int) -> Task:
    """Files of different bytes, so many a label."""
    paths, classes = [], []
    for column, (name, count) in enumerate(counts.items()):
        for index in range(count):
            paths.append(folder / f"{name}{index}")
            paths[-1].write_text(f"{name} {index}")
            classes.append(column)
    return Task(list(counts), paths, np.array(classes), [])


def knowing(task: Task, indices: list[int], columns: list[int]) -> Knowledge:
    """Knows the labels "cup" and "hat", and these files of the task."""
    known = knowledge(["cup", "hat"], unit((1, 0, 0), (0, 1, 0)))
    digests = np.array([digest_of(file_sha256(task.paths[i])) for i in indices], np.uint64)
    known.__dict__["files"] = TaughtFiles(digests, np.array(columns))
    return known


def test_files_that_were_taught_are_left_out_with_the_label_they_were_taught_as(tmp_path: Path) -> None:
    task = task_of(tmp_path, cup=3, hat=2)
    asked = fresh(task, knowing(task, [1, 3], [0, 0]), False)
    assert [path.name for path in asked.task.paths] == ["cup0", "cup2", "hat1"]
    assert (asked.task.classes.tolist(), sorted(asked.known)) == ([0, 0, 1], [0, 1])
    assert [(Path(one.image).name, one.reason) for one in asked.task.quarantined] == [
        ("cup1", "taught before as 'cup'; --again teaches it once more"),
        ("hat0", "taught before as 'cup'; --again teaches it once more"),
    ]
    assert asked.digests.tolist() == [digest_of(file_sha256(path)) for path in asked.task.paths]


def test_again_leaves_none_out(tmp_path: Path) -> None:
    task = task_of(tmp_path, cup=3)
    asked = fresh(task, knowing(task, [0, 1, 2], [0, 0, 0]), True)
    assert (asked.task.paths, asked.task.quarantined, asked.known) == (task.paths, [], frozenset())


def test_a_label_whose_files_were_all_taught_as_another_is_an_error(tmp_path: Path) -> None:
    task = task_of(tmp_path, mug=2, hat=1)
    known = knowing(task, [0, 1], [0, 1])
    with pytest.raises(
        InputError,
        match="^every picture of 'mug' was taught before as cup, hat; nothing was learned: .*`edge-nusa forget`, or "
        "use --again$",
    ):
        fresh(task, known, False)
    assert fresh(task, known, True).task.paths == task.paths
    same = Task(["CUP", "hat"], task.paths, task.classes, [])
    assert fresh(same, known, False).known == {0}


def test_a_file_that_cannot_be_read_is_left_for_looking_to_say(tmp_path: Path) -> None:
    task = task_of(tmp_path, cup=2)
    known = knowing(task, [0], [0])
    task.paths[1].unlink()
    asked = fresh(task, known, False)
    assert ([path.name for path in asked.task.paths], asked.digests.tolist()) == (["cup1"], [0])


def test_a_task_is_narrowed_to_the_labels_with_a_picture_left(tmp_path: Path) -> None:
    asked = fresh(task_of(tmp_path, a=2, b=1, c=2), knowledge(["a"], unit((1, 0))), False)
    narrow = asked.narrowed([1, 3])
    assert (narrow.labels, narrow.classes.tolist()) == (["a", "c"], [0, 0, -1, 1, 1])
    assert asked.narrowed([]).labels == []
    taught = asked.taught(TaughtFiles(), [1, 2, 3, 4], narrow, np.array([0, 5]))
    assert taught.columns.tolist() == [0, 5, 5]
    assert taught.digests.tolist() == [int(asked.digests[i]) for i in (1, 3, 4)]


@pytest.fixture
def teach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Teaches the folder of labels without training."""
    bundle = Bundle.open(MICRO)
    model = Model(bundle, State(tmp_path / "state", bundle.manifest.identity), 1)
    monkeypatch.setattr(
        two_commits, "train_apart", lambda *given: (Trained(dict(given[1].before.cores), 0.0, 1, {}), 0)
    )

    def teach(folder: Path, **settings: Any) -> LearnReport:
        chosen = LearnSettings(recipe=DEVICE, is_forced=True, **settings)
        return learn(model, folder_per_label(folder), chosen, lambda what, done, total: None)

    teach.__dict__["model"] = model
    return teach


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    blobs = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(blobs).resize((64, 64), Image.Resampling.BICUBIC).save(path)


def test_a_folder_taught_again_adds_what_is_new_and_then_nothing(teach: Any, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for seed in range(4):
        picture(folder / "cup" / f"{seed}.png", seed)
    copy = Image.open(folder / "cup" / "0.png")
    copy.save(folder / "cup" / "copy.jpg", quality=80)
    Image.new("RGB", (64, 64)).save(folder / "cup" / "dark.png")
    assert [row.images for row in teach(folder).labels] == [4]

    again = teach(folder)
    assert (again.generation, again.labels, again.judged_by) == (1, (), "nothing new")
    reasons = {Path(one.image).name: one.reason for one in again.quarantined}
    assert reasons["copy.jpg"] == reasons["0.png"] == "taught before as 'cup'; --again teaches it once more"
    assert reasons["dark.png"].startswith("it shows one colour alone")

    picture(folder / "cup" / "new.png", 8)
    shutil.copytree(folder / "cup", folder / "hat")
    with pytest.raises(InputError, match="every picture of 'hat' was taught before as cup"):
        (folder / "hat" / "new.png").unlink()
        (folder / "hat" / "dark.png").unlink()
        teach(folder)
    shutil.rmtree(folder / "hat")
    more = teach(folder)
    assert [(row.label, row.images) for row in more.labels] == [("cup", 1)]
    assert teach.model.known()[1].labels[0].images == 5

    once_more = teach(folder, is_again=True)
    assert [row.images for row in once_more.labels] == [5]
    assert teach.model.forget("cup") == (4, "cup")
    assert [row.images for row in teach(folder).labels] == [5]
    teach.model.undo()
    teach.model.undo()
    assert teach(folder).labels == ()


def test_a_dry_run_remembers_no_file(teach: Any, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    picture(folder / "cup" / "0.png", 0)
    assert [row.images for row in teach(folder, is_dry_run=True).labels] == [1]
    assert [row.images for row in teach(folder).labels] == [1]
