"""The state stays small and holds no picture: its size after 1, 10 and 50 tasks, and what is not in its files."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from conftest import MICRO, THREE, answer_of, bytes_of

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.files import tensor_file
from edge_nusa.knowledge.head import features
from edge_nusa.knowledge.knowledge import Knowledge, Label, nothing
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load, to_files
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State

BYTES_A_LABEL = 3000
PICTURES_A_TASK = 19
TENSOR_FILES = ("anchors.safetensors", "core.safetensors", "head.safetensors")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(MICRO)


def taught_more(knowledge: Knowledge, generator: np.random.Generator) -> Knowledge:
    """The knowledge after one more task of two labels and PICTURES_A_TASK random pictures, every array full of
    numbers."""
    known, embed = len(knowledge.labels), knowledge.frozen_anchors.shape[1]
    taps = generator.standard_normal((PICTURES_A_TASK, len(knowledge.head.gram) - 1)).astype(np.float32)
    columns = known + np.arange(PICTURES_A_TASK) % 2
    anchors = generator.standard_normal((known + 2, embed)).astype(np.float32)
    rows = [
        {"label": f"label {known + i}", "images": 9, "accuracy_before": 50.0, "accuracy_after": 100.0} for i in range(2)
    ]
    return Knowledge(
        recipe=knowledge.recipe,
        labels=(*knowledge.labels, Label(f"label {known}", 10), Label(f"label {known + 1}", 9)),
        frozen_anchors=anchors,
        adapted_anchors=anchors,
        cores={name: core + generator.standard_normal(core.shape) for name, core in knowledge.cores.items()},
        head=knowledge.head.added(features(taps), columns, known + 2),
        tasks=knowledge.tasks + 1,
        report={"labels": rows, "seconds": 1.0, "quarantined": []},
    )


@pytest.fixture(scope="module")
def chain(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[State, dict[int, dict[str, int]]]:
    """A state after 50 tasks of two labels, and the bytes of each file of the current generation after 1, 10 and 50."""
    state = State(tmp_path_factory.mktemp("chain") / "state", bundle.manifest.identity)
    generator, knowledge, sizes = np.random.default_rng(5), nothing(bundle, DEVICE), {}
    for task in range(1, 51):
        knowledge = taught_more(knowledge, generator)
        with state.writer():
            generation = state.commit(to_files(knowledge), "learn")
        if task in (1, 10, 50):
            sizes[task] = {path.name: path.stat().st_size for path in generation.folder.iterdir()}
    return state, sizes


def test_only_labels_make_a_generation_larger(chain: tuple[State, dict[int, dict[str, int]]]) -> None:
    sizes = chain[1]
    whole = {task: sum(files.values()) for task, files in sizes.items()}
    for fewer, more in ((1, 10), (10, 50), (1, 50)):
        growth = whole[more] - whole[fewer]
        assert 0 < growth <= BYTES_A_LABEL * 2 * (more - fewer), (fewer, more)
    assert len({files["core.safetensors"] for files in sizes.values()}) == 1
    assert set(sizes[1]) == set(sizes[50])


def test_the_size_does_not_depend_on_the_number_of_pictures(bundle: Bundle) -> None:
    def size(pictures: int) -> dict[str, int]:
        taps = (
            np.random.default_rng(0)
            .standard_normal((pictures, len(nothing(bundle, DEVICE).head.gram) - 1))
            .astype(np.float32)
        )
        knowledge = taught_more(nothing(bundle, DEVICE), np.random.default_rng(0))
        head = knowledge.head.added(features(taps), np.zeros(pictures, np.int64), 2)
        kept = Knowledge(
            recipe=DEVICE,
            labels=knowledge.labels,
            frozen_anchors=knowledge.frozen_anchors,
            adapted_anchors=knowledge.adapted_anchors,
            cores=knowledge.cores,
            head=head,
        )
        return {name: len(data) for name, data in to_files(kept).items()}

    few, many = size(1), size(2000)
    assert {name: few[name] for name in TENSOR_FILES} == {name: many[name] for name in TENSOR_FILES}


def test_no_array_has_a_row_for_each_picture(chain: tuple[State, dict[int, dict[str, int]]], bundle: Bundle) -> None:
    number, knowledge = load(bundle, chain[0], DEVICE)
    found = chain[0].snapshot(TENSOR_FILES)
    assert found is not None and number == 50
    seen = 50 * PICTURES_A_TASK
    assert int(knowledge.head.counts.sum()) == seen
    shapes = {
        name: array.shape for file, data in found[1].items() for name, array in tensor_file.decode(data, file).items()
    }
    assert len(shapes) == 7 + len(bundle.matrices("text"))
    assert not {seen, PICTURES_A_TASK} & {side for shape in shapes.values() for side in shape}


def test_old_generations_are_pruned_so_that_the_folder_stays_bounded(
    chain: tuple[State, dict[int, dict[str, int]]],
) -> None:
    state, sizes = chain
    assert [generation.number for generation in state.history()] == [46, 47, 48, 49, 50]
    whole = sum(len(data) for data in bytes_of(state.folder).values())
    assert whole <= 5 * sum(sizes[50].values()) + 1000


def test_a_real_state_holds_no_picture_path_user_or_host(pictures: DemoPictures, tmp_path: Path) -> None:
    odd = Path(shutil.copytree(pictures.taught["gravel"], tmp_path / "peculiar-folder"))
    (odd / "broken-name.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    report = answer_of("learn", "--images", odd, "--label", "gravel", "--state", tmp_path / "s", "--steps", "3")
    assert [entry["image"] for entry in report["quarantined"]] == [str(odd / "broken-name.jpg")]
    names = [
        "peculiar-folder",
        "broken-name",
        str(tmp_path),
        ".jpg",
        ".png",
        str(Path.home()),
        getpass.getuser(),
        socket.gethostname(),
    ]
    forbidden = [b"\x89PNG", b"\xff\xd8\xff", b"JFIF", b"Exif", *(name.encode() for name in names if len(name) > 3)]
    for where, data in bytes_of(tmp_path / "s").items():
        found = [needle for needle in forbidden if needle in data]
        # three bytes turn up in a megabyte of numbers by chance now and then; a whole marker with its length does not
        assert not [needle for needle in found if len(needle) > 3], where
        assert data.count(b"\xff\xd8\xff\xe0\x00\x10") == data.count(b"\xff\xd8\xff\xe1\x00") == 0, where


def test_no_file_of_a_taught_state_repeats_a_pictures_bytes(taught: Path, three: Path) -> None:
    files = bytes_of(taught)
    assert {os.path.basename(name) for name in files} >= {
        *TENSOR_FILES,
        "labels.json",
        "report.json",
        "manifest.json",
        "CURRENT",
    }
    for label in THREE:
        for picture in (three / label).iterdir():
            data = picture.read_bytes()
            middle = data[len(data) // 2 :][:16]
            assert not any(middle in content for content in files.values())
    assert json.loads(files["generations/000001/labels.json"])["tasks"] == 1
