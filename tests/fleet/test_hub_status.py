"""`hub status`: where each device stands by its reports, whatever devices and stores make of them."""

from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import run_cli
from fleet_world import Member, bundle, new_hub
from test_board_reports import NOW, sound
from test_fleet_faults import rows

from edge_nusa import __version__
from edge_nusa.device.fleet import reporting
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.errors import DamagedError, StoreError
from edge_nusa.sync import board_report
from edge_nusa.sync.board_report import EPOCH, BoardReport, BundleName, RefusedRound
from edge_nusa.sync.hub import board_reports, look, metrics
from edge_nusa.sync.hub.board_reports import MOST_LOOKED_AT, Reader, Seen, seen_at
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.report import DeviceStatus, HubStatus, last_seen


@pytest.mark.parametrize(
    ("said", "looked", "now", "seen"),
    [
        (150, 100, 200, 150),
        (100, 100, 200, 100),
        (0, 100, 200, 100),
        (201, 100, 200, 200),
        (4_000_000_000, 0, 200, 200),
        (0, 0, 200, 0),
        (50, 300, 200, 200),
    ],
)
def test_a_device_was_seen_when_it_says_but_after_the_look_before_and_not_after_this_one(
    said: int, looked: int, now: int, seen: int
) -> None:
    assert seen_at(said, looked, now) == seen


@pytest.mark.parametrize(
    ("merged", "reported", "seen"),
    [
        (None, None, None),
        ("", None, None),
        ("2026-11-27T00:00:00Z", None, "2026-11-27T00:00:00Z"),
        (None, EPOCH, "2026-01-01T00:00:00Z"),
        ("2026-11-27T00:00:00Z", EPOCH, "2026-11-27T00:00:00Z"),
        ("2025-11-27T00:00:00Z", EPOCH, "2026-01-01T00:00:00Z"),
    ],
)
def test_last_seen_is_the_later_of_update_and_report(merged: str | None, reported: int | None, seen: str) -> None:
    assert last_seen(merged, reported) == seen


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[Hub, Member, Member]:
    """A hub that has published what one of two devices taught; that one has pulled, the other not."""
    hub = new_hub(tmp_path)
    one, two = Member(tmp_path, hub, "one"), Member(tmp_path, hub, "two")
    one.teach({"cup": rows(1, 4)}, 1)
    one.push()
    hub.merge(MergeSettings())
    hub.publish()
    one.pull()
    return hub, one, two


def put(hub: Hub, member: Member, **changes: Any) -> str:
    """Puts a report of a device that says what it likes; its place."""
    made = replace(sound(), fleet=hub.settings.fleet, device=member.key, **changes)
    fleet = Fleet(member.model)
    key, envelope = board_report.enveloped(made, fleet.signer, fleet.terms.sealing)
    assert hub.store.put_new(key, envelope)
    return key


def plant(hub: Hub, member: Member, number: int, data: bytes = b"{}") -> None:
    assert hub.store.put_new(f"reports/{member.key}/{number:08d}-{'0' * 16}.json", data)


def rows_of(hub: Hub, found: look.Look | None = None) -> dict[str, DeviceStatus]:
    return {row.name: row for row in look.shown(hub.status(), found or look.look(hub), None).devices}


def test_a_status_says_of_each_device_what_it_reported_and_of_one_that_did_not_that_it_was_never_seen(
    fleet: tuple[Hub, Member, Member],
) -> None:
    hub, _, _ = fleet
    found = rows_of(hub)
    said = found["one"].report
    assert said is not None and (said.version, said.round, found["one"].holds) == (__version__, 1, 1)
    assert (
        abs(time.time() - time.mktime(time.strptime(str(found["one"].last_seen), "%Y-%m-%dT%H:%M:%SZ")) + time.timezone)
        < 600
    )
    assert (found["two"].report, found["two"].last_seen, found["two"].holds) == (None, None, 0)
    content = look.shown(hub.status(), look.look(hub), None).to_json()
    one = next(row for row in content["devices"] if row["name"] == "one")
    assert list(one["report"]) == ["number", "time", "round", "version", "bundle", "free_bytes", "refused"]


def test_what_was_read_is_not_fetched_again(fleet: tuple[Hub, Member, Member], monkeypatch: pytest.MonkeyPatch) -> None:
    hub, _, _ = fleet
    first = look.look(hub)
    fetched: list[str] = []
    real = hub.store.get

    def get(key: str, most_bytes: int) -> bytes:
        fetched.append(key)
        return real(key, most_bytes)

    monkeypatch.setattr(hub.store, "get", get)
    second = look.look(hub)
    assert [one.report for one in second.seen.values()] == [one.report for one in first.seen.values()]
    assert not [key for key in fetched if key.startswith("reports/")]
    assert second.has_answered and second.note == ""


def test_an_older_report_that_is_put_back_is_passed_over_by_its_number_also_where_the_newer_is_gone(
    fleet: tuple[Hub, Member, Member], tmp_path: Path
) -> None:
    hub, _, two = fleet
    put(hub, two, number=7, round=1)
    assert rows_of(hub)["two"].holds == 1
    shutil.rmtree(tmp_path / "store" / "reports" / two.key)
    put(hub, two, number=6, round=0, version="0.0.1")
    found = rows_of(hub)["two"]
    assert found.report is not None and (found.report.number, found.report.round) == (7, 1)
    assert found.note == ""


def test_what_others_plant_and_what_is_broken_is_passed_over_and_said_and_the_newest_sound_one_is_shown(
    fleet: tuple[Hub, Member, Member],
) -> None:
    hub, one, two = fleet
    put(hub, two, number=5)
    for number in range(90, 93):
        plant(hub, two, number)
    plant(hub, two, 95, b"x" * (1 << 15))
    stolen = hub.store.get(hub.store.list(f"reports/{one.key}")[0], 1 << 15)
    plant(hub, two, 99, stolen)
    found = rows_of(hub)
    assert found["two"].report is not None and found["two"].report.number == 5
    assert found["two"].note.startswith(f"5 newer reports passed over, the newest since: reports/{two.key}/00000099-")
    assert found["one"].note == ""


def test_many_planted_reports_hide_a_sound_one_but_cost_no_more_than_so_many_requests(
    fleet: tuple[Hub, Member, Member],
) -> None:
    hub, _, two = fleet
    put(hub, two, number=5)
    for number in range(100, 100 + MOST_LOOKED_AT):
        plant(hub, two, number)
    found = rows_of(hub)["two"]
    assert (found.report, found.last_seen) == (None, None)
    assert found.note.startswith("16 newer reports passed over")


@pytest.mark.parametrize("clock", [0, 4_000_000_000, board_report.MOST_TIME])
def test_a_device_that_lies_about_its_time_was_not_seen_later_than_now_nor_before_the_look_before(
    fleet: tuple[Hub, Member, Member], clock: int
) -> None:
    hub, _, two = fleet
    look.look(hub)
    looked = board_reports.read(hub.folder)[two.key].looked
    put(hub, two, number=9, time=clock, free_bytes=2**53, refused=(RefusedRound(round=1, reason="no"),))
    seen = look.look(hub).seen[two.key].seen
    assert seen is not None and looked <= seen <= time.time()


def test_a_damaged_memory_of_reports_is_read_anew_from_the_store(fleet: tuple[Hub, Member, Member]) -> None:
    hub, one, _ = fleet
    look.look(hub)
    path = hub.folder / board_reports.NAME
    for data in (b"", b"{}", path.read_bytes()[:-9]):
        path.write_bytes(data)
        assert rows_of(hub)["one"].holds == 1
        assert board_reports.read(hub.folder)[one.key].report is not None


def test_reports_are_kept_as_they_were_read(tmp_path: Path) -> None:
    found = {"d" * 64: Seen(looked=NOW, seen=NOW - 5, report=sound()), "e" * 64: Seen(looked=NOW)}
    board_reports.keep(tmp_path, found)
    assert board_reports.read(tmp_path) == found
    with pytest.raises(DamagedError, match="expected format 1, found 2"):
        board_reports.decode(b'{"devices":{},"format_version":2}', "here")


class Hanging:
    """A store that does not come back before it is let go."""

    def __init__(self, store: Any) -> None:
        self._store, self.go = store, threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, prefix: str) -> list[str]:
        if prefix.startswith("reports/"):
            self.go.wait(60)
        return list(self._store.list(prefix))


def test_a_store_that_hangs_or_is_away_is_said_and_what_was_known_is_shown(
    fleet: tuple[Hub, Member, Member], tmp_path: Path
) -> None:
    hub, _, _ = fleet
    look.look(hub)
    real, hub.store = hub.store, Hanging(hub.store)
    began = time.monotonic()
    try:
        found = look.look(hub, 0.5)
    finally:
        hub.store.go.set()
    assert time.monotonic() - began < 20
    assert "of 2 of 2 devices is shown what was known before: it was asked for 0 s" in found.note
    assert not found.has_answered and rows_of(hub, found)["one"].holds == 1
    hub.store = real
    shutil.move(tmp_path / "store", tmp_path / "away")
    found = look.look(hub)
    assert (
        found.note.startswith("the store has not said all: ") and "expected the folder of a fleet's store" in found.note
    )
    assert rows_of(hub, found)["one"].holds == 1
    assert look.remembered(hub).note == "the store was not asked"


def test_devices_that_were_not_asked_the_longest_are_asked_first(
    fleet: tuple[Hub, Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, one, two = fleet
    board_reports.keep(hub.folder, {one.key: Seen(looked=20), two.key: Seen(looked=10)})
    asked: list[str] = []

    def listed(self: Reader, device: Any, before: Seen | None) -> Seen:
        asked.append(device.keyid)
        raise StoreError("gone")

    monkeypatch.setattr(Reader, "look", listed)
    assert look.look(hub).note.endswith("of 2 of 2 devices is shown what was known before: gone")
    assert asked == [two.key]


def test_the_command_shows_people_and_programs_the_same_and_writes_numbers(
    fleet: tuple[Hub, Member, Member], tmp_path: Path
) -> None:
    hub, _, two = fleet
    put(hub, two, number=5, time=NOW, free_bytes=3 << 30, refused=(RefusedRound(round=1, reason="it forgets cups"),))
    words = ("hub", "status", "--hub", hub.folder, "--bundle", bundle().folder)
    done = run_cli(*words, "--format", "human", "--metrics", tmp_path / "hub.prom")
    assert done.returncode == 0, done.stderr
    assert "two: refused round 1: it forgets cups" in done.stdout and "3.0 GiB" in done.stdout
    assert "round 1 is published; devices believe the last publication until 20" in done.stdout
    numbers = (tmp_path / "hub.prom").read_text()
    assert 'edge_nusa_hub_device_free_bytes{device="two"} 3.221225472e+09' in numbers
    assert "edge_nusa_hub_store_up 1.0" in numbers and "edge_nusa_hub_devices 2.0" in numbers
    shutil.move(tmp_path / "store", tmp_path / "away")
    said = run_cli(*words, "--offline")
    content = json.loads(said.stdout)
    assert content["store_note"] == "the store was not asked" and content["has_answered"] is False
    assert {row["name"]: row["report"]["free_bytes"] > 0 for row in content["devices"]} == {"one": True, "two": True}
    assert content["expires"] and content["published_round"] is None


def status_of(*devices: DeviceStatus) -> HubStatus:
    return HubStatus(
        fleet="f", store="/store", round=3, labels=["cat"], devices=list(devices), expires="2026-12-01T00:00:00Z"
    )


def device(name: str, report: BoardReport | None, **others: Any) -> DeviceStatus:
    fields: dict[str, Any] = {"revoked": False, "updates": 2, "round": 1, "seen": None, "refused": {"1": "x"}}
    return DeviceStatus(device="ab" * 32, name=name, refused_rounds=[], report=report, **{**fields, **others})


def test_metrics_hold_devices_by_the_users_names_versions_and_no_other_word_of_a_device(tmp_path: Path) -> None:
    said = replace(
        sound(),
        bundle=BundleName(model="evil model", precision="evil", sha256="evil"),
        refused=(RefusedRound(round=2, reason="evil reason"),),
    )
    rows_there = [
        device('the "kitchen"', said, last_seen="2026-11-27T00:00:00Z"),
        device("", None, note="evil note"),
        device("gone", said, revoked=True),
    ]
    metrics.write(tmp_path / "a.prom", status_of(*rows_there))
    text = (tmp_path / "a.prom").read_text()
    assert "evil" not in text and "gone" not in text
    assert 'edge_nusa_hub_device_last_seen_timestamp_seconds{device="the \\"kitchen\\""} 1.7957376e+09' in text
    assert 'edge_nusa_hub_device_info{device="the \\"kitchen\\"",version="0.1.0"} 1.0' in text
    assert 'edge_nusa_hub_device_round{device="the \\"kitchen\\""} 3.0' in text
    assert 'edge_nusa_hub_device_refused_updates{device="abababababababab"} 1.0' in text
    assert 'edge_nusa_hub_device_reports_passed_over{device="abababababababab"} 1.0' in text
    assert "edge_nusa_hub_publication_expires_timestamp_seconds 1.7960832e+09" in text
    assert "edge_nusa_hub_store_up 0.0" in text and "published_round" not in text and "last_run" not in text
    assert "edge_nusa_hub_devices 2.0" in text and "edge_nusa_hub_devices_revoked 1.0" in text


def test_metrics_are_of_so_many_devices_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_DEVICES", 3)
    metrics.write(tmp_path / "a.prom", status_of(*(device(f"board {i}", None) for i in range(5))), 6)
    text = (tmp_path / "a.prom").read_text()
    assert text.count("edge_nusa_hub_device_updates{") == 3
    assert "edge_nusa_hub_last_run_exit_code 6.0" in text and "edge_nusa_hub_last_run_timestamp_seconds" in text


def test_a_report_of_each_pull_of_a_real_device_opens_at_its_hub_after_its_keys_were_rotated(
    fleet: tuple[Hub, Member, Member], tmp_path: Path
) -> None:
    from edge_nusa.sync.hub import folder as hub_folder

    hub, one, _ = fleet
    hub_folder.rotate(hub.folder, tmp_path / "root-keys", None)
    new = Hub(hub.folder, bundle())
    new.publish()
    (one.part / reporting.NAME).unlink()
    assert one.pull().report is not None
    assert rows_of(new)["one"].holds == 1
