"""The whole way in fresh processes: learn, predict, forget, undo, report, and what each prints for programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import THREE, answer_of, bytes_of, run_cli

from edge_nusa.cli import state as state_commands
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.files import tensor_file
from edge_nusa.knowledge.sums_file import head_from_tensors

FEW = ("--steps", "5")


def number_of(state: Path) -> int:
    """The generation that is current."""
    return int(json.loads((state / "CURRENT").read_text())["generation"])


def generation_file(state: Path, name: str) -> bytes:
    return (state / "generations" / f"{number_of(state):06d}" / name).read_bytes()


def predictions(*arguments: str | Path, cwd: Path | None = None, stdin: str = "") -> list[dict[str, Any]]:
    done = run_cli("predict", *arguments, cwd=cwd, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(value: object, *types: type) -> bool:
    """isinstance, but true and false are no whole numbers."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


@pytest.fixture(scope="module")
def brick(pictures: DemoPictures, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A state that learned one label, and what `learn` printed."""
    state = tmp_path_factory.mktemp("brick") / "state"
    return state, answer_of(
        "learn", "--images", pictures.taught["brick wall"], "--label", "brick wall", "--state", state, *FEW
    )


def test_learn_prints_what_the_contract_says(brick: tuple[Path, dict[str, Any]]) -> None:
    report = brick[1]
    assert {"generation", "labels", "retention", "quarantined", "seconds", "peak_rss_bytes"} <= set(report)
    assert report["generation"] == 1
    assert (
        of_type(report["generation"], int)
        and of_type(report["seconds"], float)
        and of_type(report["peak_rss_bytes"], int)
    )
    assert report["seconds"] > 0 and report["peak_rss_bytes"] > 1 << 20
    assert report["quarantined"] == []
    (row,) = report["labels"]
    assert {"label", "images", "accuracy_before", "accuracy_after"} <= set(row)
    assert (row["closest"], row["told_apart_errors"]) == (None, None), (
        "one label alone has nothing to be told apart from"
    )
    assert (row["label"], row["images"]) == ("brick wall", 8)
    for name in ("accuracy_before", "accuracy_after"):
        assert row[name] is None or (of_type(row[name], float) and 0 <= row[name] <= 100)
    assert isinstance(report["retention"], dict) and 0 <= report["retention"]["vocabulary_agreement"] <= 100


def test_quarantined_pictures_are_named_with_a_reason(pictures: DemoPictures, tmp_path: Path) -> None:
    shutil.copytree(pictures.taught["gravel"], tmp_path / "gravel")
    (tmp_path / "gravel" / "bad.png").write_bytes(b"no picture")
    report = answer_of("learn", "--images", "gravel", "--label", "gravel", "--state", "s", *FEW, cwd=tmp_path)
    assert [set(entry) for entry in report["quarantined"]] == [{"image", "reason"}]
    assert report["quarantined"][0]["image"] == "gravel/bad.png"
    assert "expected the content of a JPEG" in report["quarantined"][0]["reason"]
    assert report["labels"][0]["images"] == 8


def test_a_second_learn_adds_a_generation_and_labels_lists_all_in_order(
    brick: tuple[Path, dict[str, Any]], pictures: DemoPictures, tmp_path: Path
) -> None:
    state = Path(shutil.copytree(brick[0], tmp_path / "state"))
    for label in ("gravel", "lawn grass"):
        shutil.copytree(pictures.taught[label], tmp_path / "set" / label.replace(" ", "_"))
    report = answer_of("learn", "--dataset", "set", "--state", state, *FEW, cwd=tmp_path)
    assert report["generation"] == (3 if report["text"] == "kept" else 2)
    assert [row["label"] for row in report["labels"]] == ["gravel", "lawn grass"]
    listed = answer_of("labels", "--state", state)
    assert listed["generation"] == report["generation"]
    assert [(row["label"], row["images"]) for row in listed["labels"]] == [
        ("brick wall", 8),
        ("gravel", 8),
        ("lawn grass", 8),
    ]
    assert all(0 <= row["expected"] <= 100 for row in listed["labels"])


def test_an_empty_state_lists_no_labels(tmp_path: Path) -> None:
    found = answer_of("labels", "--state", tmp_path / "s")
    assert (found["generation"], found["labels"]) == (0, [])


def test_predict_prints_what_the_contract_says(taught: Path, pictures: DemoPictures) -> None:
    before = bytes_of(taught)
    folder = pictures.asked["gravel"]
    found = predictions(folder, "--state", taught)
    assert [entry["image"] for entry in found] == sorted(str(path) for path in folder.iterdir())
    for entry in found:
        assert set(entry) == {"image", "best", "labels", "known", "unknown"}
        assert isinstance(entry["unknown"], bool) and entry["unknown"] == (entry["known"] < 0.5)
        assert entry["best"] == (None if entry["unknown"] else entry["labels"][0]["label"])
        assert all(set(row) == {"label", "probability"} for row in entry["labels"])
        assert sorted(row["label"] for row in entry["labels"]) == sorted(THREE)
        probabilities = [row["probability"] for row in entry["labels"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(entry["known"], abs=1e-5), "the rest is something else"
    assert bytes_of(taught) == before


def test_taught_textures_are_told_apart_on_pictures_never_shown(taught: Path, pictures: DemoPictures) -> None:
    folders = pictures.asked
    found = predictions(*folders.values(), "--state", taught, "--top", "1")
    goals = [label for label, folder in folders.items() for _ in folder.iterdir()]
    right = [entry["labels"][0]["label"] == goal for entry, goal in zip(found, goals, strict=True)]
    assert np.mean(right) >= 0.8


def test_labels_never_taught_can_be_offered(taught: Path, pictures: DemoPictures) -> None:
    (found,) = predictions(pictures.others["cat"], "--state", taught, "--labels", "cat,dog,Gravel")
    assert sorted(row["label"] for row in found["labels"]) == sorted([*THREE, "cat", "dog"])
    assert sum(row["probability"] for row in found["labels"]) == pytest.approx(1, abs=1e-5)


def test_offered_labels_alone_are_enough(pictures: DemoPictures, tmp_path: Path) -> None:
    (found,) = predictions(pictures.others["cat"], "--state", tmp_path / "s", "--labels", "cat,dog")
    assert sorted(row["label"] for row in found["labels"]) == ["cat", "dog"]


def test_paths_come_from_stdin_and_patterns_and_top_cuts_the_list(taught: Path, pictures: DemoPictures) -> None:
    folder = pictures.asked["lawn grass"]
    paths = sorted(str(path) for path in folder.iterdir())
    from_stdin = predictions("-", "--state", taught, "--top", "2", stdin="\n".join(paths[:3]) + "\n")
    assert [entry["image"] for entry in from_stdin] == paths[:3]
    assert [len(entry["labels"]) for entry in from_stdin] == [2, 2, 2]
    from_pattern = predictions("0-*.png", "--state", taught, "--top", "2", cwd=folder)
    assert [entry["image"] for entry in from_pattern] == sorted(path.name for path in folder.glob("0-*.png"))


def test_forget_takes_a_label_back_and_undo_brings_it_again(taught: Path, pictures: DemoPictures) -> None:
    before, number = answer_of("labels", "--state", taught), number_of(taught)
    assert answer_of("forget", "GRAVEL", "--state", taught) == {"generation": number + 1, "forgotten": "gravel"}
    assert [row["label"] for row in answer_of("labels", "--state", taught)["labels"]] == ["brick wall", "lawn grass"]
    (found,) = predictions(next(pictures.asked["gravel"].iterdir()), "--state", taught)
    assert sorted(row["label"] for row in found["labels"]) == ["brick wall", "lawn grass"]
    assert answer_of("undo", "--state", taught)["generation"] == number
    assert answer_of("labels", "--state", taught) == before
    rows = answer_of("history", "--state", taught)["generations"]
    assert [(row["generation"], row["operation"], row["current"], len(row["labels"])) for row in rows] == [
        (number, "learn", True, 3)
    ]


def test_a_kept_report_names_its_own_generation(taught: Path) -> None:
    (row,) = answer_of("history", "--state", taught)["generations"]
    assert row["report"]["generation"] == row["generation"] == number_of(taught)


def test_status_is_numbers(taught: Path) -> None:
    found = answer_of("status", "--state", taught)
    assert (found["bundle"], found["generation"], found["labels"], found["tasks"], found["recipe"]) == (
        "micro",
        number_of(taught),
        3,
        1,
        "device",
    )
    files = [
        path for path in (taught / "generations" / f"{number_of(taught):06d}").iterdir() if path.name != "manifest.json"
    ]
    assert found["state_bytes"] == sum(path.stat().st_size for path in files)


def test_the_report_is_a_page_with_the_labels(taught: Path, tmp_path: Path) -> None:
    done = run_cli("report", "--state", taught, "--format", "human", "--out", "r.html", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "r.html").read_text()
    assert page.lower().startswith("<!doctype html")
    assert all(label in page for label in THREE)


def test_the_same_seed_gives_the_same_bytes_in_two_states(three: Path, tmp_path: Path) -> None:
    trained = [
        answer_of("learn", "--dataset", three, "--state", state, "--steps", "10", "--seed", "3", cwd=tmp_path)
        for state in ("one", "two")
    ]
    assert trained[0]["training"] == trained[1]["training"] and trained[0]["training"]["loss"] > 0
    for name in ("core.safetensors", "head.safetensors", "anchors.safetensors", "private.safetensors"):
        assert generation_file(tmp_path / "one", name) == generation_file(tmp_path / "two", name)
    labels = [json.loads(generation_file(tmp_path / state, "labels.json")) for state in ("one", "two")]
    assert labels[0].pop("lessons") != labels[1].pop("lessons"), "each lesson has an id of its own"
    assert labels[0] == labels[1]
    cores = tensor_file.decode(generation_file(tmp_path / "one", "core.safetensors"), "core")
    assert any(np.any(core) for core in cores.values()) == (trained[0]["text"] == "kept")


def test_the_order_of_tasks_leaves_the_heads_sums_bit_equal(pictures: DemoPictures, tmp_path: Path) -> None:
    heads = {}
    for state, order in (("one", THREE), ("two", THREE[::-1])):
        for label in order:
            answer_of(
                "learn",
                "--images",
                pictures.taught[label],
                "--label",
                label,
                "--state",
                state,
                "--steps",
                "3",
                cwd=tmp_path,
            )
        head = tensor_file.decode(generation_file(tmp_path / state, "head.safetensors"), "head.safetensors")
        heads[state] = head_from_tensors(head, head["sums"].shape[1], 3)
    one, two = heads["one"], heads["two"]
    assert np.array_equal(one.gram, two.gram)
    assert np.array_equal(one.sums, two.sums[:, ::-1])
    assert np.array_equal(one.counts, two.counts[::-1])
    assert one.counts.tolist() == [8, 8, 8]


def test_a_dry_run_judges_and_changes_nothing(taught: Path, pictures: DemoPictures) -> None:
    before, number = bytes_of(taught), number_of(taught)
    report = answer_of(
        "learn", "--images", pictures.others["cat"], "--label", "cat", "--state", taught, *FEW, "--dry-run"
    )
    assert (report["dry_run"], report["generation"]) == (True, number)
    assert bytes_of(taught) == before


def test_the_paper_recipe_teaches_answers_and_keeps_its_state_to_itself(pictures: DemoPictures, tmp_path: Path) -> None:
    for label in ("gravel", "lawn grass"):
        shutil.copytree(pictures.taught[label], tmp_path / "set" / label)
    state = tmp_path / "s"
    report = answer_of("learn", "--dataset", tmp_path / "set", "--state", state, "--recipe", "paper", "--steps", "2")
    assert report["generation"] == 1
    assert answer_of("status", "--state", state)["recipe"] == "paper"
    found = predictions(pictures.asked["gravel"], "--state", state)
    assert [sorted(row["label"] for row in entry["labels"]) for entry in found] == [["gravel", "lawn grass"]] * 8
    before = bytes_of(state)
    refused = run_cli("learn", "--images", pictures.others["cat"], "--label", "cat", "--state", state, *FEW)
    assert (refused.returncode, refused.stdout) == (2, "")
    said = "this state was taught with --recipe paper; go on with it, or use another --state for --recipe device"
    assert refused.stderr == f"edge-nusa: {said}\n"
    assert bytes_of(state) == before
    assert answer_of("forget", "gravel", "--state", state)["generation"] == 2
    assert [row["label"] for row in answer_of("labels", "--state", state)["labels"]] == ["lawn grass"]


@pytest.mark.parametrize(("images", "said"), [(4, "too few to say"), (5, "about 9 of 10")])
def test_what_is_expected_of_a_label_is_said_from_five_pictures_on(images: int, said: str) -> None:
    assert state_commands._expected(images, 90.0) == said
