"""Hours in which a device may sync, and sizes that it may not exceed."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
from conftest import run_cli

from edge_nusa.device.fleet.time_window import is_within
from edge_nusa.errors import UsageError


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        ("01:00-05:00", time(1, 0), True),
        ("01:00-05:00", time(5, 0), False),
        ("01:00-05:00", time(0, 59), False),
        ("22:00-05:00", time(23, 0), True),
        ("22:00-05:00", time(4, 59), True),
        ("22:00-05:00", time(12, 0), False),
        ("00:00-00:00", time(0, 0), False),
    ],
)
def test_hours_may_go_over_midnight_and_end_before_their_end(hours: str, now: time, expected: bool) -> None:
    assert is_within(hours, now) is expected


@pytest.mark.parametrize("hours", ["", "1-5", "25:00-05:00", "01:00", "01:00-05:00-06:00", "01:60-02:00"])
def test_other_words_are_no_hours(hours: str) -> None:
    with pytest.raises(UsageError, match="--between: expected hours such as 01:00-05:00"):
        is_within(hours)


def test_a_size_that_is_none_is_a_usage_error_of_its_option(tmp_path: Path) -> None:
    done = run_cli("sync", "push", "--max-bytes", "many", "--state", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--max-bytes: expected a size such as 512M or 1G, got 'many'" in done.stderr


def test_a_state_of_no_fleet_says_how_to_join_one(tmp_path: Path) -> None:
    done = run_cli("sync", "status", "--state", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "run `edge-nusa sync init STORE --root root.json`" in done.stderr
