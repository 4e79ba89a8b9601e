"""`hub undo` and `hub revoke --take-back` from the command line: what the fleet then knows, and what devices show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO
from fleet_world import Member, new_hub, one_round, scans
from liars import Liar, giving
from typer.testing import CliRunner

from edge_nusa.cli.app import app
from edge_nusa.device.fleet.status import status
from edge_nusa.errors import InputError, RefusedError
from edge_nusa.sync.hub import take_back
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings


def digits(digit: int, start: int, count: int) -> np.ndarray:
    """Features (count, F) of scans of one digit."""
    _, features, classes = scans()
    return features[np.flatnonzero(classes == digit)[start : start + count]]


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[Hub, Member, Member]:
    hub = new_hub(tmp_path)
    return hub, Member(tmp_path, hub, "good"), Member(tmp_path, hub, "bad")


def asked(hub: Hub, *words: str) -> dict[str, Any]:
    """What a hub's command prints as JSON."""
    found = CliRunner().invoke(
        app, ["hub", *words, "--hub", str(hub.folder), "--bundle", str(MICRO), "--format", "json"]
    )
    assert found.exit_code == 0, (found.output, found.exception)
    made: dict[str, Any] = json.loads(found.stdout)
    return made


def test_an_undone_round_goes_from_the_fleet_and_stays_on_its_devices_which_say_so(
    fleet: tuple[Hub, Member, Member],
) -> None:
    hub, good, bad = fleet
    good.teach({"three": digits(3, 0, 5)}, 1)
    one_round(hub, [good, bad])
    bad.teach({"three": digits(8, 0, 5), "nonsense": digits(1, 0, 4)}, 2)
    one_round(hub, [bad, good])
    assert good.labels == {"three": 10, "nonsense": 4}
    assert asked(hub, "undo") == {"round": 3, "labels": ["three"]}
    asked(hub, "publish")
    assert (good.pull().round, good.labels) == (3, {"three": 5})
    bad.pull()
    assert bad.labels == {"three": 10, "nonsense": 4}
    assert list(status(bad.model).refused_by_hub.values()) == ["taken back by the hub's user"]
    assert "taken back by the hub's user" in json.dumps(asked(hub, "status")["devices"])
    bad.teach({"four": digits(4, 0, 4)}, 3)
    good.teach({"three": digits(3, 9, 2)}, 4)
    one_round(hub, [good, bad])
    assert good.labels == {"three": 7, "four": 4}


def test_what_an_undo_took_out_and_brought_back_is_said(fleet: tuple[Hub, Member, Member]) -> None:
    hub, good, _ = fleet
    good.teach({"three": digits(3, 0, 5)}, 1)
    one_round(hub, [good])
    good.teach({"four, or so": digits(4, 0, 4)}, 2)
    good.forget("three")
    one_round(hub, [good])
    words = ["hub", "undo", "--hub", str(hub.folder), "--bundle", str(MICRO), "--format", "human"]
    said = CliRunner().invoke(app, words).stdout
    assert 'round 3 is as the one before it was; gone: "four, or so"; back: three; labels: three; devices keep' in said


def test_rounds_are_undone_one_after_another_down_to_none(fleet: tuple[Hub, Member, Member]) -> None:
    hub, good, other = fleet
    for digit in (1, 2):
        good.teach({f"digit {digit}": digits(digit, 0, 4)}, digit)
        one_round(hub, [good, other])
    assert asked(hub, "undo")["labels"] == ["digit 1"]
    assert asked(hub, "undo") == {"round": 4, "labels": []}
    with pytest.raises(
        InputError, match="expected a round that was merged here to take back, found none; nothing was changed"
    ):
        take_back.undo(hub)
    hub.publish()
    other.pull()
    assert other.labels == {}
    good.pull()
    assert good.labels == {"digit 1": 4, "digit 2": 4}


def test_a_revoked_device_is_taken_out_with_all_it_gave_and_a_fleet_that_it_had_stopped_goes_on(
    fleet: tuple[Hub, Member, Member],
) -> None:
    hub, good, bad = fleet
    good.teach({"three": digits(3, 0, 5)}, 1)
    one_round(hub, [good])
    alone = hub.current()[0].knowledge
    liar = Liar(hub, bad)
    size = {name: norm / hub.shapes.ranks[name] * 0.99 for name, norm in hub.shapes.largest_cores.items()}
    cores = {name: np.full((rank, rank), size[name]) for name, rank in hub.shapes.ranks.items()}
    for place in range(3):
        liar.send(replace(giving(hub, {"three": digits(8, place, 1), "x": digits(1, place, 1)}), cores=cores))
        hub.merge(MergeSettings())
    hub.publish()
    with pytest.raises(RefusedError, match="common words would no longer mean"):
        good.pull()
    made = asked(hub, "revoke", "bad", "--take-back")
    assert (made["revoked"], made["round"]) == (True, 5)
    now = hub.current()[0].knowledge
    assert now.names == ["three"] and now.head.spare == alone.head.spare and now.tasks == alone.tasks
    assert np.array_equal(now.head.gram, alone.head.gram) and np.array_equal(now.head.sums, alone.head.sums)
    assert np.array_equal(now.fusion, alone.fusion)
    assert all(np.allclose(now.cores[name], alone.cores[name], atol=1e-5) for name in now.cores)
    asked(hub, "publish")
    assert (good.pull().round, good.labels) == (5, {"three": 5})
    good.teach({"four": digits(4, 0, 4)}, 3)
    one_round(hub, [good])
    assert hub.status().labels == ["three", "four"]


def test_a_device_that_gave_nothing_is_revoked_and_no_round_is_made(fleet: tuple[Hub, Member, Member]) -> None:
    hub, good, _ = fleet
    good.teach({"three": digits(3, 0, 5)}, 1)
    one_round(hub, [good])
    words = [
        "hub",
        "revoke",
        "bad",
        "--take-back",
        "--hub",
        str(hub.folder),
        "--bundle",
        str(MICRO),
        "--format",
        "human",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "bad; it had given nothing, so no round is new: " in done.stdout
    assert {device.name: device.is_revoked for device in hub.enrolled.all()} == {"good": False, "bad": True}
    assert hub.current()[0].number == 1
