"""The doctor proves that the state can be written, and that installed services have their packages."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, bytes_of, run_cli

from edge_nusa.device.board import services as board_services
from edge_nusa.device.board.findings import Finding
from edge_nusa.device.board.services import EXTRAS, services
from edge_nusa.device.board.writing_probe import writing
from edge_nusa.files import durable


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state" / "generations").mkdir(parents=True)
    (tmp_path / "state" / "CURRENT").write_bytes(b"x")
    return tmp_path / "state"


def test_a_probe_is_really_written_into_each_folder_and_removed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed: list[tuple[Path, bytes]] = []
    real = os.rename

    def watched(source: Path, target: Path) -> None:
        renamed.append((source.parent, source.read_bytes()))
        real(source, target)

    monkeypatch.setattr(os, "rename", watched)
    before = bytes_of(state)
    found = writing(state)
    assert (found.status, found.next_step) == ("ok", "")
    assert found.found == f"a probe was written to {state / 'generations'} and removed"
    assert renamed == [(state, b"probe"), (state / "generations", b"probe")]
    assert bytes_of(state) == before and sorted(path.name for path in state.iterdir()) == ["CURRENT", "generations"]


def test_where_there_is_no_state_yet_the_folder_above_is_tried_and_nothing_is_made(tmp_path: Path) -> None:
    found = writing(tmp_path / "a" / "b" / "state")
    assert found.found == f"a probe was written to {tmp_path} and removed; it is made by the first lesson"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["open", "write", "fsync", "rename"])
@pytest.mark.parametrize(
    ("code", "says"), [(errno.EROFS, "read-only"), (errno.EACCES, "Permission denied"), (errno.ENOSPC, "space")]
)
def test_what_the_disk_refuses_is_an_error_with_its_reason_and_leaves_nothing(
    state: Path, monkeypatch: pytest.MonkeyPatch, verb: str, code: int, says: str
) -> None:
    real: Callable[..., Any] = getattr(os, verb)

    def refused(*words: Any, **options: Any) -> Any:
        if verb != "open" or options.get("flags", words[1] if len(words) > 1 else 0) & os.O_CREAT:
            raise OSError(code, os.strerror(code))
        return real(*words, **options)

    monkeypatch.setattr(os, verb, refused)
    found = writing(state)
    monkeypatch.undo()
    assert found.status == "error" and found.next_step
    assert re.search(says, found.found, re.IGNORECASE) and f"write a probe into {state}" in found.found
    assert not list(state.rglob(f"{durable.TEMPORARY_PREFIX}*"))


@pytest.mark.parametrize(("times", "status"), [(1, "ok"), (2, "error")])
def test_a_probe_that_a_beginning_writer_removed_is_written_once_more(
    state: Path, monkeypatch: pytest.MonkeyPatch, times: int, status: str
) -> None:
    real, left = os.rename, [state] * times

    def removed(source: Path, target: Path) -> None:
        if left and left.pop():
            durable.remove_leftovers(source.parent)
        real(source, target)

    monkeypatch.setattr(os, "rename", removed)
    assert writing(state).status == status
    assert not list(state.rglob(f"{durable.TEMPORARY_PREFIX}*"))


def test_the_extras_are_those_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, packages in EXTRAS.items():
        assert {re.split(r"[<>=\[]", one)[0] for one in declared[extra]} == set(packages), extra


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config" / "systemd" / "user").mkdir(parents=True)
    (tmp_path / "config" / "edge-nusa").mkdir()
    return tmp_path / "config"


def unit(config: Path, name: str, text: str = "[Service]\nExecStart=edge-nusa\n") -> None:
    (config / "systemd" / "user" / f"edge-nusa-{name}.service").write_text(text)


def found_in(config: Path, state: Path, missing: set[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Finding]:
    def version(package: str) -> str:
        if package in missing:
            raise importlib.metadata.PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    return {one.name: one for one in services(state, config)}


def test_no_service_and_no_fleet_say_nothing(config: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config / "systemd" / "user" / "other.service").write_text("ExecStart=edge-nusa --mqtt mqtt://x")
    assert found_in(config, state, {"tuf"}, monkeypatch) == {}


def test_each_service_that_lacks_packages_has_its_line(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sync", "mqtt", "teach", "watch"):
        unit(config, name)
    found = found_in(config, state, {"tuf", "cryptography", "segno"}, monkeypatch)
    assert {name: one.status for name, one in found.items()} == {
        "service sync": "error",
        "service mqtt": "ok",
        "service teach": "error",
        "service watch": "ok",
    }
    assert found["service sync"].found == "cannot run: tuf, cryptography not installed"
    assert found["service sync"].next_step == 'pip install "edge-nusa[sync]"'
    assert found["service teach"].next_step == 'pip install "edge-nusa[page]"'
    assert found["service mqtt"].found == "the packages of mqtt are there"
    assert found["service watch"].found == "needs no further package"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("EDGE_NUSA_WATCH=rtsp://camera/1", 'pip install "edge-nusa[camera]"'),
        ("EDGE_NUSA_WATCH=/dev/video0", 'pip install "edge-nusa[camera]"'),
        ("EDGE_NUSA_WATCH_OPTIONS=--mqtt mqtt://x --metrics-port 9", 'pip install "edge-nusa[mqtt,metrics]"'),
        ("EDGE_NUSA_WATCH_OPTIONS=--mqtt mqtts://x", 'pip install "edge-nusa[mqtt]"'),
        ("EDGE_NUSA_SYNC_OPTIONS=--mqtt mqtt://x", ""),
    ],
)
def test_what_a_services_own_settings_ask_for_is_needed_too(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch, options: str, line: str
) -> None:
    unit(config, "watch")
    (config / "edge-nusa" / "environment").write_text(f"EDGE_NUSA_STATE=x\n{options}\n")
    missing = {package for packages in EXTRAS.values() for package in packages}
    assert found_in(config, state, missing, monkeypatch)["service watch"].next_step == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[watch]\nsource = "rtsp://camera/1"\n', 'pip install "edge-nusa[camera]"'),
        ('[watch]\nlabel = ["a",\n"b"]\nmetrics_port = 9100\n', 'pip install "edge-nusa[metrics]"'),
        ('bundle = "x"\n[ watch ] # mine\nsource = "/dev/video0"\n[teach]\nx = 1\n', 'pip install "edge-nusa[camera]"'),
        ('[teach]\nsource = "/dev/video0"\n[watching]\nsource = "rtsp://x"\n', ""),
        ('[watch]\n# source = "rtsp://x"\n', ""),
        ("[watch\n\xff", ""),
    ],
)
@pytest.mark.parametrize("whose", ["user", "system"])
def test_what_a_services_table_of_a_settings_file_asks_for_is_needed_too(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: str, whose: str
) -> None:
    unit(config, "watch")
    path = config / "edge-nusa" / "config.toml" if whose == "user" else config / "system.toml"
    monkeypatch.setattr(board_services, "SYSTEM", config / "system.toml")
    path.write_text(text, encoding="latin-1")
    missing = {package for packages in EXTRAS.values() for package in packages}
    assert found_in(config, state, missing, monkeypatch)["service watch"].next_step == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 'pip install "edge-nusa[sync]"'),
        ('[hub.run]\nmetrics = "/m/hub.prom"\n', 'pip install "edge-nusa[sync,metrics]"'),
    ],
)
def test_the_service_of_a_hub_needs_what_a_fleet_does_and_numbers_their_package(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: str
) -> None:
    unit(config, "hub")
    (config / "edge-nusa" / "config.toml").write_text(text)
    missing = {package for packages in EXTRAS.values() for package in packages}
    assert found_in(config, state, missing, monkeypatch)["service hub"].next_step == line


@pytest.mark.parametrize(
    ("text", "extras"),
    [
        ('watch.source = "rtsps://camera/1"', "camera"),
        ('[watch]\nsource = "http://camera/1"', "camera"),
        ('[watch]\nsource = "film.mp4"', "camera"),
        ('watch = { source = "/pictures", metrics_port = 9100 }', "metrics"),
        ('[watch]\nsource = "/pictures"\n[teach]\ncamera = "picamera"', ""),
        ('[watch]\nmetrics = "/m/a.prom"', "metrics"),
        ("watch = 1", ""),
        ("[watch", ""),
    ],
)
def test_the_settings_file_that_a_variable_names_says_what_a_service_needs(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch, text: str, extras: str
) -> None:
    unit(config, "watch")
    (config / "mine.toml").write_text(text)
    (config / "mine.toml").chmod(0o600)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    monkeypatch.setenv("EDGE_NUSA_CONFIG", str(config / "mine.toml"))
    monkeypatch.setattr(board_services, "_is_installed", lambda package: False)
    [found] = services(state)
    assert found.next_step == (f'pip install "edge-nusa[{extras}]"' if extras else "")


@pytest.mark.parametrize(
    ("places", "line"),
    [
        ({"store": "/mnt/x"}, 'pip install "edge-nusa[sync]"'),
        ({"store": "s3://bucket/x"}, 'pip install "edge-nusa[sync,s3]"'),
        ({"store": "/mnt/x", "rounds": "oci://host/name"}, 'pip install "edge-nusa[sync,oci]"'),
        ({"store": "s3://bucket", "rounds": "oci+http://host/name"}, 'pip install "edge-nusa[sync,s3,oci]"'),
    ],
)
def test_a_state_of_a_fleet_needs_its_stores_packages(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, str], line: str
) -> None:
    (state / "sync").mkdir()
    (state / "sync" / "settings.json").write_text(json.dumps(places))
    missing = {package for packages in EXTRAS.values() for package in packages}
    assert found_in(config, state, missing, monkeypatch)["fleet"].next_step == line
    (state / "sync" / "settings.json").write_text("[")
    assert found_in(config, state, missing, monkeypatch) == {}


def test_the_command_looks_into_the_users_own_folder(config: Path, state: Path) -> None:
    unit(config, "teach")
    done = run_cli("doctor", "--state", state, env={"XDG_CONFIG_HOME": str(config)})
    names = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert "service teach" in names and names["writing the state"]["status"] == "ok"
    home = run_cli("doctor", "--state", state, env={"HOME": str(config.parent), "XDG_CONFIG_HOME": ""})
    (config.parent / ".config").symlink_to(config)
    again = run_cli("doctor", "--state", state, env={"HOME": str(config.parent), "XDG_CONFIG_HOME": ""})
    assert "service teach" not in home.stdout and "service teach" in again.stdout
