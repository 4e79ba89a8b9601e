"""A published round: who opens it, what a device fetches of it, what its root tells, and what the hub finds again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_sync_trust import World, plain

from edge_nusa.errors import InputError, ResourceError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.enrolled import Enrolled
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.trust import device_keys, keys, own_rounds, roots, sealed_rounds, sealing, trusted
from edge_nusa.sync.trust.repository import Expiry
from edge_nusa.sync.trust.sealing import NotForThisKeyError
from edge_nusa.sync.trust.sealing_keys import SealingKey
from edge_nusa.sync.trust.trusted import Bounds, Published, newest_round

LIMIT = 10_000


class Counted(FolderStore):
    """A folder that remembers what was asked of it. asked: (key, bytes that came)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[tuple[str, int]] = []

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        found = super().get_part(key, start, most_bytes)
        self.asked.append((key, len(found)))
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def pulled(world: World, key: SealingKey, known: frozenset[str] = frozenset()) -> Published:
    """What a device with this key takes, by a cache of its own."""
    cache = world.folder / "caches" / key.public.name
    return newest_round(world.store, world.root, cache, Bounds(LIMIT, known=known), key)


def objects(world: World, suffix: str) -> set[str]:
    return {path.name for path in (world.folder / "store" / "rounds").glob(f"*.{suffix}")}


def own(world: World, known: frozenset[str] = frozenset(), limit: int = LIMIT) -> Published | None:
    return own_rounds.newest_own(world.repository, world.folder / "parts", Bounds(limit, known=known))


def test_each_recipient_opens_the_round_and_the_hub_does_too(world: World) -> None:
    one, two = SealingKey.generate(), SealingKey.generate()
    world.repository.publish(3, plain(3), [one.public, two.public])
    wanted = Published(3, sha256_hex(plain(3)), plain(3))
    assert [pulled(world, key) for key in (one, two, world.repository.sealing_keys()[0])] == [wanted] * 3


def test_a_device_that_is_no_recipient_is_told_whom_to_ask_and_fetches_no_content(world: World) -> None:
    world.publish(3)
    stranger = SealingKey.generate()
    store = Counted(world.folder / "store")
    words = (
        "this device cannot read round 3: expected it sealed to the key [0-9a-f]{16}, found it sealed to 2 others; it"
    )
    with pytest.raises(
        NotForThisKeyError, match=f"{words} is not among those whom the hub .*, or was revoked: ask .* a new --state"
    ):
        newest_round(store, world.root, world.folder / "other", Bounds(LIMIT), stranger)
    assert not [key for key, _ in store.asked if key.endswith(".current.round")]
    world.repository.publish(3, plain(3), [world.key.public, stranger.public])
    assert pulled(world, stranger).data == plain(3)


def test_a_revoked_device_reads_what_was_published_before_and_nothing_after(world: World) -> None:
    world.publish(1)
    assert pulled(world, world.key).number == 1
    world.repository.publish(2, plain(2), [])
    with pytest.raises(NotForThisKeyError):
        pulled(world, world.key)
    world.repository.publish(1, plain(1), [])  # also the same round again: nothing new, and nothing is fetched
    assert pulled(world, world.key, frozenset({sha256_hex(plain(1))})).data is None


def test_no_byte_of_a_round_is_in_the_store(world: World) -> None:
    world.publish(3)
    whole = b"".join(path.read_bytes() for path in (world.folder / "store").rglob("*") if path.is_file())
    assert plain(3)[:8] not in whole
    assert sha256_hex(plain(3)).encode() in whole


def test_of_a_thousand_wraps_a_device_fetches_the_names_and_its_own(world: World) -> None:
    others = [SealingKey.generate().public for _ in range(50)]
    world.repository.publish(1, plain(1), [world.key.public, *others])
    store = Counted(world.folder / "store")
    found = newest_round(store, world.root, world.cache, Bounds(LIMIT), world.key)
    assert found.data == plain(1)
    parts = [size for key, size in store.asked if key.startswith("rounds/")]
    assert parts == [16 * 52, 1168, len(plain(1)) + 16]


def test_the_same_round_for_the_same_devices_is_the_same_content_and_for_others_it_is_not(world: World) -> None:
    world.publish(1)
    first = objects(world, "current.round")
    world.publish(1)
    assert objects(world, "current.round") == first and len(objects(world, "current.keys")) == 2
    world.repository.publish(1, plain(1), [])
    world.repository.publish(2, plain(1), [world.key.public])
    world.repository.publish(1, plain(2), [world.key.public])
    assert len(objects(world, "current.round")) == 4
    other = World(world.folder / "other")
    other.publish(1)
    assert not objects(other, "current.round") & objects(world, "current.round")


def test_what_is_known_is_told_by_the_plain_round_and_not_fetched(world: World) -> None:
    world.publish(1)
    known = frozenset({sha256_hex(plain(1))})
    world.repository.publish(1, plain(1), [])  # sealed to the hub alone
    store = Counted(world.folder / "store")
    found = newest_round(store, world.root, world.cache, Bounds(LIMIT, known=known), world.key)
    assert found == Published(1, sha256_hex(plain(1)), None)
    assert not [key for key, _ in store.asked if key.startswith("rounds/")]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("round", "1", "targets: rounds/current.round: round: expected a whole number from 0 to 2147483648, found '1'"),
        ("round", 2**31 + 1, "round: expected a whole number from 0 to 2147483648"),
        ("round", -1, "round: expected a whole number from 0 to"),
        ("recipients", 0, "recipients: expected a whole number from 1 to 10000, found 0"),
        ("recipients", 10_001, "recipients: expected a whole number from 1 to 10000"),
        ("sha256", "", "sha256: expected a SHA-256, found ''"),
        ("names", "x", "names: expected a SHA-256, found 'x'"),
        ("keys", None, "keys: expected a text"),
        ("sha256", "0" * 64, "round 1: expected the round that the hub signed, found another inside"),
        ("names", "0" * 64, "expected the 2 names that the hub signed, found others; someone else writes"),
        ("round", 2, "round 2: expected bytes sealed to this key for this use, found others"),
    ],
)
def test_targets_that_a_hub_signed_wrongly_are_refused(
    world: World, field: str, value: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = sealed_rounds.target_of

    def wrong(announced: sealed_rounds.Announced) -> Any:
        target = right(announced)
        target.unrecognized_fields["custom"][field] = value
        return target

    with monkeypatch.context() as patch:
        patch.setattr(sealed_rounds, "target_of", wrong)
        world.publish(1)
    with pytest.raises(TrustError, match=words):
        pulled(world, world.key)


def test_targets_without_a_round_are_refused() -> None:
    with pytest.raises(
        TrustError, match="expected targets that name rounds/current.round with what is in it, found none"
    ):
        sealed_rounds.announced_by(None)


def test_a_root_tells_whom_to_seal_to_and_what_is_shared(world: World) -> None:
    terms = roots.fleet_terms(world.repository.root())
    assert (terms.sealing, terms.sharing) == (world.repository.sealing_keys()[0].public, "groups")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (None, "root.json: x-edge-nusa: expected this field, found none; .*begin a fleet anew"),
        ({"sharing": "all"}, "x-edge-nusa: sharing: expected one of exact, groups, means, found 'all'"),
        ({"sealing": "AAAA"}, "x-edge-nusa: sealing: expected the 1216 bytes of a sealing key"),
        ({"more": 1}, "x-edge-nusa: expected the fields"),
    ],
)
def test_a_root_of_other_terms_is_refused(world: World, change: dict[str, object] | None, words: str) -> None:
    root = world.repository.root()
    fields = root.signed.unrecognized_fields
    fields[roots.TERMS] = {**fields[roots.TERMS], **(change or {})}
    if change is None:
        del fields[roots.TERMS]
    with pytest.raises(TrustError, match=words):
        roots.fleet_terms(root)


def test_terms_are_signed_with_the_root(world: World) -> None:
    record = json.loads(world.root)
    record["signed"][roots.TERMS]["sharing"] = "exact"
    with pytest.raises(TrustError, match="expected the root.json that `edge-nusa hub init` wrote"):
        roots.read_root(json.dumps(record).encode(), "root.json")


def test_a_rotation_makes_a_new_sealing_key_keeps_the_old_one_for_opening_and_what_is_shared(world: World) -> None:
    before = world.repository.sealing_keys()
    sent = sealing.sealed(b"an update", [before[0].public], b"update")
    hub_folder.rotate(world.hub, world.folder / "roots", None)
    after = world.repository.sealing_keys()
    terms = roots.fleet_terms(world.repository.root())
    assert terms.sealing == after[0].public != before[0].public and terms.sharing == "groups"
    assert [key.public for key in after[1:]] == [before[0].public]
    assert sealing.opened_by_any(sent, after, b"update", "here") == b"an update"


def test_a_hub_without_its_newest_sealing_key_says_which_is_missing(world: World) -> None:
    hub_folder.rotate(world.hub, world.folder / "roots", None)
    name = world.repository.sealing_keys()[0].public.name[:16]
    (world.hub / "keys" / f"sealing-{name}.key").unlink()
    with pytest.raises(
        TrustError, match=f"expected the sealing key {name} that the fleet's root names, found 1 others"
    ):
        world.publish(2)
    hub_folder.rotate(world.hub, world.folder / "roots", None)
    world.publish(2)
    assert world.pull().number == 2


def test_a_device_seals_to_the_newest_root_that_it_has_followed(world: World) -> None:
    def sealing_of(cache: Path) -> str:
        return roots.fleet_terms(trusted.newest_root(world.root, cache)).sealing.name

    first = world.repository.sealing_keys()[0].public.name
    assert sealing_of(world.cache) == first
    for turn in (2, 3):
        hub_folder.rotate(world.hub, world.folder / "roots", None)
        world.publish(turn)
    assert sealing_of(world.cache) == first
    world.pull()
    assert trusted.newest_root(world.root, world.cache).signed.version == 3
    assert sealing_of(world.cache) == world.repository.sealing_keys()[0].public.name
    for damage in (b"", b"{}", (world.cache / "root_history" / "2.root.json").read_bytes()):
        (world.cache / "root_history" / "3.root.json").write_bytes(damage)
        assert trusted.newest_root(world.root, world.cache).signed.version == 2


def test_the_hub_finds_the_newest_round_that_it_published(world: World) -> None:
    assert own(world) is None
    for number in (1, 2):
        world.publish(number)
    assert own(world) == Published(2, sha256_hex(plain(2)), plain(2))
    assert own(world, frozenset({sha256_hex(plain(2))})) == Published(2, sha256_hex(plain(2)), None)
    with pytest.raises(TrustError, match="round 2: expected at most 69 bytes, found 70 announced"):
        own(world, limit=69)
    with pytest.raises(ResourceError, match="--max-bytes"):
        own_rounds.newest_own(world.repository, world.folder / "parts", Bounds(LIMIT, 69))


def test_a_hub_restored_from_a_backup_finds_what_it_published_since_also_after_a_rotation(world: World) -> None:
    world.publish(1)
    shutil.copytree(world.hub, world.folder / "backup")
    world.publish(2)
    shutil.rmtree(world.hub)
    shutil.copytree(world.folder / "backup", world.hub)
    found = own(world)
    assert found is not None and found.data == plain(2)
    hub_folder.rotate(world.hub, world.folder / "roots", None)
    assert own(world) is None
    world.publish(3)
    found = own(world)
    assert found is not None and found.data == plain(3)


def test_the_hub_finds_its_round_though_its_metadata_has_expired(world: World) -> None:
    world.repository = replace(world.repository, expiry=Expiry(-1, -1))
    world.publish(1)
    with pytest.raises(TrustError, match="has expired"):
        world.pull()
    found = own(world)
    assert found is not None and found.data == plain(1)


def test_the_hub_passes_over_what_others_planted(world: World) -> None:
    world.publish(1)
    metadata = world.folder / "store" / "metadata"
    for number, planted in enumerate([b"{}", b"", b"[" * 100_000, b"x" * 600_000], 2):
        (metadata / f"{number}.timestamp.json").write_bytes(planted)
    thief = World(world.folder / "thief")
    for number in range(6, 8):
        thief.publish(number)
    shutil.copy(world.folder / "thief" / "store" / "metadata" / "2.timestamp.json", metadata / "6.timestamp.json")
    shutil.copy(metadata / "1.snapshot.json", metadata / "7.timestamp.json")
    found = own(world)
    assert found is not None and found.number == 1
    for number in range(8, 65):
        (metadata / f"{number}.timestamp.json").write_bytes(b"{}")
    assert own(world) is not None
    (metadata / "999.timestamp.json").write_bytes(b"{}")
    assert own(world) is None


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_the_hub_takes_no_mixed_metadata_for_its_own(world: World, role: str) -> None:
    for number in (1, 2):
        world.publish(number)
    metadata = world.folder / "store" / "metadata"
    shutil.copy(metadata / f"1.{role}.json", metadata / f"2.{role}.json")
    found = own(world)
    assert found is not None and found.number == 1
    (metadata / f"1.{role}.json").unlink()
    assert own(world) is None


class Enrolling:
    """A device's keys, and a hub's list."""

    def __init__(self, folder: Path) -> None:
        self.signer, self.sealing = keys.new_key(folder / "key.pem"), SealingKey.generate()
        self.public = device_keys.public_of(self.signer, self.sealing.public)
        self.enrolled = Enrolled(folder / "devices")


@pytest.fixture
def enrolling(tmp_path: Path) -> Enrolling:
    return Enrolling(tmp_path)


def test_a_device_is_enrolled_with_both_of_its_keys(enrolling: Enrolling) -> None:
    made = enrolling.enrolled.add(enrolling.public.encoded(), "kitchen", "device.pub")
    found = enrolling.enrolled.all()[0]
    assert found.public == made.public == enrolling.public
    assert (found.key.keyid, found.sealing) == (enrolling.signer.public_key.keyid, enrolling.sealing.public)
    assert enrolling.enrolled.revoke("kitchen").sealing == enrolling.sealing.public


def test_a_sealing_key_that_the_device_does_not_vouch_for_is_not_enrolled(enrolling: Enrolling, tmp_path: Path) -> None:
    other = SealingKey.generate().public
    thief = device_keys.public_of(keys.new_key(tmp_path / "thief.pem"), other)
    for wrong in (
        replace(enrolling.public, sealing=other),
        replace(enrolling.public, signature="00" * 64),
        replace(enrolling.public, signature="x"),
        replace(enrolling.public, sealing=other, signature=thief.signature),
    ):
        with pytest.raises(InputError, match="device.pub: signature: expected the device's own over its sealing key"):
            enrolling.enrolled.add(wrong.encoded(), "kitchen", "device.pub")
    assert enrolling.enrolled.all() == []


def test_a_device_pub_has_a_largest_size(enrolling: Enrolling) -> None:
    data = enrolling.public.encoded()
    enrolling.enrolled.add(data.ljust(8192), "kitchen", "device.pub")
    with pytest.raises(InputError, match="device.pub: expected at most 8192 bytes, found more"):
        enrolling.enrolled.add(data.ljust(8193), "hall", "device.pub")


def test_two_devices_never_share_a_sealing_key(enrolling: Enrolling, tmp_path: Path) -> None:
    enrolling.enrolled.add(enrolling.public.encoded(), "kitchen", "device.pub")
    copy = device_keys.public_of(keys.new_key(tmp_path / "other.pem"), enrolling.sealing.public)
    with pytest.raises(InputError, match="expected a new key and name, found .* 'kitchen', enrolled already"):
        enrolling.enrolled.add(copy.encoded(), "hall", "device.pub")


def test_a_device_that_is_enrolled_becomes_a_hub_and_keeps_its_name(enrolling: Enrolling) -> None:
    data = enrolling.public.encoded()
    enrolling.enrolled.add(data, "site", "device.pub")
    with pytest.raises(InputError, match="found .* 'site', enrolled already"):
        enrolling.enrolled.add(data, "other", "device.pub", is_hub=True)
    raised = enrolling.enrolled.add(data, "", "device.pub", is_hub=True)
    assert (raised.name, raised.is_hub) == ("site", True) and enrolling.enrolled.hubs() == [raised.key.keyid]
    enrolling.enrolled.revoke("site")
    with pytest.raises(InputError, match="found .* 'site', revoked: make a new key on the device"):
        enrolling.enrolled.add(data, "", "device.pub", is_hub=True)


def test_a_name_that_is_taken_is_said_to_be(enrolling: Enrolling, tmp_path: Path) -> None:
    enrolling.enrolled.add(enrolling.public.encoded(), "kitchen", "device.pub")
    other = device_keys.public_of(keys.new_key(tmp_path / "o.pem"), SealingKey.generate().public)
    with pytest.raises(
        InputError, match="expected a name that no device has, found 'kitchen', .*choose another --name"
    ):
        enrolling.enrolled.add(other.encoded(), "kitchen", "device.pub")


def test_an_enrolled_file_that_was_changed_is_refused(enrolling: Enrolling) -> None:
    made = enrolling.enrolled.add(enrolling.public.encoded(), "kitchen", "device.pub")
    path = enrolling.enrolled.folder / f"{made.key.keyid}.json"
    record = json.loads(path.read_text())
    record["device"]["sealing"] = SealingKey.generate().public.text
    path.write_text(json.dumps(record))
    with pytest.raises(Exception, match="signature: expected the device's own .*; remove the file and enrol"):
        enrolling.enrolled.all()
    path.write_text(json.dumps({**record, "format_version": 1}))
    with pytest.raises(Exception, match="expected format 3, found 1, made by an older edge-nusa; remove the file"):
        enrolling.enrolled.all()
