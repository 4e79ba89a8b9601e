"""Labels with slashes, commas, quotes and markup go through every command and the fleet, as text, and never become a
path."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html import escape
from pathlib import Path

import pytest
from awkward_labels import AWKWARD
from conftest import answer_of, run_cli

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.knowledge import labels as label_names

BY_FOLDER = tuple(label for label in AWKWARD if not label.startswith(".") and "_" not in label)
BY_NAME = tuple(label for label in AWKWARD if label not in BY_FOLDER)


@pytest.fixture(scope="module")
def place(pictures: DemoPictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `state`, which was taught every awkward label by its folder's name or by --label."""
    folder = tmp_path_factory.mktemp("awkward")
    photographs = [path for label in pictures.taught.values() for path in sorted(label.iterdir())]
    for label, picture in zip(BY_FOLDER, photographs, strict=False):
        (folder / "set" / label.replace("/", "%2F")).mkdir(parents=True)
        shutil.copy(picture, folder / "set" / label.replace("/", "%2F"))
    answer_of("learn", "--dataset", folder / "set", "--state", folder / "state", "--steps", "2", "--force")
    for label, picture in zip(BY_NAME, photographs[len(BY_FOLDER) :], strict=False):
        answer_of(
            "learn", "--images", picture, f"--label={label}", "--state", folder / "state", "--steps", "2", "--force"
        )
    return folder


@pytest.fixture
def state(place: Path, tmp_path: Path) -> Path:
    """A copy of that state, to do anything with."""
    return Path(shutil.copytree(place / "state", tmp_path / "state"))


def names_of(state: Path) -> set[str]:
    """What `labels` lists."""
    return {row["label"] for row in answer_of("labels", "--state", state)["labels"]}


def test_every_printable_label_is_learned_and_listed_as_it_was_given(place: Path) -> None:
    assert names_of(place / "state") == set(AWKWARD)


def test_no_label_is_part_of_any_files_name(place: Path) -> None:
    names = {path.name for path in (place / "state").rglob("*")}
    assert names == {
        "CURRENT",
        "lock",
        "generations",
        *(f"{n:06d}" for n in range(1, 2 + len(BY_NAME))),
        "manifest.json",
        "labels.json",
        "anchors.safetensors",
        "core.safetensors",
        "head.safetensors",
        "private.safetensors",
        "taught.safetensors",
        "report.json",
    }
    assert {path.name for path in place.iterdir()} == {"set", "state"}


def test_predict_offers_labels_with_commas_one_by_one_beside_a_list_of_others(
    pictures: DemoPictures, tmp_path: Path
) -> None:
    picture = next(pictures.asked["gravel"].iterdir())
    words = (
        "predict",
        picture,
        "--labels",
        "cat,dog",
        "--label",
        "Paris, France",
        "--label",
        "CAT",
        "--label",
        "30 km/h",
        "--state",
        tmp_path / "none",
    )
    assert {entry["label"] for entry in answer_of(*words)["labels"]} == {"cat", "dog", "Paris, France", "30 km/h"}
    done = run_cli(*words, "--top", "4", "--format", "human")
    said = next(csv.reader([done.stdout.strip().split(": ", 1)[1]], skipinitialspace=True))
    assert {re.sub(r" [0-9.]+ %$", "", entry) for entry in said} == {"cat", "dog", "Paris, France", "30 km/h"}


def test_watch_offers_labels_with_commas_and_writes_awkward_ones_as_json_lines(
    pictures: DemoPictures, place: Path, tmp_path: Path
) -> None:
    camera = Path(shutil.copytree(pictures.asked["gravel"], tmp_path / "camera"))
    done = run_cli(
        "watch",
        camera,
        "--once",
        "--every",
        "0.05",
        "--state",
        place / "state",
        "--ledger",
        tmp_path / "ledger.sqlite",
        "--label",
        "Rome, Italy",
        "--labels",
        "cat,dog",
        "--format",
        "json",
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines
    assert all(
        {entry["label"] for entry in line["labels"]} == {*AWKWARD, "Rome, Italy", "cat", "dog"} for line in lines
    )


@pytest.mark.parametrize("label", ["30 km/h", "Paris, France", '"quoted"', "-40 °C", "../x"])
def test_every_label_is_forgotten_by_its_name_and_undo_brings_it_back(state: Path, label: str) -> None:
    assert answer_of("forget", "--state", state, "--", label)["forgotten"] == label
    assert names_of(state) == set(AWKWARD) - {label}
    answer_of("undo", "--state", state)
    assert names_of(state) == set(AWKWARD)


def test_history_lists_labels_for_people_so_that_each_is_told_from_the_next(place: Path) -> None:
    done = run_cli("history", "--state", place / "state", "--format", "human")
    listed = re.split(r"  +", done.stdout.splitlines()[-1], maxsplit=4)[-1]
    assert set(next(csv.reader([listed], skipinitialspace=True))) == set(AWKWARD)


def test_a_label_never_taught_is_named_as_it_was_given(place: Path) -> None:
    done = run_cli("forget", "rm -rf /; it's", "--state", place / "state")
    assert done.returncode == 1
    assert 'the label "rm -rf /; it\'s" was never taught; known: ' in done.stderr


def test_the_report_holds_every_label_as_text(place: Path, tmp_path: Path) -> None:
    run_cli("report", "--out", tmp_path / "report.html", "--state", place / "state", "--format", "human")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f"<bdi>{escape(label)}</bdi>" in page for label in AWKWARD)
    assert "<script" not in page


def test_a_fleet_shares_and_forgets_every_label(tmp_path: Path) -> None:
    pytest.importorskip("securesystemslib")
    from fleet_world import Member, new_hub, one_round, scans

    hub = new_hub(tmp_path)
    a, b = (Member(tmp_path, hub, name) for name in "ab")
    rows = scans()[1]
    a.teach({label: rows[2 * i : 2 * i + 2] for i, label in enumerate(AWKWARD)}, seed=1)
    b.teach({"cat": rows[60:64], "30 KM/H": rows[64:66]}, seed=2)
    merged = one_round(hub, [a, b])
    assert merged.made is not None
    assert [sorted([entry.label, *entry.also]) for entry in merged.made.spellings] == [["30 KM/H", "30 km/h"]]
    keys = {label_names.key(label) for label in (*AWKWARD, "cat")}
    assert set(a.labels) == set(b.labels) == {label_names.key(name) for name in hub.status().labels} == keys
    gone = ["30 km/h", "Paris, France", "../x", '"quoted"']
    for label in gone:
        b.forget(label)
    one_round(hub, [b, a])
    assert set(a.labels) == set(b.labels) == keys - {label_names.key(label) for label in gone}
    stored = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert not [path for path in stored for label in AWKWARD if label in path]
