"""A fleet in folders, in fresh processes: three devices teach, a hub merges, and after a round all of them know all
labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO, answer_of, run_cli

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State

FEW = ("--steps", "5")


class Fleet:
    """A hub and its devices in one folder."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder, self.names = folder, names
        self.merge_report: dict[str, Any] = {}
        self.hub("init", folder / "store")
        for name in names:
            self.device(name, "init", folder / "store", "--root", folder / "hub" / "root.json")
            self.hub("enroll", folder / name / "sync" / "device.pub", "--name", name)

    def hub(self, *words: str | Path) -> Any:
        return answer_of("hub", *words, "--hub", self.folder / "hub")

    def device(self, name: str, *words: str | Path) -> Any:
        return answer_of("sync", *words, "--state", self.folder / name)

    def learn(self, name: str, label: str, pictures: Path) -> Any:
        return answer_of("learn", "--images", pictures, "--label", label, "--state", self.folder / name, *FEW)

    def labels(self, name: str) -> dict[str, int]:
        return {row["label"]: row["images"] for row in answer_of("labels", "--state", self.folder / name)["labels"]}

    def round(self) -> dict[str, Any]:
        """Everyone pushes, the hub merges and publishes, everyone pulls; what the hub said of the merge."""
        for name in self.names:
            self.device(name, "push")
        merged = self.hub("merge")
        self.hub("publish")
        for name in self.names:
            self.device(name, "pull")
        return merged


@pytest.fixture(scope="module")
def fleet(pictures: DemoPictures, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Three devices after one round: one taught brick wall, two taught gravel with different pictures, one of them
    lawn too."""
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), "a", "b", "c")
    fleet.learn("a", "brick wall", pictures.taught["brick wall"])
    fleet.learn("b", "gravel", pictures.taught["gravel"])
    fleet.learn("c", "Gravel", pictures.asked["gravel"])
    fleet.learn("c", "lawn grass", pictures.taught["lawn grass"])
    fleet.merge_report = fleet.round()
    return fleet


def test_after_a_round_all_devices_know_all_labels_with_all_pictures(fleet: Fleet) -> None:
    for name in fleet.names:
        assert fleet.labels(name) == {"brick wall": 8, "gravel": 16, "lawn grass": 8} or fleet.labels(name) == {
            "brick wall": 8,
            "Gravel": 16,
            "lawn grass": 8,
        }


def test_after_a_round_all_devices_hold_the_same_bytes_but_for_what_each_keeps_to_itself(fleet: Fleet) -> None:
    def learned(name: str) -> list[bytes]:
        current = json.loads((fleet.folder / name / "CURRENT").read_text())["generation"]
        folder = fleet.folder / name / "generations" / f"{current:06d}"
        return [(folder / file).read_bytes() for file in ("core.safetensors", "labels.json", "anchors.safetensors")]

    def shared(name: str) -> tuple[list[Any], ...]:
        bundle = Bundle.open(MICRO)
        known = load(bundle, State(fleet.folder / name, bundle.manifest.identity), DEVICE)[1]
        head = known.shared.head
        assert not np.array_equal(head.gram, known.head.gram)
        return head.gram.tolist(), head.sums.tolist(), head.counts.tolist(), [head.spare], known.shared.fusion.tolist()

    assert learned("a") == learned("b") == learned("c")
    assert shared("a") == shared("b") == shared("c")


def test_a_device_answers_what_another_one_taught(fleet: Fleet, pictures: DemoPictures) -> None:
    done = run_cli("predict", pictures.asked["lawn grass"], "--state", fleet.folder / "a")
    answers = [json.loads(line)["labels"][0]["label"] for line in done.stdout.splitlines()]
    assert answers.count("lawn grass") >= 6


def test_a_second_sync_finds_nothing_new(fleet: Fleet) -> None:
    assert fleet.device("a", "push")["update"] is None
    assert fleet.device("a", "pull")["generation"] is None
    assert fleet.hub("merge")["merged"] is False
    status = fleet.device("a", "status")
    assert (status["round"], status["waiting"], status["unsent"]) == (1, [], False)


def test_a_hubs_other_commands_say_what_they_did(fleet: Fleet) -> None:
    def said(*words: str | Path) -> str:
        done = run_cli("hub", *words, "--format", "human")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    hub = ("--hub", fleet.folder / "hub")
    assert said("check", fleet.folder / "store").startswith("sound: of 8 writers at once one won, in 8 of 8 races")
    assert said("rotate", "--root-keys", fleet.folder / "hub" / "root-keys", *hub).startswith("root 2 is in the store")
    assert said("publish", *hub).startswith("published round 1,")
    assert fleet.device("b", "pull")["generation"] is None
    table = said("status", *hub)
    assert "round 1, labels: " in table and table.count("\n") == 6
    assert said("revoke", "c", *hub).startswith("revoked ")
    assert "revoked" in said("status", *hub)
    assert said("merge", *hub) == "nothing new; round 1 stays\n"
    status = run_cli("sync", "status", "--state", fleet.folder / "b", "--format", "human")
    assert ["round", "1"] in [line.split() for line in status.stdout.splitlines()]


def test_a_card_and_a_hub_that_are_put_back_lose_no_picture_and_count_none_twice(
    pictures: DemoPictures, tmp_path: Path
) -> None:
    fleet = Fleet(tmp_path, "a", "b")
    fleet.learn("b", "lawn grass", pictures.taught["lawn grass"])
    fleet.round()
    shutil.copytree(tmp_path / "hub", tmp_path / "old hub")
    fleet.learn("a", "gravel", pictures.taught["gravel"])
    shutil.copytree(tmp_path / "a", tmp_path / "old card")
    fleet.round()
    shutil.rmtree(tmp_path / "a")
    shutil.copytree(tmp_path / "old card", tmp_path / "a")
    fleet.learn("a", "gravel", pictures.asked["gravel"])
    shutil.rmtree(tmp_path / "hub")
    shutil.copytree(tmp_path / "old hub", tmp_path / "hub")
    pushed = fleet.device("a", "push")
    assert (pushed["pictures"], pushed["others"]) == (8, [1])
    assert fleet.hub("publish")["round"] == 2
    fleet.round()
    assert fleet.labels("a") == fleet.labels("b") == {"lawn grass": 8, "gravel": 16}
    standing = fleet.device("a", "status")
    assert (standing["unsent"], standing["waiting"], standing["refused_by_hub"]) == (False, [], {})
