"""Stores against real servers on loopback (`store_servers`): S3 servers, one of them used in production, and an OCI
registry."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import store_servers
from fleet_world import Member, bundle
from store_servers import KEYS, free_port, use_s3
from test_fleet_stores import rows

from edge_nusa.errors import StoreError
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.folder import RootKeys
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.stores import check
from edge_nusa.sync.stores.oci import OciStore
from edge_nusa.sync.stores.s3 import S3Store
from edge_nusa.sync.stores.store import MissingObjectError
from edge_nusa.sync.trust.repository import Expiry

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["moto", "radosgw"])
def creating_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """An S3 server that honours create-only writes. Its folder has a short name, as ceph makes sockets in it."""
    with (
        tempfile.TemporaryDirectory(prefix="store-") as folder,
        getattr(store_servers, request.param)(Path(folder)) as port,
    ):
        yield port


@pytest.fixture
def creating(creating_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    use_s3(creating_port, monkeypatch)


@pytest.fixture
def ignoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An S3 server over a folder that ignores `If-None-Match`."""
    with store_servers.nanio(tmp_path) as port:
        use_s3(port, monkeypatch)
        yield


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The place of a repository in Debian's docker-registry."""
    with store_servers.registry(tmp_path) as port:
        yield f"oci+http://127.0.0.1:{port}/fleet/rounds"


def test_two_processes_are_never_given_one_port() -> None:
    program = "import store_servers; print(*(store_servers.free_port() for _ in range(3)), flush=True); input()"
    folder = Path(store_servers.__file__).parent
    other = subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        theirs = [int(word) for word in other.stdout.readline().split()]
        ours = [free_port() for _ in range(3)]
        other.communicate("\n")
    assert len({*theirs, *ours}) == 6


def fleet(tmp_path: Path, place: str) -> tuple[Hub, Member, Member]:
    hub_folder.create(tmp_path / "hub", place, bundle(), RootKeys(tmp_path / "root-keys"), Expiry())
    hub = Hub(tmp_path / "hub", bundle())
    return hub, Member(tmp_path, hub, "a"), Member(tmp_path, hub, "b")


def test_the_four_verbs_and_the_check_hold_on_an_s3_server(creating: None) -> None:
    store = S3Store("s3://fleet/some/where")
    assert store.put_new("a/b.c", b"first")
    assert not store.put_new("a/b.c", b"second")
    assert (store.get("a/b.c", 5), store.head("a/b.c"), store.head("a/none"), store.list("a"), store.list("none")) == (
        b"first",
        5,
        None,
        ["a/b.c"],
        [],
    )
    with pytest.raises(StoreError, match="expected at most 4 bytes, found more"):
        store.get("a/b.c", 4)
    with pytest.raises(MissingObjectError, match="expected an object of the store, found none"):
        store.get("a/none", 4)
    assert check.check(store).races == 8


def test_a_fleet_meets_over_an_s3_server(creating: None, tmp_path: Path) -> None:
    hub, a, b = fleet(tmp_path, "s3://fleet/one")
    a.teach({"cup": rows(1, 3)}, 1)
    b.teach({"plate": rows(2, 4)}, 2)
    a.push(), b.push()
    hub.merge(MergeSettings())
    hub.publish()
    a.pull(), b.pull()
    assert a.labels == b.labels == {"cup": 3, "plate": 4}


def test_an_s3_server_that_ignores_create_only_writes_is_refused(ignoring: None) -> None:
    with pytest.raises(StoreError, match="this store ignores create-only writes and must not be used"):
        check.check(S3Store("s3://fleet/here"))


def test_a_server_that_is_not_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="expected the store to do it, found .*; check AWS_ENDPOINT_URL"):
        S3Store("s3://fleet/x").head("a/b")


def test_plain_http_beyond_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": "http://192.0.2.1:9000"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="expected the store to do it"):
        S3Store("s3://fleet/x").head("a/b")


def test_rounds_are_pulled_from_an_oci_registry(registry: str, tmp_path: Path) -> None:
    from edge_nusa.device.fleet.joining import join
    from edge_nusa.device.model import Model
    from edge_nusa.state.state import State

    hub, a, _ = fleet(tmp_path, str(tmp_path / "store"))
    a.teach({"cup": rows(1, 3)}, 1)
    a.push()
    hub.merge(MergeSettings())
    hub.publish(registry)
    store = OciStore(registry)
    assert store.list("rounds") == hub.store.list("rounds")
    assert store.list("metadata") == hub.store.list("metadata")
    assert not store.put_new("metadata/1.root.json", b"another")
    assert store.get("metadata/1.root.json", 1 << 20) == hub.store.get("metadata/1.root.json", 1 << 20)
    with pytest.raises(StoreError, match="expected at most 10 bytes"):
        store.get("metadata/1.root.json", 10)
    with pytest.raises(MissingObjectError, match="publish and mirror on the hub"):
        store.get("metadata/9.root.json", 10)
    away = Model(bundle(), State(tmp_path / "away", bundle().manifest.identity), threads=1)
    join(away, str(tmp_path / "store"), hub.folder / "root.json", registry)
    from edge_nusa.device.fleet.pull import pull

    assert pull(away).labels == ["cup"]
