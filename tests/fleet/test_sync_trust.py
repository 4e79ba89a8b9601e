"""What a hostile store can do to a device that pulls: TUF's attacks, each done to the files of a real store. It can
only withhold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from identities import identity
from tuf.api.metadata import Metadata, Root

from edge_nusa.errors import EdgeNusaError, StoreError, TrustError
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.folder import RootKeys
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.trust import keys, roots, sealing_keys
from edge_nusa.sync.trust.repository import Expiry, Repository, new_online_keys
from edge_nusa.sync.trust.roots import Terms
from edge_nusa.sync.trust.sealing import NotForThisKeyError
from edge_nusa.sync.trust.sealing_keys import SealingKey
from edge_nusa.sync.trust.trusted import Bounds, Published, newest_round

LIMIT = 10_000


class World:
    """A fleet's repository in one folder, and a device that follows it."""

    def __init__(self, folder: Path, count: int = 3, threshold: int = 2) -> None:
        self.folder, self.hub, self.cache = folder, folder / "hub", folder / "cache"
        self.store = FolderStore(folder / "store")
        self.store.create()
        self.key = SealingKey(bytes([9]) * 96)
        signers = [keys.new_named_key(folder / "roots", "root") for _ in range(count)]
        terms = Terms(sealing_keys.new_named_key(self.hub / "keys").public, "groups")
        self.root = roots.new_root(signers, threshold, new_online_keys(self.hub), terms)
        self.repository = Repository(self.store, self.hub)
        self.repository.publish_root(self.root)
        settings = {
            "format_version": 3,
            "fleet": "f",
            "store": str(folder / "store"),
            "identity": asdict(identity()),
            "expiry": {},
        }
        (self.hub / "settings.json").write_text(json.dumps(settings))

    def publish(self, number: int) -> None:
        self.repository.publish(number, plain(number), [self.key.public])

    def pull(self) -> Published:
        return newest_round(self.store, self.root, self.cache, Bounds(LIMIT), self.key)

    def files(self, pattern: str) -> list[Path]:
        return sorted(
            (self.folder / "store").glob(pattern),
            key=lambda path: int(path.name.split(".")[0]) if path.name[0].isdigit() else 0,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A fleet with a published round that its device has pulled."""
    made = World(tmp_path)
    made.publish(1)
    assert made.pull().number == 1
    return made


def plain(number: int) -> bytes:
    return f"round {number}".encode() * 10


def round_file(world: World, suffix: str = "current.round", place: int = -1) -> Path:
    """An object of the newest publication, or of the one at this place."""
    targets = json.loads(world.files("metadata/*.targets.json")[place].read_bytes())
    target = targets["signed"]["targets"]["rounds/current.round"]
    sha256 = target["custom"]["keys"] if suffix == "current.keys" else target["hashes"]["sha256"]
    return world.folder / "store" / "rounds" / f"{sha256}.{suffix}"


def arbitrary_installation(world: World) -> None:
    path = round_file(world)
    path.write_bytes(b"X" * path.stat().st_size)


def endless_round(world: World) -> None:
    path = round_file(world)
    path.write_bytes(path.read_bytes() * 1000)


def endless_timestamp(world: World) -> None:
    world.files("metadata/*.timestamp.json")[-1].write_bytes(b"{" * 10_000_000)


def changed_wraps(world: World) -> None:
    path = round_file(world, "current.keys")
    data = path.read_bytes()
    path.write_bytes(data[:44] + bytes(len(data) - 44))  # after two names, the wraps


def changed_names(world: World) -> None:
    path = round_file(world, "current.keys")
    path.write_bytes(bytes(44) + path.read_bytes()[44:])


def cut_keys(world: World) -> None:
    path = round_file(world, "current.keys")
    path.write_bytes(path.read_bytes()[: 44 + 1167])  # a byte less than the first wrap


def keys_of_another_round(world: World) -> None:
    shutil.copy(round_file(world, "current.keys", 0), round_file(world, "current.keys"))


def content_of_another_round(world: World) -> None:
    shutil.copy(round_file(world, place=0), round_file(world))


def extraneous_target(world: World) -> None:
    path = world.files("metadata/*.targets.json")[-1]
    record = json.loads(path.read_bytes())
    record["signed"]["targets"]["rounds/more.round"] = record["signed"]["targets"]["rounds/current.round"]
    path.write_text(json.dumps(record))


def wrong_round_number(world: World) -> None:
    path = world.files("metadata/*.targets.json")[-1]
    record = json.loads(path.read_bytes())
    record["signed"]["targets"]["rounds/current.round"]["custom"]["round"] = 99
    path.write_text(json.dumps(record))


def mix_and_match(world: World) -> None:
    old, new = world.files("metadata/*.targets.json")[-2:]
    shutil.copy(old, new)


def mixed_snapshot(world: World) -> None:
    old, new = world.files("metadata/*.snapshot.json")[-2:]
    shutil.copy(old, new)


def malicious_mirror(world: World) -> None:
    """All of another fleet's metadata, well signed by its own keys."""
    other = World(world.folder / "other")
    for number in (1, 2, 3):
        other.publish(number)
    shutil.rmtree(world.folder / "store")
    shutil.copytree(world.folder / "other" / "store", world.folder / "store")


def captive_portal(world: World) -> None:
    for path in world.files("metadata/*.json"):
        path.write_bytes(b"<html><title>Sign in to WiFi</title></html>")


def cut_short(world: World) -> None:
    path = round_file(world)
    path.write_bytes(path.read_bytes()[:-1])


def key_below_threshold(world: World) -> None:
    """One of three root keys is stolen, two must sign: its thief signs a root with keys of their own."""
    stolen = keys.load_keys(world.folder / "roots", "root")[:1]
    mine = new_online_keys(world.folder / "thief")
    sealing = sealing_keys.new_named_key(world.folder / "thief" / "keys").public
    forged = roots.rotated_root(_one_is_enough(world.repository.root()), stolen, stolen, 1, mine, sealing)
    (world.folder / "store" / "metadata" / "2.root.json").write_bytes(forged)
    thief = Repository(FolderStore(world.folder / "store"), world.folder / "thief")
    (world.folder / "thief" / "current-root.json").write_bytes(forged)
    thief.publish(66, b"malware", [world.key.public])


def _one_is_enough(root: Metadata[Root]) -> Metadata[Root]:
    root.signed.roles["root"].threshold = 1
    return root


ATTACKS = [
    arbitrary_installation,
    endless_round,
    changed_wraps,
    changed_names,
    cut_keys,
    keys_of_another_round,
    content_of_another_round,
    endless_timestamp,
    extraneous_target,
    wrong_round_number,
    mix_and_match,
    mixed_snapshot,
    malicious_mirror,
    captive_portal,
    cut_short,
    key_below_threshold,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_device_takes_nothing_from_a_store_under_attack_and_goes_on_when_it_is_over(
    world: World, attack: Callable[[World], None]
) -> None:
    world.publish(2)
    shutil.copytree(world.folder / "store", world.folder / "sound")
    attack(world)
    with pytest.raises(
        (TrustError, StoreError), match="not what the fleet's root vouches for|expected .* found"
    ) as found:
        world.pull()
    assert not isinstance(found.value, NotForThisKeyError)
    shutil.rmtree(world.folder / "store")
    shutil.copytree(world.folder / "sound", world.folder / "store")
    assert world.pull().number == 2


def test_an_older_publication_is_not_taken_for_the_newest(world: World) -> None:
    shutil.copytree(world.folder / "store", world.folder / "old")
    world.publish(2)
    assert world.pull().number == 2
    shutil.rmtree(world.folder / "store")
    shutil.copytree(world.folder / "old", world.folder / "store")
    with pytest.raises(TrustError, match="New timestamp version 1 must be >= 2"):
        world.pull()


def test_a_store_that_is_frozen_is_noticed_when_its_metadata_expires(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.repository = replace(world.repository, expiry=Expiry(-1, 365))
    world.publish(1)
    with pytest.raises(TrustError, match="has expired .*a right clock; publish on the hub, or set this clock"):
        world.pull()
    world.repository = replace(world.repository, expiry=Expiry())
    world.publish(1)
    assert world.pull().number == 1


@pytest.mark.parametrize(("year", "is_taken"), [(1970, True), (2060, False)])
def test_a_clock_that_is_years_wrong_takes_a_signed_round_or_says_to_set_the_clock(
    world: World, monkeypatch: pytest.MonkeyPatch, year: int, is_taken: bool
) -> None:
    from tuf.ngclient._internal import trusted_metadata_set

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls(year, 1, 1, tzinfo=tz)

    world.publish(2)
    monkeypatch.setattr(trusted_metadata_set.datetime, "datetime", Clock)
    if is_taken:
        assert world.pull().number == 2
    else:
        with pytest.raises(TrustError, match="has expired .*or set this clock"):
            world.pull()
    monkeypatch.undo()
    assert world.pull().number == 2


def test_expired_targets_are_not_believed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.repository = replace(world.repository, expiry=Expiry(30, -1))
    world.publish(1)
    with pytest.raises(TrustError, match="has expired"):
        world.pull()


def test_after_a_fast_forward_with_a_stolen_key_a_rotation_brings_devices_back(world: World) -> None:
    thief = Repository(FolderStore(world.folder / "store"), world.folder / "thief")
    shutil.copytree(world.hub, world.folder / "thief")
    (world.folder / "thief" / "versions.json").write_text(
        json.dumps({"timestamp": 900_000, "snapshot": 900_000, "targets": 900_000})
    )
    thief.publish(666, b"a round by a thief", [world.key.public])
    assert world.pull().number == 666  # who holds all online keys is the hub
    for path in world.files("metadata/900001.*"):
        path.unlink()
    hub_folder.rotate(world.hub, world.folder / "roots", None)
    world.publish(2)
    assert world.pull().number == 2


def test_three_rotations_of_all_keys_are_followed_by_a_device_that_was_away(world: World) -> None:
    old = world.folder / "roots"
    for turn in range(3):
        new = world.folder / f"roots-{turn}"
        assert hub_folder.rotate(world.hub, old, RootKeys(new, 3, 2)) == {"root": turn + 2}
        old = new
        world.publish(turn + 2)
    assert world.pull().number == 4
    fresh = newest_round(world.store, world.root, world.folder / "another cache", Bounds(LIMIT), world.key)
    assert fresh.number == 4


def test_a_rotation_needs_as_many_root_keys_as_the_root_says(world: World) -> None:
    few = world.folder / "few"
    few.mkdir()
    shutil.copy(next((world.folder / "roots").glob("*.pem")), few)
    with pytest.raises(TrustError, match="expected at least 2 of the fleet's root keys, found 1"):
        hub_folder.rotate(world.hub, few, None)


def test_a_rotation_that_was_cut_off_after_the_store_had_it_is_finished_by_the_next_command(world: World) -> None:
    before = (world.hub / "current-root.json").read_bytes()
    hub_folder.rotate(world.hub, world.folder / "roots", None)
    (world.hub / "current-root.json").write_bytes(before)
    world.publish(2)
    assert world.pull().number == 2


def test_metadata_planted_above_the_newest_is_passed_over_and_does_not_stop_the_hub(world: World) -> None:
    world.publish(2)
    for number in ("3", "77", "99999999999"):
        (world.folder / "store" / "metadata" / f"{number}.timestamp.json").write_text("{}")
    assert world.pull().number == 2
    world.publish(3)
    assert world.pull().number == 3


@pytest.mark.parametrize("damage", [b"", bytes(500), b"{}"], ids=["empty", "zeros", "another"])
def test_a_device_whose_copies_of_metadata_are_damaged_fetches_them_again(world: World, damage: bytes) -> None:
    hub_folder.rotate(world.hub, world.folder / "roots", None)
    world.publish(2)
    assert world.pull().number == 2
    for path in [path for path in world.cache.rglob("*") if path.is_file() and not path.is_symlink()]:
        path.write_bytes(damage)
        assert world.pull().number == 2


def test_keys_are_for_their_user_alone_and_never_overwritten(world: World) -> None:
    sealing = next((world.hub / "keys").glob("*.key"))
    paths = [*(world.hub / "keys").glob("*.pem"), *(world.folder / "roots").iterdir(), sealing]
    assert len(paths) == len(list((world.hub / "keys").iterdir())) + 3 == 7
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    paths[0].chmod(0o644)
    with pytest.raises(
        TrustError, match="expected a key that only its user can read .mode 0600., found 0644; chmod 600 it"
    ):
        keys.load_key(paths[0])
    with pytest.raises(EdgeNusaError, match="never overwritten"):
        keys.new_key(paths[1])


def test_no_flipped_bit_or_cut_of_a_key_or_a_root_is_accepted(world: World) -> None:
    from test_sync_formats import damaged

    right = roots.read_root(world.root, "root.json").to_bytes()
    for copy in damaged(world.root):
        try:
            # spaces and escapes may differ, what is signed may not
            assert roots.read_root(copy, "root.json").signed.to_dict() == json.loads(right)["signed"]
        except TrustError:
            continue
    path = next((world.hub / "keys").glob("*.pem"))
    name, data = keys.load_key(path).public_key.keyid, path.read_bytes()
    for copy in damaged(data):
        path.write_bytes(copy)
        path.chmod(0o600)
        try:
            found = keys.load_key(path).public_key.keyid
        except TrustError:
            continue
        assert found == name or found not in world.repository.root().signed.keys
