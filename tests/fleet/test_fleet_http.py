"""Web servers that do wrong: each ends with one clear line within the limit of time, changes nothing, and is
forgotten by the next sync."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import wicked_server
from conftest import bytes_of, run_cli
from fleet_world import Member, bundle, new_hub
from store_servers import KEYS
from test_fleet_stores import rows
from wicked_server import Answer, Handler, Wicked, wicked

from edge_nusa.device.fleet import store as fleet_store
from edge_nusa.device.fleet.joining import join
from edge_nusa.device.fleet.pull import pull
from edge_nusa.device.model import Model
from edge_nusa.errors import RefusedError, StoreError, TrustError
from edge_nusa.memory import peak_bytes
from edge_nusa.state.state import State
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.stores import oci as oci_store
from edge_nusa.sync.stores import s3 as s3_store

pytestmark = pytest.mark.slow
SECONDS = 2.0
LONGEST = 12.0
"""A sync's seconds where each answer may take SECONDS: no fault is retried more than a few times. The product has
120 and 25 * 60."""
REDIRECTS = ["file:///etc/hostname", "ftp://127.0.0.1/x", "/fleet/x/round-and-round"]
FAULTS = [
    wicked_server.silent,
    wicked_server.body_a_byte_a_second,
    wicked_server.head_a_byte_a_second,
    wicked_server.endless_chunks,
    wicked_server.endless_length,
    wicked_server.cut_and_cut_again,
    wicked_server.shorter_than_the_truth,
    wicked_server.captive_portal,
    wicked_server.failing,
    *map(wicked_server.redirecting, REDIRECTS),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Wicked, Path, Path]]:
    """A fleet's store behind the server, with one round by a, the hub's first root, and the folder for devices."""
    folder = tmp_path_factory.mktemp("served")
    hub = new_hub(folder)
    a = Member(folder, hub, "a")
    Member(folder, hub, "enrolled")
    a.teach({"cup": rows(1, 3)}, 1)
    a.push()
    hub.merge(MergeSettings())
    hub.publish()
    with wicked(folder / "store") as server:
        yield server, folder / "hub" / "root.json", folder


@pytest.fixture(params=["s3", "oci"])
def place(
    request: pytest.FixtureRequest, served: tuple[Wicked, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The place of the rounds, at a server that does right until a test says otherwise; little patience."""
    port = served[0].server_port
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_store, "TIMEOUT", timedelta(seconds=SECONDS))
    monkeypatch.setattr(s3_store, "SLOWEST_BYTES_A_SECOND", 1 << 20)
    monkeypatch.setattr(oci_store, "SECONDS", SECONDS)
    yield {"s3": "s3://fleet/x", "oci": f"oci+http://127.0.0.1:{port}/{wicked_server.NAME}"}[request.param]
    served[0].fault = lambda handler, answer: False


def device(served: tuple[Wicked, Path, Path], place: str, name: str, is_new: bool = False) -> Model:
    """A device of the fleet whose store is at this place; the one that was enrolled before the publication, or new."""
    model = Model(
        bundle(), State(served[2] / "devices" / name.replace("/", "-"), bundle().manifest.identity), threads=1
    )
    own = model.state.folder / "sync"
    own.mkdir(parents=True)
    for key in () if is_new else ("key.pem", "sealing.key"):
        shutil.copy(served[2] / "enrolled" / "sync" / key, own)
    join(model, place, served[1])
    return model


def doing(fault: Callable[[Handler, Answer], None], about: str) -> Callable[[Handler, Answer], bool]:
    def wrong(handler: Handler, answer: Answer) -> bool:
        if about not in answer.about:
            return False
        fault(handler, answer)
        return True

    return wrong


def asked_about(place: str, fault: Callable[[Handler, Answer], None]) -> list[str]:
    """What is answered wrongly. A listing of impossible size ends obstore's process, which has a test of its own."""
    is_deadly = place.startswith("s3") and fault is wicked_server.endless_length
    return ["metadata", "rounds"] if is_deadly else ["list", "metadata", "rounds"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_pull_from_a_server_that_does_wrong_ends_in_time_with_one_line_and_the_next_one_works(
    served: tuple[Wicked, Path, Path], place: str, fault: Callable[[Handler, Answer], None]
) -> None:
    model = device(served, place, f"{place[:3]} {fault.__name__}")
    learned = model.state.folder / "generations"
    for about in asked_about(place, fault):
        served[0].fault = doing(fault, about)
        began, before = time.monotonic(), peak_bytes()
        with pytest.raises((StoreError, TrustError)) as found:
            pull(model)
        assert time.monotonic() - began < LONGEST
        assert "expected" in str(found.value) and "found" in str(found.value) or "nothing was taken" in str(found.value)
        assert "\n" not in str(found.value) and len(str(found.value)) < 800
        assert not list(learned.glob("0*"))
        if "endless" in fault.__name__ and place.startswith("oci"):
            assert peak_bytes() - before < 400 << 20
    served[0].fault = lambda handler, answer: False
    assert pull(model).labels == ["cup"]


@pytest.mark.parametrize(
    "fault",
    [wicked_server.silent, wicked_server.failing, wicked_server.redirecting("ftp://127.0.0.1/x")],
    ids=lambda fault: fault.__name__,
)
@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_push_to_a_server_that_does_wrong_ends_in_time_and_the_next_one_works(
    served: tuple[Wicked, Path, Path], place: str, fault: Callable[[Handler, Answer], None], tmp_path: Path
) -> None:
    hub_side = Member.__new__(Member)
    hub_side.model = device(served, place, f"push {fault.__name__}", is_new=True)
    hub_side.teach({"plate": rows(2, 4)}, 2)
    learned = bytes_of(hub_side.model.state.folder / "generations")
    served[0].fault = doing(fault, "put")
    began = time.monotonic()
    with pytest.raises(StoreError, match="expected the store to do it, found"):
        hub_side.push()
    assert time.monotonic() - began < LONGEST
    served[0].fault = lambda handler, answer: False
    assert hub_side.push().sent == [1]
    assert bytes_of(hub_side.model.state.folder / "generations") == learned


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_listing_of_impossible_size_ends_the_command_and_changes_nothing(
    served: tuple[Wicked, Path, Path], place: str
) -> None:
    # obstore allocates what the answer announces, and where that cannot be had the process is aborted
    model = device(served, place, "impossible listing")
    before = bytes_of(model.state.folder)
    served[0].fault = doing(wicked_server.endless_length, "list")
    done = run_cli("sync", "pull", "--state", model.state.folder)
    assert done.returncode in (6, -signal.SIGABRT) and done.stderr
    assert bytes_of(model.state.folder) == before
    served[0].fault = lambda handler, answer: False
    assert pull(model).labels == ["cup"]


def another_page(handler: Handler, answer: Answer) -> bool:
    """The listing of a bucket, said to go on, again and again."""
    if answer.about != "list":
        return False
    more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>"
    answer.body = answer.body.replace(b"<IsTruncated>false</IsTruncated>", more)
    handler.give(answer)
    return True


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_listing_that_goes_on_for_ever_is_given_up(
    served: tuple[Wicked, Path, Path], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "MOST_KEYS", 200)
    served[0].fault = another_page
    with pytest.raises(StoreError, match="expected at most 200 objects, found more"):
        s3_store.S3Store(place).list("metadata")


@pytest.mark.parametrize(
    "address",
    ["http://169.254.169.254/latest", "https://169.254.169.254/latest", "https://[fe80::1]/x", "http://127.0.0.1:1/x"],
)
@pytest.mark.parametrize("place", ["oci"], indirect=True)
def test_a_registry_leads_a_device_to_no_address_of_its_clouds_keys(
    served: tuple[Wicked, Path, Path], place: str, address: str
) -> None:
    served[0].fault = doing(wicked_server.redirecting(address), "list")
    with pytest.raises(StoreError, match="found that it leads on to .*, where nothing is asked"):
        oci_store.OciStore(place).list("metadata")


def test_a_store_that_is_slow_without_end_is_given_up_after_the_whole_time(
    served: tuple[Wicked, Path, Path], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = device(served, place, f"slow {place[:3]}")
    monkeypatch.setattr(fleet_store, "LONGEST_SECONDS", 1.0)

    def slow(handler: Handler, answer: Answer) -> bool:
        time.sleep(0.4)
        return False

    served[0].fault = slow
    with pytest.raises(StoreError, match="expected the store to be done within 1 s, found it still at it"):
        pull(model)


def cut_once(at: int) -> Callable[[Handler, Answer], bool]:
    """The first answer about a round stops after so many bytes, and nothing is answered from then on."""
    passed = threading.Event()

    def cut(handler: Handler, answer: Answer) -> bool:
        if answer.about != "rounds":
            return False
        handler.close_connection = True
        if not passed.is_set() and handler.headers.get("Range", "").startswith(f"bytes={at}-"):
            passed.set()
        return passed.is_set()

    return cut


def test_a_download_that_was_cut_goes_on_where_it_was_and_its_hash_is_checked(
    served: tuple[Wicked, Path, Path], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_nusa.sync.stores import download

    monkeypatch.setattr(download, "PART_BYTES", 50_000)
    model = device(served, place, f"cut {place[:3]}")
    parts = model.state.folder / "sync" / "metadata" / "parts"
    served[0].fault = cut_once(150_000)
    with pytest.raises(StoreError, match="expected"):
        pull(model)
    part = next(parts.iterdir())
    assert part.stat().st_size == 150_000
    served[0].fault = lambda handler, answer: False
    served[0].asked.clear()
    assert pull(model).labels == ["cup"]
    names, wrap, *ranges = [asked for about, asked in served[0].asked if about == "rounds"]
    assert names == "bytes=12-59" and wrap in {f"bytes={60 + 1168 * place}-{1227 + 1168 * place}" for place in range(3)}
    assert [int((asked or "").split("=")[1].split("-")[0]) for asked in ranges] == list(
        range(150_000, next((served[2] / "store" / "rounds").glob("*.current.round")).stat().st_size, 50_000)
    )
    assert list(parts.iterdir()) == []


@pytest.mark.parametrize("kept", [bytes(100_000), b"", bytes(10_000_000)], ids=["zeros", "nothing", "far too much"])
@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_parts_that_were_lost_in_a_power_cut_are_fetched_again(
    served: tuple[Wicked, Path, Path], place: str, kept: bytes
) -> None:
    model = device(served, place, f"lost {len(kept)}")
    sha256 = next((served[2] / "store" / "rounds").glob("*.current.round")).name.split(".")[0]
    parts = model.state.folder / "sync" / "metadata" / "parts"
    parts.mkdir(parents=True)
    (parts / f"{sha256}.part").write_bytes(kept)
    (parts / f"{'0' * 64}.part").write_bytes(b"of a round that is no more")
    assert pull(model).labels == ["cup"]
    assert list(parts.iterdir()) == []


def test_a_round_that_is_here_is_not_fetched_again(served: tuple[Wicked, Path, Path], place: str) -> None:
    model = device(served, place, f"again {place[:3]}")
    assert pull(model).new == ["cup"]
    served[0].asked.clear()
    assert pull(model).generation is None
    assert "rounds" not in {about for about, _ in served[0].asked}
    with model.state.writer():
        model.state.undo()
    served[0].asked.clear()
    with pytest.raises(RefusedError, match="was taken here and undone"):
        pull(model)
    assert "rounds" not in {about for about, _ in served[0].asked}
    assert pull(model, is_forced=True).new == ["cup"]
