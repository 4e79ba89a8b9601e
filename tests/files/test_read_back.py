"""What no reader would take is not written: the writer's own reader has taken it before it has its name."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge_nusa.device.fleet import remembered, settings
from edge_nusa.device.fleet.settings import Settings
from edge_nusa.errors import DamagedError, InputError, ResourceError, UnreadableError
from edge_nusa.files import durable
from edge_nusa.files.read_back import keep_file
from edge_nusa.sync.trust import repository


def refusing(data: bytes) -> None:
    raise DamagedError(f"file: found {data.decode()}")


def test_what_its_reader_takes_is_kept(tmp_path: Path) -> None:
    taken: list[bytes] = []
    keep_file(tmp_path / "file", b"old", taken.append)
    keep_file(tmp_path / "file", b"new", taken.append)
    assert (taken, (tmp_path / "file").read_bytes()) == ([b"old", b"new"], b"new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_what_its_reader_refuses_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(
        InputError, match=r"write .*file: expected to write what .* nothing is changed: file: found new"
    ):
        keep_file(tmp_path / "file", b"new", refusing)
    assert (os.listdir(tmp_path), (tmp_path / "file").read_text()) == (["file"], "old")


def test_what_the_disk_gives_back_is_what_is_asked_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_write_all", lambda descriptor, data: os.write(descriptor, b"rot"))
    with pytest.raises(InputError, match="found rot$"):
        keep_file(tmp_path / "file", b"new", refusing)


def test_other_errors_of_a_reader_go_through_and_leave_nothing(tmp_path: Path) -> None:
    def away(data: bytes) -> None:
        raise UnreadableError("away")

    with pytest.raises(ResourceError, match="^away$"):
        keep_file(tmp_path / "file", b"new", away)
    assert os.listdir(tmp_path) == []


def test_settings_that_could_not_be_read_back_are_not_written(tmp_path: Path) -> None:
    made = Settings("f00", "d00", "5ea1", "s3://" + "a" * 10_000)
    with pytest.raises(InputError, match="store: expected a text of at most 10000 characters, found 's3://a"):
        keep_file(tmp_path / settings.NAME, made.encoded(), lambda data: settings.decode(data, settings.NAME))
    assert os.listdir(tmp_path) == []


def test_a_round_is_remembered_only_as_it_can_be_read(tmp_path: Path) -> None:
    fleet = cast(Any, SimpleNamespace(folder=tmp_path))
    remembered.remember(fleet, "a" * 64, "taken", 1, "taken")
    for sha256, kind, number in (("x", "taken", 1), ("b" * 64, "other", 1), ("b" * 64, "taken", -1)):
        with pytest.raises(InputError, match="nothing is changed"):
            remembered.remember(fleet, sha256, kind, number, "why")
    assert list(remembered.remembered(fleet)) == ["a" * 64]


def test_versions_are_counted_only_as_they_can_be_read() -> None:
    with pytest.raises(DamagedError, match="here: timestamp: expected a whole number"):
        repository._counted(b'{"timestamp": %d}' % (repository.LARGEST_VERSION + 1), "here")
