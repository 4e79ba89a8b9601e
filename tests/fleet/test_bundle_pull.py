"""A bundle goes through a store: published, pulled, proved, cut off and gone on with, by real files of the model
`micro` and the product's own code."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import MICRO, bytes_of, run_cli
from fleet_world import Member, bundle, new_hub
from test_fleet_stores import rows

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, ResourceError, StoreError, TrustError
from edge_nusa.files.file_record import FileRecord, sha256_hex
from edge_nusa.files.lock import Lock
from edge_nusa.model import manifest as manifests
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State
from edge_nusa.sync.bundles import fetching
from edge_nusa.sync.bundles import pull as pulling
from edge_nusa.sync.bundles import source as sources
from edge_nusa.sync.bundles.announced import LONGEST_MODEL, Announced, bundles_in, target_of
from edge_nusa.sync.bundles.index import PART_BYTES, Index, part_key
from edge_nusa.sync.bundles.pull import Pulled, pull
from edge_nusa.sync.bundles.source import Source
from edge_nusa.sync.hub import bundles as hub_bundles
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub import running
from edge_nusa.sync.hub.bundles import Offer, listed, publish_bundle, withdraw_bundle
from edge_nusa.sync.hub.folder import RootKeys
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.trust.repository import Expiry


def quiet(done: int, total: int) -> None:
    """Is told, and says nothing."""


class World:
    """A hub over a store with micro published, and whoever pulls from it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.hub, self.place = folder, folder / "hub", folder / "store"
        hub_folder.create(self.hub, str(self.place), bundle(), RootKeys(folder / "root-keys"), Expiry())

    @property
    def source(self) -> Source:
        return Source(FolderStore(self.place), (self.hub / "root.json").read_bytes(), self.folder / "trust")

    def publish(self, what: Bundle | None = None, **offer: Any) -> Announced:
        return publish_bundle(self.hub, Offer(what or bundle(), **offer), quiet)

    def pull(self, out: Path, name: str = "micro", **limits: Any) -> Pulled:
        return pull(self.source, self.source.bundles()[name], out, quiet, **limits)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world whose store tests read and do not change."""
    world = World(tmp_path_factory.mktemp("made"))
    world.publish()
    return world


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    """A copy of it that a test may change."""
    shutil.copytree(made.hub, tmp_path / "hub")
    shutil.copytree(made.place, tmp_path / "store")
    settings = json.loads((tmp_path / "hub" / "settings.json").read_text())
    (tmp_path / "hub" / "settings.json").write_text(json.dumps(settings | {"store": str(tmp_path / "store")}))
    copy = object.__new__(World)
    copy.folder, copy.hub, copy.place = tmp_path, tmp_path / "hub", tmp_path / "store"
    return copy


def changed_bundle(folder: Path, **fields: Any) -> Bundle:
    """micro with another README, and other fields of its manifest."""
    shutil.copytree(MICRO, folder)
    text = b"# another\n"
    (folder / "README.md").write_bytes(text)
    files = {**bundle().manifest.files, "README.md": FileRecord(sha256_hex(text), len(text))}
    made = replace(bundle().manifest, **{"files": files, **fields})
    (folder / "manifest.json").write_bytes(manifests.encode(made))
    return Bundle.open(folder)


def part_of_weights(world: World, place: int = 1) -> Path:
    """The store's file of a part of the weights."""
    source = world.source
    index = source.index(source.bundles()["micro"])
    return world.place / part_key(index.files["weights.safetensors"].parts[place])


class Cut:
    """A store that is gone after so many answers."""

    def __init__(self, inside: FolderStore, answers: int) -> None:
        self.inside, self.left = inside, answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        if not self.left:
            raise StoreError(f"{key}: expected an answer, found none")
        self.left -= 1
        return self.inside.get_part(key, start, most_bytes)


class Counted(Cut):
    """A store that counts what it gives."""

    def __init__(self, inside: FolderStore) -> None:
        super().__init__(inside, 10_000)
        self.given: list[int] = []

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        found = self.inside.get_part(key, start, most_bytes)
        self.given.append(len(found))
        return found


def test_a_bundle_comes_out_of_a_store_as_it_went_in(made: World, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    one = made.source.bundles()["micro"]
    done = pull(made.source, one, tmp_path / "new" / "micro", lambda *seen: told.append(seen))
    assert bytes_of(Path(done.folder)) == bytes_of(MICRO)
    assert (done.fetched_bytes, done.bytes) == (one.bytes, sum(map(len, bytes_of(MICRO).values())))
    assert Bundle.open(tmp_path / "new" / "micro").manifest.identity.sha256 == one.identity
    assert told[-1] == (one.bytes, one.bytes) and [one for one, _ in told] == sorted(one for one, _ in told)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["micro"]
    assert (one.version, one.model, one.precision, one.multiply_adds) == (1, "micro", "fp16", 0)


def test_what_is_here_already_is_not_fetched_again(made: World, tmp_path: Path) -> None:
    made.pull(tmp_path / "micro")
    store = Counted(FolderStore(made.place))
    source = replace(made.source, store=store)
    done = pull(source, source.bundles()["micro"], tmp_path / "micro", quiet)
    assert (done.fetched_bytes, store.given) == (0, [])
    (tmp_path / ".micro.pull").mkdir()
    (tmp_path / ".micro.pull" / "lock").touch()
    assert made.pull(tmp_path / "micro").fetched_bytes == 0
    assert os.listdir(tmp_path) == ["micro"], "also what a kill just after the rename leaves"
    (tmp_path / "micro" / "README.md").write_bytes(b"changed")
    with pytest.raises(DamagedError, match="README.md: expected .* bytes, found 7"):
        made.pull(tmp_path / "micro")


def test_a_pull_that_another_one_overtook_fetches_nothing(
    made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, store = pulling._is_here, Counted(FolderStore(made.place))

    def overtaken(out: Path, index: Index) -> bool:
        monkeypatch.setattr(pulling, "_is_here", real)
        found = real(out, index)
        made.pull(out)
        return found

    monkeypatch.setattr(pulling, "_is_here", overtaken)
    source = replace(made.source, store=store)
    done = pull(source, source.bundles()["micro"], tmp_path / "micro", quiet)
    assert (done.fetched_bytes, store.given, os.listdir(tmp_path)) == (0, [], ["micro"])


def test_no_folder_with_something_else_in_it_is_touched(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="expected an empty folder, or none, found one with other things in it"):
        world.pull(tmp_path / "other")
    other = changed_bundle(tmp_path / "second")
    before = bytes_of(tmp_path / "second")
    with pytest.raises(InputError, match="nor another version of this one, found one, which stays: what was taught"):
        world.pull(other.folder)
    assert bytes_of(tmp_path / "second") == before
    (tmp_path / "empty").mkdir()
    assert world.pull(tmp_path / "empty").fetched_bytes


@pytest.mark.parametrize("answers", [0, 1, 3, 7, 11])
def test_a_pull_that_was_cut_off_goes_on_where_it_was(made: World, tmp_path: Path, answers: int) -> None:
    one = made.source.bundles()["micro"]
    cut = replace(made.source, store=Cut(FolderStore(made.place), answers))
    with pytest.raises(StoreError, match="expected an answer, found none"):
        pull(cut, one, tmp_path / "micro", quiet)
    assert not (tmp_path / "micro").exists()
    kept = sum(map(len, bytes_of(tmp_path / ".micro.pull" / one.index).values()))
    store = Counted(FolderStore(made.place))
    source = replace(made.source, store=store)
    assert pull(source, one, tmp_path / "micro", quiet).fetched_bytes == one.bytes - kept
    assert sum(store.given) == one.bytes - kept
    assert (kept == 0) == (answers == 0)
    assert bytes_of(tmp_path / "micro") == bytes_of(MICRO)
    assert not (tmp_path / ".micro.pull").exists()


LOST: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda data: bytes(len(data)),
    "cut": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + bytes(100),
    "another end": lambda data: data[:-1] + b"\0",
}


@pytest.mark.parametrize("lost", LOST)
def test_what_a_power_cut_left_wrong_is_fetched_again(made: World, tmp_path: Path, lost: str) -> None:
    one = made.source.bundles()["micro"]
    begun = tmp_path / ".micro.pull" / one.index
    shutil.copytree(MICRO, begun)
    path = begun / "weights.safetensors"
    path.write_bytes(LOST[lost](path.read_bytes()))
    shutil.copytree(begun, begun.parent / ("0" * 64))  # of an older version
    store = Counted(FolderStore(made.place))
    source = replace(made.source, store=store)
    pull(source, one, tmp_path / "micro", quiet)
    assert bytes_of(tmp_path / "micro") == bytes_of(MICRO)
    assert sum(store.given) < PART_BYTES * 2.1, "parts that were whole stayed"


SECOND_BYTES = (MICRO / "weights.safetensors").stat().st_size - PART_BYTES
"""Of the part that is made wrong, the last of the weights."""
WRONG: dict[str, tuple[Callable[[bytes], bytes], type[EdgeNusaError], str]] = {
    "other bytes": (
        lambda data: bytes(len(data)),
        TrustError,
        "weights.safetensors: .* the hub signed, found others",
    ),
    "a portal's page": (lambda data: b"<html>", StoreError, f"expected {SECOND_BYTES} bytes, found 6; someone"),
    "none": (lambda data: b"", StoreError, f"expected {SECOND_BYTES} bytes, found 0; someone else writes"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_bytes_in_a_store_are_not_taken_and_the_next_pull_works(world: World, tmp_path: Path, wrong: str) -> None:
    change, kind, words = WRONG[wrong]
    path = part_of_weights(world)
    right = path.read_bytes()
    path.write_bytes(change(right))
    for _ in range(2):
        with pytest.raises(kind, match=words):
            world.pull(tmp_path / "micro")
    assert not (tmp_path / "micro").exists()
    path.write_bytes(right + b"more")  # what is longer begins with what was signed
    assert bytes_of(Path(world.pull(tmp_path / "micro").folder)) == bytes_of(MICRO)


def test_a_lost_part_or_index_is_named(world: World, tmp_path: Path) -> None:
    part_of_weights(world).unlink()
    with pytest.raises(StoreError, match="expected an object of the store, found none"):
        world.pull(tmp_path / "micro")
    one = world.source.bundles()["micro"]
    (world.place / one.key).write_bytes(b"{}" + bytes(one.index_bytes - 2))
    with pytest.raises(TrustError, match=f"expected the {one.index_bytes} bytes that the hub signed, found others"):
        world.pull(tmp_path / "micro")
    (world.place / one.key).unlink()
    with pytest.raises(StoreError, match="expected what the hub announced, found no such object; wait until"):
        world.pull(tmp_path / "micro")


def test_older_metadata_and_another_fleets_are_not_taken(world: World, tmp_path: Path) -> None:
    world.publish(changed_bundle(tmp_path / "second"))
    assert world.source.bundles()["micro"].version == 2
    newest = [*(world.place / "metadata").glob("2.*.json")]
    for path in newest:
        path.rename(tmp_path / path.name)
    with pytest.raises(TrustError, match="nothing was taken: ask who writes to this store"):
        world.source.bundles()
    for path in newest:
        (tmp_path / path.name).rename(path)
    other = World(tmp_path / "other")
    with pytest.raises(TrustError, match="nothing was taken: ask who writes to this store"):
        replace(world.source, root=(other.hub / "root.json").read_bytes(), folder=tmp_path / "others").bundles()
    with pytest.raises(StoreError, match="expected something published in the store, found nothing; publish a bundle"):
        other.source.bundles()


def test_a_name_gets_a_newer_version_only_where_something_changed(world: World, tmp_path: Path) -> None:
    before = {path.name for path in (world.place / "bundles").iterdir()}
    assert world.publish().version == 1
    assert {path.name for path in (world.place / "bundles").iterdir()} == before
    second = changed_bundle(tmp_path / "second")
    assert world.publish(second, multiply_adds=5).version == 2
    assert len({path.name for path in (world.place / "bundles").iterdir()} - before) == 3, "README, manifest, index"
    found = world.source.bundles()["micro"]
    assert (found.version, found.multiply_adds) == (2, 5)
    assert world.pull(tmp_path / "new").version == 2
    assert bytes_of(tmp_path / "new") == bytes_of(second.folder)
    assert world.publish().version == 3, "what comes back is newer too"


def test_a_name_stays_with_its_model_and_precision(world: World, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="micro: expected micro in fp16, as published under that name, found other in fp16; give it"
    ):
        world.publish(changed_bundle(tmp_path / "other", model="other"), name="micro")
    with pytest.raises(InputError, match="found micro in fp32; give it a --name of its own"):
        world.publish(changed_bundle(tmp_path / "fp32", precision="fp32"))
    made = world.publish(Bundle.open(tmp_path / "fp32"), name="micro-fp32")
    assert (made.name, made.version) == ("micro-fp32", 1)
    assert [one.name for one in listed(world.hub)] == ["micro", "micro-fp32"] == [*world.source.bundles()]


def test_a_withdrawn_bundle_is_offered_no_more_and_comes_back_as_a_newer_version(world: World) -> None:
    assert withdraw_bundle(world.hub, "micro").version == 1
    assert (listed(world.hub), world.source.bundles()) == ([], {})
    with pytest.raises(InputError, match="expected a bundle called 'micro', found none"):
        withdraw_bundle(world.hub, "micro")
    assert world.publish().version == 2
    assert world.source.bundles()["micro"].version == 2


def test_a_hub_has_so_many_names_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_bundles, "MOST_BUNDLES", 2)
    world.publish(name="two")
    world.publish(name="two")
    with pytest.raises(InputError, match="three: expected at most 2 names of bundles, found 2; use one again"):
        world.publish(name="three")


def test_a_bundle_that_changes_while_it_is_published_is_not_announced(world: World, tmp_path: Path) -> None:
    second = changed_bundle(tmp_path / "second")
    (second.folder / "vocabulary.txt").write_bytes(b"changed")
    with pytest.raises(DamagedError, match="vocabulary.txt: expected the file that the manifest lists, found it"):
        world.publish(second)
    assert world.source.bundles()["micro"].version == 1


def test_a_publication_that_was_cut_off_sends_only_what_is_missing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(world.place / "bundles")
    put = FolderStore.put_new
    sent: list[str] = []

    def cut(store: FolderStore, key: str, data: bytes) -> bool:
        if len(sent) == 5:
            raise StoreError("expected an answer, found none")
        sent.append(key)
        return put(store, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "put_new", cut)
        with pytest.raises(StoreError, match="found none"):
            world.publish(changed_bundle(tmp_path / "second"))
    assert world.source.bundles()["micro"].version == 1
    first, sent[:] = set(sent), []

    def counted(store: FolderStore, key: str, data: bytes) -> bool:
        sent.append(key)
        return put(store, key, data)

    monkeypatch.setattr(FolderStore, "put_new", counted)
    assert world.publish(Bundle.open(tmp_path / "second")).version == 2
    assert len(first) == 5 and not first & set(sent)


def test_more_than_was_allowed_or_fits_the_disk_is_not_begun(
    made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = made.source.bundles()["micro"].bytes
    with pytest.raises(ResourceError, match=rf"expected at most {size - 1} bytes \(--max-bytes\), found {size} to"):
        made.pull(tmp_path / "micro", most_bytes=size - 1)
    room = size + pulling.SPARE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=room - 1))
    with pytest.raises(ResourceError, match="expected 61 MiB of free disk space for micro, found 61; free some"):
        made.pull(tmp_path / "micro")
    assert not list((tmp_path / ".micro.pull").glob("*/*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=room))
    assert made.pull(tmp_path / "micro", most_bytes=size).fetched_bytes == size


def test_two_pulls_into_one_folder_do_not_meet(made: World, tmp_path: Path) -> None:
    (tmp_path / ".micro.pull").mkdir()
    lock = Lock(tmp_path / ".micro.pull" / "lock")
    assert lock.acquire()
    try:
        with pytest.raises(ResourceError, match="expected no other pull into it, found one running; wait for it"):
            made.pull(tmp_path / "micro")
    finally:
        lock.release()


def test_a_bundle_that_is_not_what_was_announced_is_refused(world: World, tmp_path: Path) -> None:
    repository = hub_bundles._repository(world.hub)
    one = bundles_in(repository.targets())["micro"]
    repository.sign({one.path: target_of(replace(one, identity="0" * 64))})
    with pytest.raises(TrustError, match="expected the bundle that the hub announced, found another in its files"):
        world.pull(tmp_path / "micro")
    assert not (tmp_path / "micro").exists() and not list((tmp_path / ".micro.pull").glob("*/*"))
    repository.sign({one.path: target_of(replace(one, bytes=one.bytes + 1))})
    with pytest.raises(TrustError, match=f"expected files of {one.bytes + 1} bytes, found {one.bytes} of them"):
        world.pull(tmp_path / "micro")


def test_another_sync_of_the_fleet_is_waited_for_and_no_longer_than_a_while(
    made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(made.source, folder=tmp_path / "trust")
    found.bundles()
    lock = Lock(tmp_path / "trust" / "lock")
    assert lock.acquire()
    monkeypatch.setattr(sources, "WAIT_SECONDS", 0.01)
    try:
        with pytest.raises(ResourceError, match="expected no other sync of this fleet, found one running; wait for it"):
            found.bundles()
    finally:
        lock.release()


def test_a_store_may_take_as_long_as_the_slowest_line_needs(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("edge_nusa.sync.stores.store.time.monotonic", lambda: clock[0])
    store = made.source.timed(2048 * 100)
    clock[0] += 1599.9
    assert store.head("none") is None
    clock[0] += 0.2
    with pytest.raises(StoreError, match="expected the store to be done within 1600 s, found it still at it"):
        store.head("none")


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        ([0.0] * 5, [1, 2, 4, 8, 16, 16]),
        ([3.99], [1, 2]),
        ([4.0, 60.0], [1, 1, 1]),
        ([0.0, 5.0, 0.0], [1, 2, 2, 4]),
    ],
)
def test_more_is_asked_for_at_once_where_it_comes_quickly(seconds: list[float], sizes: list[int]) -> None:
    pace = fetching.Pace()
    found = [pace.bytes]
    for one in seconds:
        pace.took(one)
        found.append(pace.bytes)
    assert [one / (1 << 18) for one in found] == sizes


class TestBesideRounds:
    """Rounds and bundles are in one store, and neither disturbs the other."""

    @pytest.fixture
    def fleet(self, world: World) -> Iterator[tuple[World, Hub, Member]]:
        hub = Hub(world.hub, bundle())
        yield world, hub, Member(world.folder, hub, "a")

    def test_a_store_of_bundles_alone_has_no_round_yet(self, fleet: tuple[World, Hub, Member]) -> None:
        _, hub, member = fleet
        with pytest.raises(
            StoreError, match="expected a published round in the store, found none: no round is published yet; "
        ):
            member.pull()
        assert hub.merge(MergeSettings()).made is None

    def test_rounds_and_bundles_outlive_each_others_publications(self, fleet: tuple[World, Hub, Member]) -> None:
        world, hub, member = fleet
        member.teach({"cup": rows(1, 4)}, 1)
        member.push()
        hub.merge(MergeSettings())
        hub.publish()
        assert (member.pull().round, world.source.bundles()["micro"].version) == (1, 1)
        member.teach({"plate": rows(2, 4)}, 2)
        member.push()
        hub.merge(MergeSettings())
        world.publish(name="second")
        assert member.pull().round == 1, "what was merged and not published stays so"
        assert [*world.source.bundles()] == ["micro", "second"]
        hub.publish()
        assert (member.pull().round, [*world.source.bundles()]) == (2, ["micro", "second"])

    def test_a_hub_restored_from_a_backup_keeps_what_it_announced_since(self, world: World, tmp_path: Path) -> None:
        shutil.copytree(world.hub, tmp_path / "backup")
        world.publish(name="second")
        withdraw_bundle(world.hub, "micro")
        shutil.rmtree(world.hub)
        shutil.copytree(tmp_path / "backup", world.hub)
        assert [one.name for one in listed(world.hub)] == ["second"]
        os.unlink(world.hub / "current-targets.json")
        world.publish(name="third")
        assert [*world.source.bundles()] == ["second", "third"]

    def test_a_store_that_hides_the_newest_cannot_bring_an_older_bundle_back(self, world: World) -> None:
        withdraw_bundle(world.hub, "micro")
        for path in (world.place / "metadata").glob("2.*.json"):
            path.unlink()
        world.publish(name="second")
        assert [one.name for one in listed(world.hub)] == ["second"]

    def test_bundles_are_announced_again_after_a_rotation(self, made: World, world: World) -> None:
        hub_folder.rotate(world.hub, made.folder / "root-keys", None)
        world.publish(name="second")
        assert [*world.source.bundles()] == ["micro", "second"]

    def test_a_bundle_on_its_way_into_the_store_holds_nobody_up(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub, seen = Hub(world.hub, bundle()), list[int]()
        real = State._lock
        monkeypatch.setattr(State, "_lock", lambda self, seconds: real(self, 0.01))

        def busy(done: int, total: int) -> None:
            if not seen:
                seen.append(hub.merge(MergeSettings()).round)
                world.publish(name="beside")

        made = publish_bundle(world.hub, Offer(changed_bundle(tmp_path / "second"), "micro"), busy)
        assert (seen, made.version) == ([0], 2)
        assert [*world.source.bundles()] == ["beside", "micro"]

    def test_a_rotation_lists_what_whoever_had_the_old_keys_may_have_announced(self, made: World, world: World) -> None:
        shutil.copytree(world.hub, world.folder / "thief")
        publish_bundle(world.folder / "thief", Offer(bundle(), "stolen"), quiet)
        world.publish()  # the hub signs on from the newest that its keys signed
        words = ("hub", "rotate", "--root-keys", made.folder / "root-keys", "--hub", world.hub)
        done = run_cli(*words, "--format", "human")
        assert done.returncode == 0, done.stderr
        assert "these bundles anew: micro (version 1), stolen (version 1); withdraw what you did not" in done.stdout
        withdraw_bundle(world.hub, "stolen")
        assert [*world.source.bundles()] == ["micro"]
        said = json.loads(run_cli(*words).stdout)
        assert (said["root"], [one["name"] for one in said["bundles"]]) == (3, ["micro"])

    def test_a_hub_that_only_gives_bundles_signs_them_anew(self, made: World, world: World) -> None:
        hub = Hub(world.hub, bundle())
        assert running.run(hub, MergeSettings()).publish is None, "no third of its days has gone yet"
        hub_folder.rotate(world.hub, made.folder / "root-keys", None)
        with pytest.raises(TrustError, match="not what the fleet.s root vouches for"):
            world.source.bundles()
        done = running.run(hub, MergeSettings(), str(world.folder / "www"))
        assert (done.exit_code, done.reason) == (0, "the store has no publication of this hub")
        assert done.publish is not None and (done.publish.round, done.publish.words) == (0, "signed the bundles anew")
        assert [*world.source.bundles()] == ["micro"]
        hub.settings = replace(hub.settings, expiry=Expiry(timestamp_days=90))
        assert running.run(hub, MergeSettings()).reason.startswith("the last publication is believed until ")
        assert hub.publish().timestamp == 4
        (world.folder / "empty").mkdir()
        empty = new_hub(world.folder / "empty")
        assert running.reason_of(empty) == ""
        with pytest.raises(InputError, match="expected a merged round, found none; run `edge-nusa hub merge` after"):
            empty.publish()


def test_a_model_of_a_long_name_is_announced_by_its_beginning(world: World, tmp_path: Path) -> None:
    long = changed_bundle(tmp_path / "long", model="m" * (LONGEST_MODEL + 1))
    for version in (1, 1):
        made = world.publish(long, name="long")
        assert (made.version, made.model) == (version, "m" * LONGEST_MODEL)
