"""Reports that devices put into the store for their hub: when one is due, what it costs, and that nothing which is put
there harms a pull or a hub."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet_world import Member, bundle, new_hub
from state_chains import exit_status, in_child
from test_fleet_faults import every_change, rows

from edge_nusa import __version__
from edge_nusa.device.fleet import reporting, round_judge
from edge_nusa.device.fleet import settings as fleet_settings
from edge_nusa.device.fleet.joining import Wishes, join
from edge_nusa.device.fleet.leaving import leave
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.pull import pull
from edge_nusa.device.fleet.reporting import EVERY_SECONDS, Last, is_due
from edge_nusa.errors import DamagedError, RefusedError, TrustError
from edge_nusa.sync import board_report
from edge_nusa.sync.board_report import EPOCH, FURTHEST, MOST_NUMBER, BoardReport, BundleName, RefusedRound, next_number
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings

NOW = EPOCH + 60 * 500_000
"""In December 2026."""


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[Hub, Member]:
    """A hub that has published what one device taught."""
    hub = new_hub(tmp_path)
    one = Member(tmp_path, hub, "one")
    one.teach({"cup": rows(1, 4)}, 1)
    one.push()
    hub.merge(MergeSettings())
    hub.publish()
    return hub, one


def envelopes(hub: Hub, member: Member) -> list[str]:
    return hub.store.list(f"reports/{member.key}")


def opened(hub: Hub, member: Member, key: str) -> BoardReport:
    [device] = [one for one in hub.enrolled.all() if one.key.keyid == member.key]
    data = hub.store.get(key, board_report.LARGEST_ENVELOPE_BYTES)
    return board_report.opened(data, device.key, hub.settings.fleet, hub.keys, key)


@pytest.mark.parametrize(
    ("last", "content", "now", "due"),
    [
        (None, "a", NOW, True),
        (Last(1, NOW, "a"), "a", NOW + EVERY_SECONDS - 1, False),
        (Last(1, NOW, "a"), "a", NOW + EVERY_SECONDS, True),
        (Last(1, NOW, "a"), "b", NOW, True),
        (Last(1, NOW, "a"), "a", NOW - EVERY_SECONDS + 1, False),
        (Last(1, NOW, "a"), "a", 0, True),
    ],
)
def test_a_report_is_due_once_a_day_or_when_something_changed(
    last: Last | None, content: str, now: int, due: bool
) -> None:
    assert is_due(last, content, now) is due


def test_a_day_is_an_hour_short_so_that_a_daily_timer_reports_daily() -> None:
    assert EVERY_SECONDS == 23 * 3600


@pytest.mark.parametrize(
    ("last", "seconds", "number"),
    [
        (0, NOW, 500_000),
        (0, NOW + 59, 500_000),
        (7, NOW, 500_000),
        (500_000, NOW, 500_001),
        (600_000, NOW, 600_001),
        (0, 0, 1),
        (41, 0, 42),
        (41, EPOCH + 60 * FURTHEST, FURTHEST),
        (41, EPOCH + 60 * (FURTHEST + 1), 42),
        (MOST_NUMBER - 1, NOW, MOST_NUMBER),
        (MOST_NUMBER, NOW, None),
    ],
)
def test_numbers_only_grow_and_are_the_clocks_minutes_where_that_is_more(
    last: int, seconds: float, number: int | None
) -> None:
    assert next_number(last, seconds) == number


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("reports/ab/00000012-ffff.json", 12),
        ("reports/ab/0000012-ffff.json", 0),
        ("reports/ab/0000001a-ffff.json", 0),
        ("reports/ab/00000012-ffff.numbers", 0),
        ("reports/ab/notes", 0),
    ],
)
def test_a_number_is_read_of_a_reports_name_alone(key: str, number: int) -> None:
    assert board_report.number_of(key) == number


def test_a_pull_tells_the_hub_round_version_bundle_and_space_and_one_after_it_says_nothing_more(
    fleet: tuple[Hub, Member],
) -> None:
    hub, one = fleet
    first = one.pull()
    [key] = envelopes(hub, one)
    found = opened(hub, one, key)
    identity = bundle().manifest.identity
    assert (found.number, found.round, found.version) == (first.report, 1, __version__)
    assert found.bundle == BundleName(model=identity.model, precision=identity.precision, sha256=identity.sha256[:12])
    assert found.free_bytes > 0 and found.refused == ()
    size = hub.store.head(key)
    assert size is not None and size < 3000
    assert (one.pull().report, len(envelopes(hub, one))) == (None, 1)


def test_a_pull_that_changed_nothing_reports_again_a_day_later_and_under_a_later_number(
    fleet: tuple[Hub, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, one = fleet
    first = one.pull().report
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + EVERY_SECONDS)
    second = one.pull().report
    assert first is not None and second is not None and second == first + EVERY_SECONDS // 60
    assert len(envelopes(hub, one)) == 2


def test_a_refused_round_is_told_with_its_reason(fleet: tuple[Hub, Member], monkeypatch: pytest.MonkeyPatch) -> None:
    hub, one = fleet

    def refuse(*_: object) -> None:
        raise RefusedError("it forgets\ntoo much")

    with monkeypatch.context() as patched:
        patched.setattr(round_judge, "check", refuse)
        for _ in range(2):
            with pytest.raises(RefusedError):
                one.pull()
    [key] = envelopes(hub, one)
    assert opened(hub, one, key).round == 0
    assert opened(hub, one, key).refused == (RefusedRound(round=1, reason="it forgets\\ntoo much"),)
    one.teach({"plate": rows(2, 4)}, 2)
    one.push()
    hub.merge(MergeSettings())
    hub.publish()
    assert one.pull().round == 2
    later = opened(hub, one, max(envelopes(hub, one)))
    assert (later.round, later.refused) == (2, ()), "it is settled by the later round"


def test_a_store_that_takes_no_report_stops_no_pull_and_the_next_pull_tries_again(
    fleet: tuple[Hub, Member], tmp_path: Path
) -> None:
    hub, one = fleet
    (tmp_path / "store" / "reports").write_text("no folder")
    done = one.pull()
    assert done.generation is not None and done.report is None
    assert "reports" in str(done.report_error) and "expected the store to do it" in str(done.report_error)
    (tmp_path / "store" / "reports").unlink()
    assert one.pull().report is not None
    assert len(envelopes(hub, one)) == 1


def test_a_report_that_is_larger_than_allowed_stays_here(fleet: tuple[Hub, Member]) -> None:
    hub, one = fleet
    one.pull()
    (one.part / reporting.NAME).unlink()
    done = pull(one.model, most_bytes=1000)
    assert done.report is None and "expected at most 1000 bytes (--max-bytes), found" in str(done.report_error)


def test_a_device_that_joined_without_reports_puts_none_and_one_that_joins_again_may(
    fleet: tuple[Hub, Member],
) -> None:
    hub, one = fleet
    leave(one.model, ())
    join(one.model, hub.settings.store, hub.folder / "root.json", wishes=Wishes(has_reports=False))
    assert one.pull().report is None and envelopes(hub, one) == []
    assert json.loads((one.part / "settings.json").read_bytes())["reports"] is False
    leave(one.model, ())
    join(one.model, hub.settings.store, hub.folder / "root.json")
    assert one.pull().report is not None
    assert "reports" not in json.loads((one.part / "settings.json").read_bytes())


def test_settings_keep_whether_reports_are_wanted() -> None:
    made = fleet_settings.Settings("f", "d", "s", "/store", None, False)
    assert fleet_settings.decode(made.encoded(), "here") == made
    assert fleet_settings.decode(replace(made, has_reports=True).encoded(), "here").has_reports is True


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "damaged"])
def test_a_state_that_has_lost_its_last_number_goes_on_with_a_later_one(
    fleet: tuple[Hub, Member], monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    hub, one = fleet
    first = one.pull().report
    path = one.part / reporting.NAME
    path.unlink() if lost else path.write_bytes(b"{}")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 120)
    second = one.pull().report
    assert first is not None and second == first + 2


def test_a_report_opens_only_as_what_it_was_signed_for(fleet: tuple[Hub, Member], tmp_path: Path) -> None:
    hub, one = fleet
    other = Member(tmp_path, hub, "other")
    one.pull()
    [key] = envelopes(hub, one)
    data = hub.store.get(key, 1 << 14)
    devices = {device.key.keyid: device.key for device in hub.enrolled.all()}
    with pytest.raises(TrustError, match="expected one signature by a key that is enrolled, found 1 by"):
        board_report.opened(data, devices[other.key], hub.settings.fleet, hub.keys, key)
    later = f"reports/{one.key}/99999999-{key.rsplit('-', 1)[1]}"
    with pytest.raises(TrustError, match="99999999-.*expected bytes sealed to this key for this use, found others"):
        board_report.opened(data, devices[one.key], hub.settings.fleet, hub.keys, later)
    with pytest.raises(TrustError, match="expected bytes sealed to this key for this use, found others"):
        board_report.opened(data, devices[one.key], "e" * 32, hub.keys, key)


def sound() -> BoardReport:
    return BoardReport(
        fleet="f" * 32,
        device="d" * 64,
        number=12,
        time=NOW,
        round=3,
        version="0.1.0",
        bundle=BundleName(model="micro", precision="fp32", sha256="a" * 12),
        free_bytes=1 << 30,
        refused=(RefusedRound(round=2, reason="it forgets too much"),),
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("number", 0, "number: expected a whole number from 1 to 99999999, found 0"),
        ("version", "0.1 evil", "version: expected a version such as 0.1.0, found '0.1 evil'"),
        ("version", "", "version: expected a version"),
        ("version", "1" * 41, "version: expected a text of at most 40 characters"),
        ("free_bytes", -1, "free_bytes: expected a whole number"),
        ("refused", [{"round": 1, "reason": "a\x1b[2J"}], "reason: expected a printable text"),
        ("refused", [{"round": 1, "reason": "a"}] * 6, "refused: expected a list of at most 5 entries"),
        ("refused", [{"round": 1, "reason": "a" * 201}], "reason: expected a text of at most 200 characters"),
        ("time", 253_402_300_800, "time: expected a whole number from 0 to 253402300799"),
    ],
)
def test_what_no_device_of_ours_would_say_is_refused(name: str, value: object, said: str) -> None:
    fields: dict[str, Any] = {**json.loads(sound().to_bytes()), name: value}
    with pytest.raises(DamagedError, match="passed over") as raised:
        board_report.decode(json.dumps(fields).encode(), "here")
    assert said in str(raised.value)


def test_the_largest_report_that_a_device_makes_is_read_by_its_hub(fleet: tuple[Hub, Member]) -> None:
    hub, one = fleet
    largest = replace(
        sound(),
        fleet=hub.settings.fleet,
        device=one.key,
        number=MOST_NUMBER,
        version="1" * 40,
        bundle=BundleName(model="\U0001f600" * 100, precision="\U0001f600" * 100, sha256="a" * 12),
        refused=tuple(RefusedRound(round=2**53, reason="\U0001f600" * 200) for _ in range(5)),
    )
    key, envelope = board_report.enveloped(largest, Fleet(one.model).signer, hub.keys[0].public)
    assert len(envelope) < board_report.LARGEST_ENVELOPE_BYTES
    assert hub.store.put_new(key, envelope) and opened(hub, one, key) == largest


def test_a_report_is_read_as_it_was_written_and_only_what_matters_changes_its_content() -> None:
    one = sound()
    assert board_report.decode(one.to_bytes(), "here") == one
    same = replace(one, number=13, time=NOW + 5, free_bytes=7)
    assert same.content == one.content
    others = [
        replace(one, round=4),
        replace(one, version="0.2.0"),
        replace(one, refused=()),
        replace(one, bundle=replace(one.bundle, precision="int8")),
    ]
    assert len({other.content for other in [one, *others]}) == 5


def test_killed_at_any_change_of_the_disk_the_next_pull_reports_under_a_later_or_the_same_number(
    fleet: tuple[Hub, Member],
) -> None:
    hub, one = fleet
    one.pull()
    before = {key: hub.store.get(key, 1 << 14) for key in envelopes(hub, one)}
    points, status = 0, -signal.SIGKILL
    while status:
        points += 1
        (one.part / reporting.NAME).unlink(missing_ok=True)

        def fault(
            number: int, name: str, args: tuple[Any, ...], operation: Callable[[], Any], point: int = points
        ) -> Any:
            if number >= point:
                os.kill(os.getpid(), signal.SIGKILL)
            return operation()

        def work(fault: Any = fault) -> None:
            with every_change(fault):
                assert reporting.report(one.model, Fleet(one.model), 1).number is not None

        status = exit_status(in_child(work))
        assert status in {0, -signal.SIGKILL}
        for key in envelopes(hub, one):
            assert opened(hub, one, key).round == 1
    assert points > 10
    (one.part / reporting.NAME).unlink()
    assert one.pull().report is not None
    assert before.items() <= {key: hub.store.get(key, 1 << 14) for key in envelopes(hub, one)}.items()
