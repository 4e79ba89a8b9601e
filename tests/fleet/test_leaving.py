"""Joining proves that the store answers; leaving puts the fleet's folder aside; a moved store is taken once it is this
fleet's; a push and a pull fail apart."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from conftest import MICRO, answer_of, bytes_of, run_cli
from fleet_world import Member, bundle, new_hub, one_round
from state_chains import exit_status, in_child
from test_fleet_faults import rows

from edge_nusa.device.fleet import leaving
from edge_nusa.device.fleet.exchange import exchange
from edge_nusa.device.fleet.joining import join
from edge_nusa.device.fleet.leaving import leave
from edge_nusa.device.fleet.moving import set_store
from edge_nusa.device.fleet.status import status
from edge_nusa.device.model import Model
from edge_nusa.errors import InputError, RefusedError, ResourceError, StoreError, TrustError
from edge_nusa.files import durable
from edge_nusa.files.lock import Lock
from edge_nusa.state.state import State
from edge_nusa.sync.hub.hub import Hub


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return new_hub(tmp_path)


def fresh(folder: Path) -> Model:
    return Model(bundle(), State(folder, bundle().manifest.identity), threads=1)


def test_a_store_that_is_not_there_holds_no_fleet_or_another_one_is_not_joined_and_makes_no_key(
    tmp_path: Path, hub: Hub
) -> None:
    (tmp_path / "empty").mkdir()
    other = tmp_path / "other"
    other.mkdir()
    new_hub(other)
    for place, error, says in (
        (tmp_path / "gone", StoreError, "the store does not answer: .*gone"),
        (
            tmp_path / "empty",
            StoreError,
            r"empty: expected the fleet's store, found no metadata/1.root.json in it",
        ),
        (other / "store", TrustError, "found another fleet's; ask who runs the hub"),
    ):
        model = fresh(tmp_path / "state")
        with pytest.raises(error, match=says):
            join(model, str(place), hub.folder / "root.json")
        assert not (tmp_path / "state" / "sync").exists()
    with pytest.raises(TrustError, match="another fleet's"):
        join(model, hub.settings.store, hub.folder / "root.json", str(other / "store"))
    (tmp_path / "mirror").mkdir()
    made = join(model, hub.settings.store, hub.folder / "root.json", str(tmp_path / "mirror"))
    assert made.fleet == hub.settings.fleet


def test_offline_joins_without_asking_and_the_command_says_one_line_where_the_store_does_not_answer(
    tmp_path: Path, hub: Hub
) -> None:
    words = ("sync", "init", tmp_path / "gone", "--root", hub.folder / "root.json", "--state", tmp_path / "s")
    done = run_cli(*words)
    assert done.returncode == 6 and done.stderr.count("\n") == 1 and "--offline" in done.stderr
    assert set(answer_of(*words, "--offline")) == {"device", "public_key", "fleet", "token"}


def test_leaving_keeps_what_was_learned_and_coming_back_is_the_same_device_that_counts_nothing_twice(
    tmp_path: Path, hub: Hub
) -> None:
    a, b = Member(tmp_path, hub, "a"), Member(tmp_path, hub, "b")
    a.teach({"mug": rows(1, 5)}, 1)
    b.teach({"plate": rows(2, 4)}, 2)
    one_round(hub, [a, b])
    a.teach({"cup": rows(3, 4)}, 3)
    a.push()
    a.teach({"tin": rows(4, 6)}, 4)
    before = bytes_of(a.part)
    left = leave(a.model, ("mug", "plate", "cup", "tin"))
    assert (left.fleet, left.device, left.unsent_pictures) == (hub.settings.fleet, a.key, 6)
    assert not a.part.exists() and not a.model.is_in_fleet
    assert bytes_of(Path(left.folder)) == before
    assert a.labels == {"mug": 5, "plate": 4, "cup": 4, "tin": 6}
    with pytest.raises(InputError, match="expected a state that belongs to a fleet"):
        a.push()
    a.teach({"jar": rows(5, 4)}, 5)
    with pytest.raises(RefusedError, match="round 1 of the fleet holds the label 'plate'"):  # it may come back
        a.model.rename("plate", "dish")
    a.model.rename("tin", "can")  # which no round holds
    a.model.rename("can", "tin")
    again = join(a.model, hub.settings.store, hub.folder / "root.json")
    assert again.device == a.key and not (tmp_path / "a" / leaving.NAME / hub.settings.fleet).exists()
    one_round(hub, [a, b])
    assert a.labels == b.labels == {"mug": 5, "plate": 4, "cup": 4, "tin": 6, "jar": 4}
    assert all(row.refused == {} for row in hub.status().devices)


def test_who_left_may_rename_what_no_round_holds_and_all_once_it_cannot_come_back(tmp_path: Path, hub: Hub) -> None:
    a = Member(tmp_path, hub, "a")
    a.teach({"mug": rows(1, 5)}, 1)
    one_round(hub, [a])
    a.teach({"tin": rows(4, 6)}, 4)
    leave(a.model, ())
    a.model.rename("tin", "can")
    with pytest.raises(RefusedError, match="holds the label 'mug'.*the state is unchanged"):
        a.model.rename("mug", "cup")
    assert a.labels == {"mug": 5, "can": 6}
    join(a.model, hub.settings.store, hub.folder / "root.json")
    one_round(hub, [a])
    assert a.labels == {"mug": 5, "can": 6}
    assert all(row.refused == {} for row in hub.status().devices)
    leave(a.model, ())
    shutil.rmtree(tmp_path / "a" / leaving.NAME)
    a.model.rename("mug", "cup")
    assert a.labels == {"cup": 5, "can": 6}


def test_a_state_with_rounds_of_a_fleet_joins_no_other_and_one_without_does(tmp_path: Path, hub: Hub) -> None:
    a, b = Member(tmp_path, hub, "a"), Member(tmp_path, hub, "b")
    a.teach({"mug": rows(1, 5)}, 1)
    one_round(hub, [a])
    (tmp_path / "second").mkdir()
    second = new_hub(tmp_path / "second")
    b.teach({"plate": rows(2, 4)}, 2)
    for member in (a, b):
        leave(member.model, ())
    with pytest.raises(InputError, match="expected a state that has taken no round of a fleet, .*another --state"):
        join(a.model, second.settings.store, second.folder / "root.json")
    a.undo()
    with pytest.raises(InputError, match="has taken no round"):  # the generation that undo left holds one
        join(a.model, second.settings.store, second.folder / "root.json")
    made = join(b.model, second.settings.store, second.folder / "root.json")
    assert made.device != b.key
    second.enrolled.add(Path(made.public_key).read_bytes(), "b", "b")
    one_round(second, [b])
    assert b.labels == {"plate": 4}


def test_leaving_waits_for_no_store_and_not_for_a_sync_that_runs(tmp_path: Path, hub: Hub) -> None:
    a = Member(tmp_path, hub, "a")
    shutil.rmtree(tmp_path / "store")
    lock = Lock(a.part / "lock")
    assert lock.acquire()
    with pytest.raises(ResourceError, match="expected no other sync of this state"):
        leave(a.model, ())
    lock.release()
    (tmp_path / "a" / leaving.NAME / hub.settings.fleet).mkdir(parents=True)
    with pytest.raises(InputError, match="expected no folder, found one; move it away, it may hold keys"):
        leave(a.model, ())
    (tmp_path / "a" / leaving.NAME / hub.settings.fleet).rmdir()
    assert leave(a.model, ()).unsent_pictures == 0


def test_killed_while_it_leaves_or_comes_back_it_is_a_member_or_has_left_and_both_go_on(
    tmp_path: Path, hub: Hub
) -> None:
    a = Member(tmp_path, hub, "a")

    def killed_at_the_sync_after_the_move() -> None:
        durable.sync_folder = lambda *folder: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        leaving._moved(a.part, tmp_path / "a" / leaving.NAME / hub.settings.fleet)

    (tmp_path / "a" / leaving.NAME).mkdir()
    assert exit_status(in_child(killed_at_the_sync_after_the_move)) == -signal.SIGKILL
    assert not a.part.exists()

    def killed_once_it_is_back() -> None:
        durable.sync_folder = lambda *folder: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        join(a.model, hub.settings.store, hub.folder / "root.json")

    assert exit_status(in_child(killed_once_it_is_back)) == -signal.SIGKILL
    assert status(a.model).device == a.key


def test_a_moved_store_is_asked_once_it_is_this_fleets_and_otherwise_nothing_changes(tmp_path: Path, hub: Hub) -> None:
    a = Member(tmp_path, hub, "a")
    a.teach({"mug": rows(1, 5)}, 1)
    (tmp_path / "second").mkdir()
    second = new_hub(tmp_path / "second")
    before = (a.part / "settings.json").read_bytes()
    for place, error in ((tmp_path / "gone", StoreError), (second.settings.store, TrustError)):
        with pytest.raises(error):
            set_store(a.model, str(place))
        assert (a.part / "settings.json").read_bytes() == before
    (tmp_path / "store").rename(tmp_path / "moved")
    moved = set_store(a.model, str(tmp_path / "moved"))
    assert (moved.store, moved.rounds, moved.before) == (str(tmp_path / "moved"), None, hub.settings.store)
    assert a.push().update == 1
    with pytest.raises(TrustError):
        set_store(a.model, str(tmp_path / "moved"), second.settings.store)
    shutil.copytree(tmp_path / "moved", tmp_path / "mirror")
    assert set_store(a.model, str(tmp_path / "moved"), str(tmp_path / "mirror")).rounds == str(tmp_path / "mirror")
    assert set_store(a.model, str(tmp_path / "moved")).rounds == str(tmp_path / "mirror")
    assert set_store(a.model, str(tmp_path / "moved"), has_mirror=False).rounds is None


def test_a_push_that_fails_does_not_stop_the_pull_and_the_other_way_round(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = Member(tmp_path, hub, "a"), Member(tmp_path, hub, "b")
    b.teach({"plate": rows(2, 4)}, 2)
    a.teach({"mug": rows(1, 5)}, 1)
    one_round(hub, [b])
    done = exchange(a.model, most_bytes=20)
    assert isinstance(done.push_error, ResourceError) and isinstance(done.pull_error, ResourceError)
    monkeypatch.setattr("edge_nusa.device.fleet.push._check_size", _refused)
    done = exchange(a.model)
    assert (done.push, done.exit_code) == (None, 3)
    assert done.pull is not None and done.pull.new == ["plate"]
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "store" / "metadata")
    done = exchange(a.model)
    assert done.push is not None and done.push.sent == [1] and done.pull is None
    assert done.exit_code == 6 and "expected a published round" in str(done.pull_error)
    a.teach({"cup": rows(3, 4)}, 3)
    shutil.rmtree(tmp_path / "store")
    done = exchange(a.model)
    assert done.to_json()["push"] is None and "store" in done.to_json()["push_error"]


def _refused(size: int, most_bytes: int | None) -> None:
    raise RefusedError("no")


def test_the_command_reports_both_on_stdout_each_error_on_stderr_and_the_pushs_code(tmp_path: Path, hub: Hub) -> None:
    a = Member(tmp_path, hub, "a")
    a.teach({"mug": rows(1, 5)}, 1)
    words = ("sync", "run", "--state", tmp_path / "a", "--bundle", MICRO)
    done = run_cli(*words)
    assert done.returncode == 6
    said = json.loads(done.stdout)
    assert said["push"]["sent"] == [1] and said["pull"] is None and said["push_error"] is None
    assert done.stderr == f"edge-nusa: pull: {said['pull_error']}\n"
    shutil.rmtree(tmp_path / "store")
    done = run_cli(*words, "--format", "human")
    assert (done.returncode, done.stdout) == (6, "push: failed\npull: failed\n")
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("edge-nusa: push and pull: ")
    assert run_cli("sync", "run", "--state", tmp_path / "none", "--bundle", MICRO).stdout == ""


def test_leaving_by_the_command_says_what_goes_what_stays_and_how_to_come_back(tmp_path: Path, hub: Hub) -> None:
    a = Member(tmp_path, hub, "a")
    a.teach({"mug": rows(1, 5)}, 1)
    own = ("--state", tmp_path / "a", "--bundle", MICRO)
    moved = answer_of("sync", "set-store", tmp_path / "store", *own)
    assert set(moved) == {"store", "rounds", "before"}
    both = run_cli("sync", "set-store", tmp_path / "store", "--rounds", "x", "--no-rounds", *own)
    assert both.returncode == 2 and "--rounds PLACE or --no-rounds, found both" in both.stderr
    said = run_cli("sync", "leave", *own, "--format", "human").stdout
    for words in ("left the fleet", "never told of 5 pictures", "stays here: mug", "sync-left", "sync init", "revoke"):
        assert words in said
    assert run_cli("sync", "leave", *own).returncode == 1


def test_a_damaged_state_may_leave_by_the_command_too(tmp_path: Path, hub: Hub) -> None:
    a = Member(tmp_path, hub, "a")
    a.teach({"mug": rows(1, 5)}, 1)
    for path in (tmp_path / "a" / "generations").rglob("*.json"):
        path.write_bytes(b"x")
    left = answer_of("sync", "leave", "--state", tmp_path / "a", "--bundle", MICRO)
    assert left["labels"] == [] and left["fleet"] == hub.settings.fleet and not a.part.exists()
