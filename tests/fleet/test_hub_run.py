"""`hub run`: when a publication is due, that what stops a merge does not stop it, and the exit codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import run_cli
from fleet_world import Member, bundle, new_hub
from test_fleet_faults import rows

from edge_nusa.errors import ResourceError
from edge_nusa.sync.hub import running, self_enrolling
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.running import RENEW_SHARE, Newest, Ran, why_due
from edge_nusa.sync.hub.tokens import Terms
from edge_nusa.sync.trust.own_rounds import OwnPublication, published
from edge_nusa.sync.trust.sealed_rounds import Announced

NOW = datetime(2026, 11, 27, tzinfo=UTC)
HERE = Newest(number=4, sha256="a" * 64, records="b" * 64, days=30)
THERE = OwnPublication(
    Announced(
        number=4,
        sha256="a" * 64,
        size=100,
        content="c" * 64,
        keys="d" * 64,
        names="e" * 64,
        recipients=3,
        records="b" * 64,
    ),
    NOW + timedelta(days=30),
)


@pytest.mark.parametrize(
    ("here", "there", "reason"),
    [
        (None, None, ""),
        (None, THERE, ""),
        (HERE, None, "the store has no publication of this hub"),
        (HERE, THERE, ""),
        (replace(HERE, sha256="f" * 64, number=5), THERE, "round 5 is new"),
        (replace(HERE, records="f" * 64), THERE, "the devices or tokens are others than at the last publication"),
        (HERE, replace(THERE, expires=NOW + timedelta(days=10, seconds=1)), ""),
        (HERE, replace(THERE, expires=NOW + timedelta(days=10)), "the last publication is believed until 2026-12-07"),
        (HERE, replace(THERE, expires=NOW - timedelta(days=10)), "the last publication is believed until 2026-11-17"),
        (replace(HERE, days=29), replace(THERE, expires=NOW + timedelta(days=10)), ""),
    ],
)
def test_a_publication_is_due_where_something_is_new_or_a_third_of_its_days_is_left(
    here: Newest | None, there: OwnPublication | None, reason: str
) -> None:
    found = why_due(here, there, NOW)
    assert found.startswith(reason) and bool(found) is bool(reason)
    assert RENEW_SHARE == 1 / 3


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[Hub, Member]:
    hub = new_hub(tmp_path)
    one = Member(tmp_path, hub, "one")
    one.teach({"cup": rows(1, 4)}, 1)
    one.push()
    return hub, one


def run(hub: Hub, mirror: Path | None = None) -> Ran:
    return running.run(hub, MergeSettings(), str(mirror) if mirror else None)


def test_a_run_merges_and_publishes_what_is_new_and_the_next_one_does_nothing(
    fleet: tuple[Hub, Member], tmp_path: Path
) -> None:
    hub, one = fleet
    first = run(hub)
    assert first.merge is not None and first.merge.is_merged and first.publish is not None
    assert (first.publish.round, first.exit_code, first.mirrored) == (1, 0, None)
    assert first.reason == "the store has no publication of this hub"
    assert one.pull().round == 1
    before = {path: path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()}
    second = run(hub)
    assert (second.publish, second.reason, second.exit_code) == (None, "", 0)
    assert second.merge is not None and not second.merge.is_merged
    assert {path: path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()} == before
    one.teach({"plate": rows(2, 4)}, 2)
    one.push()
    assert run(hub).reason == "round 2 is new"


def test_a_device_that_is_enrolled_or_revoked_or_a_token_makes_a_publication_due(
    fleet: tuple[Hub, Member], tmp_path: Path
) -> None:
    hub, _ = fleet
    run(hub)
    two = Member(tmp_path, hub, "two")
    done = run(hub)
    assert done.reason == "the devices or tokens are others than at the last publication"
    assert two.pull().round == 1
    assert run(hub).reason == ""
    hub.revoke("two")
    assert run(hub).publish is not None
    self_enrolling.make(hub, Terms.of(7, 2, "", datetime.now(UTC)))
    assert run(hub).reason == "the devices or tokens are others than at the last publication"
    assert run(hub).reason == ""


def test_a_publication_is_renewed_before_it_expires(fleet: tuple[Hub, Member]) -> None:
    hub, _ = fleet
    run(hub)
    hub.settings = replace(hub.settings, expiry=replace(hub.settings.expiry, timestamp_days=90))
    done = run(hub)
    assert done.reason.startswith("the last publication is believed until") and done.publish is not None
    assert run(hub).publish is None


def test_what_stops_a_merge_does_not_stop_a_publication_that_is_due(
    fleet: tuple[Hub, Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, _ = fleet
    run(hub)
    two = Member(tmp_path, hub, "two")

    def full(*_: object) -> None:
        raise ResourceError("no room to merge")

    monkeypatch.setattr(hub, "merge", full)
    done = run(hub)
    assert done.publish is not None and two.pull().round == 1
    assert (done.exit_code, str(done.merge_error), done.publish_error) == (5, "no room to merge", None)
    assert done.to_json()["merge_error"] == "no room to merge" and done.to_json()["publish_error"] is None


def test_a_mirror_that_missed_a_publication_is_brought_up_to_date_by_the_next_run(
    fleet: tuple[Hub, Member], tmp_path: Path
) -> None:
    hub, _ = fleet
    (tmp_path / "mirror").write_text("in the way")
    failed = run(hub, tmp_path / "mirror")
    assert failed.publish is not None and failed.mirrored is None and failed.exit_code == 6
    (tmp_path / "mirror").unlink()
    done = run(hub, tmp_path / "mirror")
    assert done.publish is None and done.mirrored and done.exit_code == 0
    assert {path.name for path in (tmp_path / "mirror" / "rounds").iterdir()} == {
        path.name for path in (tmp_path / "store" / "rounds").iterdir()
    }
    assert run(hub, tmp_path / "mirror").mirrored == 0


def test_a_store_that_is_away_is_told_once_with_exit_code_6_and_healed_by_the_next_run(
    fleet: tuple[Hub, Member], tmp_path: Path
) -> None:
    hub, _ = fleet
    shutil.move(tmp_path / "store", tmp_path / "away")
    words = ("hub", "run", "--hub", hub.folder, "--bundle", bundle().folder)
    failed = run_cli(*words)
    assert failed.returncode == 6 and failed.stderr.count("\n") == 1
    assert failed.stderr.startswith("edge-nusa: merge and publish: ")
    both = run_cli(*words, "--metrics", tmp_path / "missing" / "hub.prom")
    assert both.returncode == 6 and both.stderr.startswith(failed.stderr + "edge-nusa: metrics: ")
    assert both.stderr.count("\n") == 2 and str(tmp_path / "missing") in both.stderr
    said = json.loads(failed.stdout)
    assert said["merge"] is None and said["merge_error"] == said["publish_error"]
    shutil.move(tmp_path / "away", tmp_path / "store")
    done = run_cli(*words, "--metrics", tmp_path / "hub.prom", "--format", "human")
    assert done.returncode == 0 and "published round 1, " in done.stdout
    assert "edge_nusa_hub_last_run_exit_code 0.0" in (tmp_path / "hub.prom").read_text()
    again = run_cli(*words, "--format", "human")
    assert (again.returncode, again.stdout) == (0, "nothing new; round 1 stays\nno publication is due\n")


def test_a_metrics_file_of_another_ending_is_refused_before_anything_is_done(
    fleet: tuple[Hub, Member], tmp_path: Path
) -> None:
    hub, _ = fleet
    done = run_cli("hub", "run", "--hub", hub.folder, "--bundle", bundle().folder, "--metrics", tmp_path / "hub.txt")
    assert done.returncode == 2 and "expected a name that ends with .prom" in done.stderr
    assert published(hub.repository()) is None


@pytest.mark.parametrize("stop", ["merge", "publish"])
def test_a_run_that_was_cut_is_completed_by_the_next_one(
    fleet: tuple[Hub, Member], monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    hub, one = fleet
    real: Callable[..., object] = getattr(hub, stop)

    def cut(*words: object) -> None:
        real(*words)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(hub, stop, cut)
        with pytest.raises(KeyboardInterrupt):
            run(hub)
    done = run(hub)
    assert (done.publish is None) is (stop == "publish") and done.exit_code == 0
    assert one.pull().round == 1 and one.labels == {"cup": 4}
