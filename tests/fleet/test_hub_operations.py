"""Publishing, enrolling and rotating under one lock, by a clock that may be wrong; a hub that could not be made."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fleet_world import Member, bundle, new_hub, one_round, scans

from edge_nusa.errors import DamagedError, InputError, ResourceError, StoreError, TrustError
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub import take_back
from edge_nusa.sync.hub.folder import RootKeys
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.trust import publication_clock
from edge_nusa.sync.trust.repository import Expiry, Repository

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    made = new_hub(tmp_path)
    member = Member(tmp_path, made, "a")
    member.teach({"three": scans()[1][:5]}, 1)
    one_round(made, [member])
    return made


def test_a_publication_that_is_overtaken_ends_before_the_next_merge_begins(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    real, published = Repository.publish, list[int]()

    def slow(self: Repository, number: int, *rest: object) -> int:
        if not begun.is_set():
            begun.set()
            may_end.wait(60)
        published.append(number)
        return real(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Repository, "publish", slow)
    other = Hub(hub.folder, bundle())
    first = threading.Thread(target=hub.publish)
    first.start()
    assert begun.wait(60)
    late = Member(hub.folder.parent, other, "b")
    late.teach({"four": scans()[1][5:9]}, 2)
    late.push()
    second = threading.Thread(target=lambda: (other.merge(MergeSettings()), other.publish()))
    second.start()
    second.join(0.5)
    assert second.is_alive()
    may_end.set()
    first.join(60)
    second.join(60)
    assert published == [1, 2]
    late.pull()
    assert late.knows.round.number == 2


@pytest.mark.parametrize("work", ["enroll", "revoke", "publish", "take_back", "undo", "rotate"])
def test_whatever_changes_a_hub_waits_for_who_changes_it(
    hub: Hub, work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = type(hub.state)._lock
    monkeypatch.setattr(type(hub.state), "_lock", lambda self, seconds: real(self, 0.01))
    deeds = {
        "enroll": lambda: hub.enroll(b"", "x", "x.pub"),
        "revoke": lambda: hub.revoke("a"),
        "publish": hub.publish,
        "take_back": lambda: take_back.take_back(hub, "a"),
        "undo": lambda: take_back.undo(hub),
        "rotate": lambda: hub_folder.rotate(hub.folder, tmp_path / "root-keys", None),
    }
    writing = "another task of this edge-nusa writing"
    with Hub(hub.folder, bundle()).state.writer(), pytest.raises(ResourceError, match=writing):
        _in_thread(deeds[work])


def _in_thread(deed: object) -> None:
    """A lock is one thread's: what another one meets is raised here."""
    met: list[BaseException] = []

    def run() -> None:
        try:
            deed()  # type: ignore[operator]
        except (ResourceError, InputError, TrustError, DamagedError) as error:
            met.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    if met:
        raise met[0]


@pytest.mark.parametrize(("back", "sound"), [(timedelta(hours=23), True), (timedelta(days=1, seconds=1), False)])
def test_a_clock_behind_the_last_publication_publishes_nothing(tmp_path: Path, back: timedelta, sound: bool) -> None:
    publication_clock.check(tmp_path, NOW + timedelta(days=1), NOW)
    publication_clock.remember(tmp_path, NOW)
    if sound:
        publication_clock.check(tmp_path, NOW + timedelta(days=1), NOW - back)
        return
    with pytest.raises(
        TrustError,
        match="expected a clock after the last publication, on 2026-11-26, found 2026-11-24; nothing was",
    ):
        publication_clock.check(tmp_path, NOW + timedelta(days=1), NOW - back)


def test_an_expired_root_says_that_it_must_be_rotated(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    publication_clock.check(hub.folder / "none", NOW + timedelta(seconds=1), NOW)
    with pytest.raises(
        TrustError, match="the fleet's root expired on 2026-11-26, and this clock says 2056-11-18; .*run `edge-nusa hub"
    ):
        publication_clock.check(hub.folder / "none", NOW, NOW + timedelta(days=10_950))
    with pytest.raises(TrustError, match="the fleet's root expired"):
        publication_clock.check(hub.folder / "none", NOW, NOW)
    before = sorted(path.name for path in (Path(hub.settings.store) / "metadata").iterdir())
    monkeypatch.setattr("edge_nusa.sync.trust.repository.datetime", _Later)
    with pytest.raises(TrustError, match="run `edge-nusa hub rotate`, or set this clock"):
        hub.publish()
    assert sorted(path.name for path in (Path(hub.settings.store) / "metadata").iterdir()) == before


class _Later(datetime):
    """A clock in the year 2080."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime(2080, 1, 1, tzinfo=UTC)


def test_a_publication_is_remembered_and_a_file_that_is_none_is_said(hub: Hub) -> None:
    path = hub.folder / publication_clock.NAME
    assert path.exists()
    path.write_bytes(b'{"seconds": 1e999}')
    with pytest.raises(DamagedError, match=r"published.json: .*restore the file, or remove it"):
        hub.publish()


def keys_of(folder: Path) -> list[Path]:
    return [path for name in ("root-keys", "hub/keys") for path in (folder / name).glob("*")]


def make(folder: Path) -> None:
    hub_folder.create(folder / "hub", str(folder / "store"), bundle(), RootKeys(folder / "root-keys"), Expiry())


def test_a_hub_that_could_not_be_made_leaves_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(self: FolderStore, key: str, data: bytes) -> bool:
        raise StoreError("the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "put_new", no_answer)
        for _ in range(2):
            with pytest.raises(StoreError, match="the store does not answer"):
                make(tmp_path)
            assert keys_of(tmp_path) == []
    make(tmp_path)
    made = sorted(keys_of(tmp_path))
    assert len(made) == 6
    with pytest.raises(InputError, match="expected no hub yet, found one; choose another --hub"):
        make(tmp_path)
    assert sorted(keys_of(tmp_path)) == made


def test_a_store_that_has_a_fleet_is_refused_before_any_key_is_made(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(InputError, match="store: expected a store without a fleet, found one; choose another place"):
        hub_folder.create(tmp_path / "other", str(tmp_path / "store"), bundle(), RootKeys(tmp_path / "keys"), Expiry())
    assert not (tmp_path / "keys").exists() and not (tmp_path / "other" / "keys").exists()
