"""Where the state lies that nothing names: another bundle never meets a state that it cannot read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import MICRO, environment, run_cli
from identities import identity
from test_config import Home

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.model import Model
from edge_nusa.device.opened import default_folder, default_state
from edge_nusa.files.identity import Identity
from edge_nusa.model.bundle import embedded_bundle, manifest_of
from edge_nusa.state.reader import StateReader
from edge_nusa.state.state import State

ONE, TWO = identity("1"), identity("2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This user's data folder of ours."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("EDGE_NUSA_STATE", raising=False)
    return tmp_path / "data" / "edge-nusa"


def own(folder: Path, identity: Identity) -> Path:
    return folder / f"state-{identity.sha256[:12]}"


def taught(folder: Path, identity: Identity) -> State:
    state = State(folder, identity)
    with state.writer():
        state.commit({"labels.json": b"{}"}, "learn")
    return state


def test_the_state_that_is_there_is_the_one_of_its_bundle_and_an_empty_one_of_any(folder: Path) -> None:
    assert default_state(ONE) == default_state(TWO) == default_state(None) == folder / "state"
    taught(folder / "state", ONE)
    assert default_state(ONE) == default_state(None) == folder / "state"
    assert default_state(TWO) == own(folder, TWO)


def test_what_was_learned_with_a_bundle_is_found_again_whatever_became_of_the_first_state(folder: Path) -> None:
    taught(folder / "state", ONE)
    taught(own(folder, TWO), TWO)
    assert (default_state(ONE), default_state(TWO)) == (folder / "state", own(folder, TWO))
    shutil.rmtree(folder / "state")
    assert default_state(TWO) == own(folder, TWO)


def test_a_state_whose_lessons_were_undone_stays_that_of_its_bundle(folder: Path) -> None:
    state = taught(folder / "state", ONE)
    with state.writer():
        state.undo()
    assert StateReader(folder / "state", None).current() is None
    assert (default_state(ONE), default_state(TWO)) == (folder / "state", own(folder, TWO))


def test_a_state_that_cannot_say_whose_it_is_stays_where_it_is(folder: Path) -> None:
    taught(folder / "state", ONE)
    [manifest] = (folder / "state" / "generations").glob("*/manifest.json")
    manifest.write_bytes(b"damaged")
    assert default_state(TWO) == folder / "state"
    (folder / "state" / "CURRENT").write_bytes(b"damaged")
    assert default_state(TWO) == folder / "state"


def test_a_damaged_pointer_hides_nothing(folder: Path) -> None:
    taught(folder / "state", ONE)
    (folder / "state" / "CURRENT").write_bytes(b"damaged")
    assert default_state(TWO) == own(folder, TWO)


def test_the_bundle_of_the_settings_has_the_state_that_goes_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGE_NUSA_BUNDLE", raising=False)
    assert default_folder("bundle") == embedded_bundle()
    taught(folder / "state", manifest_of(MICRO).identity)
    assert default_folder("state") == own(folder, manifest_of(embedded_bundle()).identity)
    monkeypatch.setenv("EDGE_NUSA_BUNDLE", str(MICRO))
    assert default_folder("state") == folder / "state"
    model = Model.open()
    assert model.places == {"bundle_path": str(MICRO), "state_path": str(folder / "state")}
    monkeypatch.setenv("EDGE_NUSA_BUNDLE", str(folder / "none"))
    assert default_folder("state") == folder / "state"


def test_another_bundle_is_asked_and_taught_beside_the_first_and_a_named_state_stays_bound(
    taught: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    data = home.folder / ".local/share/edge-nusa"
    data.mkdir(parents=True)
    shutil.copytree(taught, data / "state")
    home.write(f'bundle = "{MICRO}"')
    assert home.answer("labels")["state_path"] == str(data / "state")
    lite = own(data, manifest_of(embedded_bundle()).identity)
    found = home.answer("labels", "--bundle", embedded_bundle())
    assert (found["state_path"], found["generation"], found["labels"]) == (str(lite), 0, [])
    findings = home.answer("doctor", "--bundle", embedded_bundle())["findings"]
    assert "empty" in str(findings)
    done = run_cli("labels", "--bundle", embedded_bundle(), "--state", taught, env=environment())
    assert done.returncode == 4 and "this state belongs to another bundle" in done.stderr


def test_learn_labels_and_status_say_where_bundle_and_state_are(taught: Path, pictures: DemoPictures) -> None:
    places = f"bundle {MICRO}, state {taught}"
    learn = ["learn", "--head-only", "--again", "--images", pictures.taught["gravel"], "--label", "gravel"]
    for words in (["labels"], learn):
        done = run_cli(*words, "--state", taught, "--format", "human")
        assert done.stdout.splitlines()[-1] == places, done.stderr
        found = json.loads(run_cli(*words, "--state", taught).stdout)
        assert (found["bundle_path"], found["state_path"]) == (str(MICRO), str(taught))
    status = run_cli("status", "--state", taught, "--format", "human").stdout
    assert f"bundle_path  {MICRO}\n" in status and f"state_path   {taught}\n" in status
