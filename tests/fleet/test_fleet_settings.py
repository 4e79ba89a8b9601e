"""A device's settings of a fleet: what is written is what is read, and what does not fit is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_nusa.device.fleet import settings
from edge_nusa.device.fleet.settings import Settings
from edge_nusa.errors import DamagedError, InputError

OWN = Settings("f00", "d00", "5ea1", "/mnt/store")
MIRRORED = Settings("f00", "d00", "5ea1", "/mnt/store", "https://hub.example/mirror")


@pytest.mark.parametrize(
    ("made", "content"),
    [
        (OWN, b'{"device": "d00", "fleet": "f00", "format_version": 2, "sealing": "5ea1", "store": "/mnt/store"}\n'),
        (
            MIRRORED,
            b'{"device": "d00", "fleet": "f00", "format_version": 2, "rounds": "https://hub.example/mirror", '
            b'"sealing": "5ea1", "store": "/mnt/store"}\n',
        ),
    ],
)
def test_settings_are_written_as_they_are_read(made: Settings, content: bytes, tmp_path: Path) -> None:
    assert made.encoded() == content
    (tmp_path / settings.NAME).write_bytes(content)
    assert settings.read(tmp_path) == made


def test_a_state_of_no_fleet_is_told_how_to_join_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}: expected a state that belongs to a fleet, .*sync init STORE"):
        settings.read(tmp_path / "sync")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b'{"format_version": 1}',
            "expected format 2, found 1, made by an older edge-nusa; .* that wrote it, or join with a new --state",
        ),
        (
            b'{"format_version": 2, "fleet": "f00", "device": "d00"}',
            "sealing: expected this field, found none; run .*sync init",
        ),
        (b"[]", "expected a JSON object, found"),
        (b" " * (settings.LARGEST_BYTES + 1), "settings.json"),
    ],
)
def test_settings_that_do_not_fit_are_refused(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / settings.NAME).write_bytes(content)
    with pytest.raises(DamagedError, match=says):
        settings.read(tmp_path)
