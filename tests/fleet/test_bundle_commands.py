"""`pull` as a process that is killed, as a fleet's member, over S3 and a registry, and what `doctor --store` says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import store_servers
from conftest import MICRO, bytes_of, command, environment, run_cli
from fleet_world import Member, bundle
from store_servers import use_s3
from test_bundle_formats import ONE
from test_bundle_pull import World, quiet
from wicked_server import Answer, Handler, wicked

from edge_nusa.device.board import fitting, linux
from edge_nusa.device.fleet.bundle_source import pulled_folder, source
from edge_nusa.errors import DamagedError, InputError, StoreError, TrustError
from edge_nusa.model.manifest import Manifest
from edge_nusa.sync.bundles import pull as pulling
from edge_nusa.sync.bundles.announced import Announced
from edge_nusa.sync.bundles.pull import pull
from edge_nusa.sync.bundles.source import Source
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.stores.open import open_store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A hub that has published micro, with a mirror in `www`, and a member `a` of its fleet."""
    world = World(tmp_path_factory.mktemp("commands"))
    world.publish(mirror=str(world.folder / "www"), multiply_adds=184_641_792)
    Member(world.folder, Hub(world.hub, bundle()), "a")
    return world


MOST = 7
"""Answers of the index and of pieces before a server stands still."""


@contextmanager
def started(*words: str | Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process of its own, which ends with the block."""
    running = subprocess.Popen(
        command(*words), env=environment({"XDG_DATA_HOME": str(folder / "data")}), stdout=subprocess.DEVNULL
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait(60)


def test_a_pull_that_is_killed_goes_on_by_the_same_line(made: World, tmp_path: Path) -> None:
    with wicked(made.folder / "www") as server:

        def pieces() -> int:
            return [about for about, _ in server.asked].count("bundles")

        def stalls(handler: Handler, answer: Answer) -> bool:
            """After some pieces nothing more comes until the process is killed."""
            if answer.about == "bundles" and pieces() > MOST:
                time.sleep(60)
            return False

        server.fault = stalls
        place, out = f"http://127.0.0.1:{server.server_port}/fleet/x", tmp_path / "micro"
        words = ("pull", place, "--root", made.hub / "root.json", "--out", out)
        with started(*words, folder=tmp_path) as running:
            end = time.monotonic() + 120
            while pieces() <= MOST:
                assert time.monotonic() < end and running.poll() is None
                time.sleep(0.05)
            os.kill(running.pid, signal.SIGKILL)
        kept = sum(map(len, bytes_of(tmp_path / ".micro.pull").values()))
        assert kept > 1 << 20 and not out.exists()
        server.fault = lambda handler, answer: False
        with started(*words, folder=tmp_path) as running:
            assert running.wait(120) == 0
    assert bytes_of(out) == bytes_of(MICRO)
    assert not (tmp_path / ".micro.pull").exists()


def test_a_member_of_the_fleet_needs_no_root(made: World, tmp_path: Path) -> None:
    member = made.folder / "a"
    found = source(str(made.place), None, member)
    one = found.bundles()["micro"]
    assert bytes_of(Path(pull(found, one, tmp_path / "micro", quiet).folder)) == bytes_of(MICRO)
    assert (member / "sync" / "metadata" / "targets.json").exists(), "what was seen newest, rounds and bundles alike"
    with pytest.raises(InputError, match="expected --root, or a state that belongs to a fleet, found neither; bring"):
        source(str(made.place), None, tmp_path / "nobody")
    right = (member / "sync" / "root.json").read_bytes()
    try:
        (member / "sync" / "root.json").write_bytes(b"{}")
        with pytest.raises(DamagedError, match="root.json: expected the root of the fleet .*, found another; run"):
            source(str(made.place), None, member)
    finally:
        (member / "sync" / "root.json").write_bytes(right)


def test_a_named_root_is_looked_at_and_keeps_its_own_memory(
    made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = source(str(made.place), made.hub / "root.json", tmp_path / "nobody")
    assert found.folder.parent == tmp_path / "edge-nusa" / "fleets"
    assert pulled_folder(replace(ONE, version=7)) == tmp_path / "edge-nusa" / "bundles" / "micro-7"
    (tmp_path / "root.json").write_bytes(b"{}")
    with pytest.raises(TrustError, match="expected the root.json that `edge-nusa hub init` wrote"):
        source(str(made.place), tmp_path / "root.json", tmp_path / "nobody")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with store_servers.moto(tmp_path_factory.mktemp("moto")) as port:
        yield port


def pulled_from(place: str, made: World, folder: Path) -> dict[str, bytes]:
    """The files of micro as a pull brings them from there."""
    found = Source(open_store(place), (made.hub / "root.json").read_bytes(), folder / "trust")
    return bytes_of(Path(pull(found, found.bundles()["micro"], folder / "micro", quiet).folder))


def test_a_bundle_goes_through_s3(made: World, bucket: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_s3(bucket, monkeypatch)
    made.publish(mirror="s3://fleet/mirror", multiply_adds=184_641_792)
    assert pulled_from("s3://fleet/mirror", made, tmp_path) == bytes_of(MICRO)


def test_a_bundle_goes_through_a_registry(made: World, tmp_path: Path) -> None:
    with store_servers.registry(tmp_path) as port:
        place = f"oci+http://127.0.0.1:{port}/models/edge"
        made.publish(mirror=place, multiply_adds=184_641_792)
        assert pulled_from(place, made, tmp_path) == bytes_of(MICRO)


def test_a_registry_gives_a_bundle_also_where_ours_is_not_installed(made: World, tmp_path: Path) -> None:
    with wicked(made.folder / "www") as server:
        place = f"oci+http://127.0.0.1:{server.server_port}/fleet/rounds"
        assert pulled_from(place, made, tmp_path) == bytes_of(MICRO)


PLENTY, TOTAL = 64 << 30, 128 << 30


@pytest.mark.parametrize(
    ("memory", "disk", "status", "next_step"),
    [
        (PLENTY, ONE.bytes + pulling.SPARE_BYTES, "ok", "it fits: edge-nusa pull STORE micro"),
        (
            PLENTY,
            ONE.bytes + pulling.SPARE_BYTES - 1,
            "warning",
            "free 1 MiB of disk, or pull it to another disk by --out",
        ),
        (10 << 20, PLENTY, "warning", "predict may not fit: end other programs, or export a smaller model"),
    ],
)
def test_a_bundle_fits_where_disk_and_memory_have_room(
    memory: int, disk: int, status: str, next_step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linux, "memory_bytes", lambda: (TOTAL, memory))
    monkeypatch.setattr(linux, "memory_limit_bytes", lambda: None)
    found = fitting.fit(replace(ONE, multiply_adds=5_750_016_000), bundle().manifest, disk, "STORE")
    assert (found.name, found.status, found.next_step) == ("bundle micro", status, next_step)
    assert found.found.startswith(
        f"version 3, micro in fp16: 1 MiB of disk, {disk >> 20} MiB free; 5.8 thousand million"
    )
    assert "predict takes about" in found.found
    unknown = fitting.fit(replace(ONE, multiply_adds=0), bundle().manifest, disk, "STORE")
    assert "multiply-adds" not in unknown.found


def test_the_doctor_asks_for_manifests_alone(made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=PLENTY))
    with wicked(made.folder / "www") as server:
        found = Source(
            open_store(f"http://127.0.0.1:{server.server_port}/fleet/x"),
            (made.hub / "root.json").read_bytes(),
            tmp_path / "trust",
        )
        [one] = fitting.fitting(found, "STORE", tmp_path / "not" / "there")
        assert [about for about, _ in server.asked].count("bundles") == 2
    assert (one.name, "0.2 thousand million multiply-adds" in one.found) == ("bundle micro", True)
    empty = SimpleNamespace(bundles=dict)
    [none] = fitting.fitting(empty, "STORE", tmp_path)  # type: ignore[arg-type]
    assert (none.name, none.found) == ("bundles of the store", "none")


def test_a_bundle_whose_manifest_is_not_there_yet_keeps_no_other_from_being_told(tmp_path: Path) -> None:
    def manifest(one: Announced) -> Manifest:
        if one.name == "first":
            raise StoreError("bundles/aa: expected what the hub announced, found no such object")
        return bundle().manifest

    some = SimpleNamespace(bundles=lambda: {name: replace(ONE, name=name) for name in ("first", "second")})
    some.manifest = manifest
    first, second = fitting.fitting(some, "STORE", tmp_path)  # type: ignore[arg-type]
    assert (first.status, second.name) == ("warning", "bundle second") and "no such object" in first.found


def test_a_store_that_does_not_answer_is_one_finding_of_the_doctor_beside_all_others(
    made: World, tmp_path: Path
) -> None:
    words = ("--root", made.hub / "root.json", "--bundle", MICRO, "--state", tmp_path / "state")
    done = run_cli("doctor", "--store", tmp_path / "away", *words)
    findings = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.returncode == 4 and len(findings) > 5, done.stderr
    assert findings["bundles of the store"]["status"] == "error"
    assert "away" in findings["bundles of the store"]["found"]
