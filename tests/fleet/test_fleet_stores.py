"""Stores that misbehave: every fault a network or a folder can have, between a real fleet and its real store."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleet_world import Member, bundle, new_hub

from edge_nusa.device.fleet import store as fleet_store
from edge_nusa.errors import EdgeNusaError, InputError, StoreError, TrustError
from edge_nusa.files import durable
from edge_nusa.knowledge import head as heads
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.whole_step import UpdateLimits
from edge_nusa.sync.stores import check as checks
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import MissingObjectError, Store, put


def rows(seed: int, count: int) -> np.ndarray:
    """Features of pictures that never were, by the head's own fixed point."""
    taps = bundle().manifest.image.taps
    return heads.features(np.random.default_rng(seed).normal(size=(count, taps)).astype(np.float32))


class Faulty:
    """A folder store whose verbs a test replaces."""

    def __init__(self, folder: str | Path) -> None:
        self.real = FolderStore(folder)
        self.list, self.get, self.put_new, self.head = self.real.list, self.real.get, self.real.put_new, self.real.head

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        """A part of what `get` gives."""
        return self.get(key, 1 << 30)[start : start + most_bytes]


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[Hub, Member, Member]:
    """A hub with one published round by a, and b that taught something and has synced nothing."""
    hub = new_hub(tmp_path)
    a, b = Member(tmp_path, hub, "a"), Member(tmp_path, hub, "b")
    a.teach({"cup": rows(1, 3)}, 1)
    a.push()
    hub.merge(MergeSettings())
    hub.publish()
    b.teach({"plate": rows(2, 4)}, 2)
    return hub, a, b


def through(monkeypatch: pytest.MonkeyPatch, change: Callable[[Faulty], None]) -> None:
    """Devices reach their store through a faulty one."""

    def opened(place: str) -> Store:
        faulty = Faulty(place)
        change(faulty)
        return faulty

    monkeypatch.setattr(fleet_store, "open_store", opened)


def timeout_after_effect(faulty: Faulty) -> None:
    def put_new(key: str, data: bytes) -> bool:
        faulty.real.put_new(key, data)
        raise StoreError(f"{key}: expected an answer, found none within 30 s; run it again")

    faulty.put_new = put_new


def nothing_arrives(faulty: Faulty) -> None:
    def put_new(key: str, data: bytes) -> bool:
        raise StoreError(f"{key}: expected an answer, found none within 30 s; run it again")

    faulty.put_new = put_new


@pytest.mark.parametrize("fault", [timeout_after_effect, nothing_arrives], ids=lambda fault: fault.__name__)
def test_a_push_that_was_not_answered_is_sent_again_and_counts_once(
    fleet: tuple[Hub, Member, Member], monkeypatch: pytest.MonkeyPatch, fault: Callable[[Faulty], None]
) -> None:
    hub, _, b = fleet
    with monkeypatch.context() as patched:
        through(patched, fault)
        for _ in range(2):  # the third time, the first fault has let both objects through
            with pytest.raises(StoreError, match="found none within 30 s"):
                b.push()
    assert b.push().sent == [1]
    hub.merge(MergeSettings())
    assert sorted(hub.current()[0].knowledge.head.counts.tolist()) == [3, 4]
    assert len(list((b.model.state.folder / "sync" / "sent").iterdir())) == 1


PORTAL = b"<!DOCTYPE html><html><body>Welcome to the airport. Please log in.</body></html>"
BODIES: dict[str, Callable[[bytes], bytes]] = {
    "partial": lambda body: body[: len(body) // 2],
    "truncated by one": lambda body: body[:-1],
    "empty": lambda body: b"",
    "longer": lambda body: body + b"\0",
    "a captive portal": lambda body: PORTAL,
    "zeros": lambda body: bytes(len(body)),
}


@pytest.mark.parametrize(
    "where", ["metadata/1.timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json", "rounds/"]
)
@pytest.mark.parametrize("body", BODIES)
def test_a_wrong_body_of_anything_is_not_taken_and_the_next_pull_works(
    fleet: tuple[Hub, Member, Member], monkeypatch: pytest.MonkeyPatch, where: str, body: str
) -> None:
    b = fleet[2]
    before = b.model.state.current()

    def change(faulty: Faulty) -> None:
        faulty.get = lambda key, most_bytes: (
            BODIES[body](faulty.real.get(key, most_bytes))
            if key.startswith(where)
            else faulty.real.get(key, most_bytes)
        )

    with monkeypatch.context() as patched:
        through(patched, change)
        with pytest.raises((StoreError, TrustError), match="nothing was taken|found"):
            b.pull()
    assert b.model.state.current() == before
    if body == "partial":
        assert b.pull().labels == ["cup", "plate"]


def test_a_stale_listing_gives_the_old_round_and_never_a_step_back(
    fleet: tuple[Hub, Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, a, b = fleet
    b.push()
    hub.merge(MergeSettings())
    hub.publish()

    def change(faulty: Faulty) -> None:
        faulty.list = lambda prefix: [key for key in faulty.real.list(prefix) if not key.startswith("metadata/2.")]

    with monkeypatch.context() as patched:
        through(patched, change)
        assert b.pull().round == 1
    assert b.pull().round == 2
    with monkeypatch.context() as patched:
        through(patched, change)
        with pytest.raises(TrustError, match="nothing was taken"):
            b.pull()
    assert b.labels == {"cup": 3, "plate": 4}


def test_a_full_disk_during_a_pull_changes_nothing(
    fleet: tuple[Hub, Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    b = fleet[2]
    before = b.model.state.current()
    real = os.write
    for allowed in range(0, 8, 2):
        count = itertools.count()

        def full(descriptor: int, data: bytes, count: Iterator[int] = count, allowed: int = allowed) -> int:
            if next(count) >= allowed:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(descriptor, data)

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(EdgeNusaError, match="free some disk space|No space left"):
                b.pull()
        assert b.model.state.current() == before
    assert b.pull().labels == ["cup", "plate"]


class Overwriting(Faulty):
    """A store that ignores the precondition of create-only writes, as some S3 servers do."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.put_new = self._put

    def _put(self, key: str, data: bytes) -> bool:
        path = self.real.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return True


class Half(Faulty):
    """A store that says no to a second write, and writes it nevertheless."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.put_new = self._put

    def _put(self, key: str, data: bytes) -> bool:
        is_new = self.real.put_new(key, data)
        if data == b"again":
            (self.real.folder / key).write_bytes(data + b" and again, and again, and again, and again")
        return is_new


def test_a_store_that_ignores_create_only_writes_is_refused_by_hub_check(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match="expected one of 8 writers at once to create it, found that 8 did; this store ignores"
    ):
        checks.check(Overwriting(tmp_path))
    with pytest.raises(StoreError, match="overwrites and must not be used|expected at most"):
        checks.check(Half(tmp_path))


def test_a_sound_folder_passes_the_check(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    done = checks.check(store)
    assert (done.races, done.writers) == (8, 8)
    assert set(done.keys) == set(store.list("check"))


def test_a_file_system_without_hard_links_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: object, target: object, **folders: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    store = FolderStore(tmp_path)
    assert store.put_new("a/b", b"first")
    assert not store.put_new("a/b", b"second")
    assert store.get("a/b", 10) == b"first"
    assert [path.name for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "key", ["../x", "/etc/passwd", "a/../b", "a//b", ".hidden", "a/.tmp-1", "A", "a b", "a\0", "a" * 401, ""]
)
def test_a_key_that_leads_out_of_the_store_is_refused(tmp_path: Path, key: str) -> None:
    store = FolderStore(tmp_path)
    for act in (
        lambda: store.put_new(key, b""),
        lambda: store.get(key, 1),
        lambda: store.head(key),
        lambda: store.list(key),
    ):
        with pytest.raises(StoreError, match="expected a key of small letters"):
            act()


def test_links_pipes_and_folders_in_a_store_are_neither_read_nor_listed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put_new("a/real", b"real")
    os.mkfifo(tmp_path / "a" / "pipe")
    (tmp_path / "a" / "link").symlink_to("/etc/hostname")
    (tmp_path / "a" / "folder").mkdir()
    assert store.list("a") == ["a/real"]
    for key in ("a/pipe", "a/link", "a/folder"):
        with pytest.raises(StoreError, match="expected"):
            store.get(key, 100)
        assert store.head(key) is None


def test_no_folder_of_a_store_is_reached_by_a_link(tmp_path: Path) -> None:
    outside, store = tmp_path / "outside", FolderStore(tmp_path / "store")
    store.create()
    store.put_new("updates/device/mine", b"mine")
    outside.mkdir()
    (outside / "mine").write_bytes(b"another's")
    for link, key in (("updates/linked", "updates/linked/mine"), ("linked", "linked/mine")):
        (tmp_path / "store" / link).symlink_to(outside)
        with pytest.raises(StoreError, match="found a link in the place of a folder; remove it from the store"):
            store.get(key, 10)
        with pytest.raises(StoreError, match="found a link in the place of a folder"):
            store.put_new(key.replace("mine", "new"), b"")
        with pytest.raises(StoreError, match="found a link in the place of a folder"):
            store.list(link)
        assert store.head(key) is None
    assert store.list("updates") == ["updates/device/mine"]
    assert os.listdir(outside) == ["mine"]
    (tmp_path / "link").symlink_to("store")
    linked = FolderStore(tmp_path / "link")
    assert linked.get("updates/device/mine", 10) == b"mine", "its user may reach the store itself by a link"
    assert linked.put_new("updates/device/other", b"other")


def test_what_takes_the_place_of_a_folder_while_an_object_is_written_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, store = tmp_path / "outside", FolderStore(tmp_path / "store")
    outside.mkdir()
    store.create()
    write = durable.write_file

    def swapped(*arguments: Any) -> None:
        os.rename(tmp_path / "store" / "updates", tmp_path / "store" / "old")
        (tmp_path / "store" / "updates").symlink_to(outside)
        write(*arguments)

    monkeypatch.setattr(durable, "write_file", swapped)
    assert store.put_new("updates/a", b"data")
    assert os.listdir(outside) == []
    assert (tmp_path / "store" / "old" / "a").read_bytes() == b"data"


def test_an_endless_object_is_cut_off(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put_new("a/large", bytes(10_000_000))
    with pytest.raises(StoreError, match="expected at most 100 bytes, found more"):
        store.get("a/large", 100)
    with pytest.raises(MissingObjectError, match="expected an object of the store, found none"):
        store.get("a/none", 1)
    with pytest.raises(
        StoreError, match="expected the 2 bytes put there, found others|expected at most 2 bytes, found more"
    ):
        put(store, "a/large", b"no")


def test_a_place_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found the scheme 'ftp'"):
        open_store("ftp://example/fleet")
    assert isinstance(open_store(str(tmp_path)), FolderStore)
    assert UpdateLimits().pictures == 1000
