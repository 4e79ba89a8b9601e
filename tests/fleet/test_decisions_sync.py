"""Which round a device takes and which it does not: older, refused, undone, known, too large; and how updates are
numbered. The store is told, not asked."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hollow_bundles import hollow_bundle
from made_by_hand import clusters
from small_fleets import taught

from edge_nusa.device.fleet import membership as fleets
from edge_nusa.device.fleet import round_judge
from edge_nusa.device.fleet import store as fleet_store
from edge_nusa.device.fleet.pull import Pulled, pull
from edge_nusa.device.fleet.push import Pushed, push
from edge_nusa.device.fleet.remembered import remember, remembered
from edge_nusa.device.fleet.status import status
from edge_nusa.device.learning import judge
from edge_nusa.device.model import Model
from edge_nusa.errors import RefusedError, ResourceError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.knowledge.knowledge import Knowledge, RoundMark, feature_count
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load, to_files
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.null_space import Pool
from edge_nusa.state.state import State
from edge_nusa.sync import round_file
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.round_file import Received
from edge_nusa.sync.trust import trusted
from edge_nusa.sync.trust.roots import Terms, fleet_name
from edge_nusa.sync.trust.sealing_keys import SealingKey
from edge_nusa.sync.trust.trusted import Bounds, Published

pytest.importorskip("tuf")
SOUND = judge.Retention(100.0, 1.0, None)


class Device:
    """A state of a hollow bundle in a fleet whose store is whatever `offer` says. bounds: those of each look at the
    store."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        bundle = hollow_bundle(folder / "bundle")
        width, rank = bundle.manifest.text.width, 3
        axes = np.eye(width, dtype=np.float32)
        pool = Pool(axes[:, -rank:], axes[:, -rank:], np.ones(rank, np.float32), np.full(width - rank, 9, np.float32))
        monkeypatch.setattr(
            Bundle, "pools", {name: pool for tower in ("image", "text") for name in bundle.matrices(tower)}
        )
        self.model = Model(bundle, State(folder / "state", bundle.manifest.identity), 1)
        self.shapes, self.bounds, self.kept = UpdateShapes(bundle), list[Bounds](), SOUND
        self.offered: Published | None = None
        root = b"root"
        part = folder / "state" / "sync"
        part.mkdir(parents=True)
        (part / "root.json").write_bytes(root)
        from edge_nusa.sync.trust import keys, sealing_keys

        signer, sealing = keys.new_key(part / "key.pem"), sealing_keys.new_key(part / "sealing.key")
        (folder / "store").mkdir()
        settings = {
            "fleet": fleet_name(root),
            "store": str(folder / "store"),
            "device": signer.public_key.keyid,
            "sealing": sealing.public.name,
            "format_version": 2,
        }
        (part / "settings.json").write_text(json.dumps(settings))
        self.key, self.part, self.store = signer.public_key.keyid, part, folder / "store"
        monkeypatch.setattr(trusted, "newest_round", self.newest)
        monkeypatch.setattr(fleets.Fleet, "terms", Terms(SealingKey.generate().public, "groups"))
        monkeypatch.setattr(round_judge, "with_anchors", lambda bundle, known, threads: (anchored(known), self.kept))

    def newest(self, store: Any, root: bytes, cache: Path, bounds: Bounds, key: SealingKey) -> Published:
        assert key.public.name == fleets.Fleet(self.model).sealing.public.name
        self.bounds.append(bounds)
        assert self.offered is not None
        return replace(self.offered, data=None) if self.offered.sha256 in bounds.known else self.offered

    @property
    def knows(self) -> Knowledge:
        return load(self.model.bundle, self.model.state, DEVICE)[1]

    def offer(self, number: int, *names: str, **parts: Any) -> str:
        """The store's newest round is this one, of these labels; its SHA-256."""
        one = round_file.nothing(fleet_name(b"root"), self.shapes)
        known = one.knowledge
        for seed, name in enumerate(names):
            known = taught(known, name, rows(self.model.bundle, seed))
        data = round_file.encode(replace(one, number=number, knowledge=known, **parts))
        self.offered = Published(number, sha256_hex(data), data)
        return self.offered.sha256

    def teach(self, name: str, seed: int = 7, count: int = 3) -> None:
        with self.model.state.writer():
            known = anchored(taught(self.knows, name, rows(self.model.bundle, seed, count)))
            self.model.state.commit(to_files(known), "learn")

    def taught_file(self, digest: int, name: str) -> None:
        """Remember that a file of the label was taught."""
        with self.model.state.writer():
            known = self.knows
            columns = np.array([known.column(name)])
            files = known.files.added(np.array([digest], np.uint64), columns)
            self.model.state.commit(to_files(replace(known, files=files)), "learn")

    @property
    def files(self) -> dict[int, str]:
        """The label of each taught file."""
        known = self.knows
        return {digest: known.names[column] for digest, column in known.files.column_of.items()}

    def forget(self, name: str) -> None:
        with self.model.state.writer():
            self.model.state.commit(to_files(self.knows.without(name)), "forget")

    def pull(self, **options: Any) -> Pulled:
        return pull(self.model, **options)

    def push(self, **options: Any) -> Pushed:
        return push(self.model, **options)

    def remembered(self) -> dict[str, Any]:
        return remembered(fleets.Fleet(self.model))


def sent_hash(device: Device, number: int) -> str:
    """The SHA-256 of one of the device's own updates."""
    return next(one.sha256 for one in fleets.Fleet(device.model).sent() if one.cover.sequence == number)


def rows(bundle: Bundle, seed: int, count: int = 3) -> np.ndarray:
    return clusters(seed, [count], taps=feature_count(bundle) - 1)[0]


def anchored(known: Knowledge) -> Knowledge:
    axes = np.tile(np.eye(4, dtype=np.float32), (3, 1))[: len(known.labels)]
    return replace(known, frozen_anchors=axes, adapted_anchors=axes)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    yield Device(tmp_path, monkeypatch)


def test_a_newer_round_is_taken_and_the_same_one_changes_nothing(device: Device) -> None:
    sha256 = device.offer(2, "cat")
    found = device.pull()
    assert (found.round, found.generation, found.labels, found.new, found.forgotten) == (
        2,
        1,
        ["cat"],
        ["cat"],
        [],
    )
    assert found.retention == SOUND
    assert device.knows.round == RoundMark(2, sha256)
    again = device.pull()
    assert (again.round, again.generation, again.labels, again.retention) == (2, None, ["cat"], None)
    device.offer(5, "cat", "dog")
    found = device.pull()
    assert (found.generation, found.new, found.retention and found.retention.old_labels_cosine) == (2, ["dog"], 1.0)


@pytest.mark.parametrize(("number", "is_taken"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_round_older_than_the_states_is_not_taken_but_by_force(device: Device, number: int, is_taken: bool) -> None:
    device.offer(3, "cat")
    device.pull()
    device.offer(number, "cat", "dog")
    if is_taken:
        assert device.pull().generation == 2
        return
    with pytest.raises(
        TrustError,
        match=rf"the store's newest round is {number}, and this state knows round 3; nothing was "
        rf"taken: ask who writes to this store",
    ):
        device.pull()
    assert device.knows.names == ["cat"]
    assert device.pull(is_forced=True).labels == ["cat", "dog"]


def test_a_refused_round_is_remembered_not_fetched_again_and_taken_by_force(device: Device) -> None:
    sha256 = device.offer(1, "cat")
    device.kept = judge.Retention(79.0, 1.0, None)
    with pytest.raises(RefusedError, match="21.0 of 100 common words would no longer mean"):
        device.pull()
    assert device.remembered()[sha256]["kind"] == "refused" and device.remembered()[sha256]["round"] == 1
    with pytest.raises(
        RefusedError,
        match=r"round 1 was refused here before \(refused: 21.0 of 100 .*\); the state is unchanged: wait "
        r"for the next round, or use --force",
    ):
        device.pull()
    assert device.bounds[-1].known == {"", sha256}
    assert list(status(device.model).refused_here) == ["1"]
    device.pull(is_forced=True)
    assert device.bounds[-1].known == {""} and device.knows.names == ["cat"]
    assert status(device.model).refused_here == {}


def test_an_undone_round_is_not_taken_again_by_itself(device: Device) -> None:
    device.teach("cup")
    sha256 = device.offer(1, "cat")
    device.pull()
    assert device.remembered() == {sha256: {"kind": "taken", "round": 1, "reason": "taken as generation 2"}}
    with device.model.state.writer():
        device.model.state.undo()
    with pytest.raises(RefusedError, match="round 1 was taken here and undone; the state is unchanged"):
        device.pull()
    assert status(device.model).refused_here == {}


@pytest.mark.parametrize(
    ("parts", "is_refused"),
    [
        ({}, True),
        ({"forgotten": {"cat": 2}}, False),
        ({"withdrawn": {"cat": 2}}, False),
        ({"forgotten": {"cat": 1}}, True),
        ({"withdrawn": {"cat": 1}}, True),
        ({"forgotten": {"dog": 2}}, True),
    ],
)
def test_a_round_that_drops_a_known_label_is_refused_unless_it_was_taken_back_since_the_states_round(
    device: Device, parts: dict[str, Any], is_refused: bool
) -> None:
    device.offer(1, "cat", "dog")
    device.pull()
    device.offer(2, "dog", **parts)
    if is_refused:
        with pytest.raises(RefusedError, match="the round does not know cat and does not say that it was forgotten"):
            device.pull()
        assert device.knows.names == ["cat", "dog"]
        return
    found = device.pull()
    assert (found.labels, found.forgotten) == (["dog"], ["cat"])


@pytest.mark.parametrize("parts", [{"fleet": "0" * 32}, {"number": 9}])
def test_a_round_of_another_fleet_or_number_than_was_vouched_for_is_not_taken(
    device: Device, parts: dict[str, Any]
) -> None:
    one = replace(round_file.nothing(fleet_name(b"root"), device.shapes), **{"number": 1, **parts})
    data = round_file.encode(one)
    device.offered = Published(1, sha256_hex(data), data)
    if "number" in parts:
        device.offered = replace(device.offered, number=1)
    with pytest.raises(TrustError, match=f"round 1: expected a round of the fleet {fleet_name(b'root')}, found one of"):
        device.pull()


def test_what_was_gained_here_comes_along_and_forgettings_are_told_by_the_next_push(device: Device) -> None:
    device.offer(1, "cat")
    device.pull()
    device.teach("cup")
    device.offer(2, "cat", "dog")
    assert device.pull().labels == ["cat", "dog", "cup"]
    device.forget("cat")
    device.offer(3, "cat", "dog", "hat")
    assert device.pull(is_forced=True).labels == ["dog", "hat", "cup"]
    assert [key for key, _ in device.knows.forgotten] == ["cat"]
    assert device.push().forgets == ["cat"]


@pytest.mark.parametrize(("last", "is_told"), [(0, True), (1, True), (2, False)])
def test_a_forgetting_is_told_unless_the_fleet_took_the_label_back_after_it(
    device: Device, last: int, is_told: bool
) -> None:
    device.offer(1, "cat", "dog")
    device.pull()
    device.forget("cat")
    device.offer(2, "dog", **({"forgotten": {"cat": last}} if last else {}))
    device.pull(is_forced=True)
    assert [key for key, _ in device.knows.forgotten] == (["cat"] if is_told else [])


def test_no_round_of_more_bytes_than_ten_thousand_labels_of_this_bundle_is_fetched(device: Device) -> None:
    device.offer(1, "cat")
    device.pull()
    device.pull(most_bytes=12345)
    assert {bound.possible for bound in device.bounds} == {device.shapes.largest_bytes(10_000)}
    assert [bound.asked for bound in device.bounds] == [None, 12345]


@pytest.mark.parametrize(
    ("size", "bounds", "error"),
    [
        (100, Bounds(100), None),
        (101, Bounds(100), TrustError),
        (100, Bounds(1000, 100), None),
        (101, Bounds(1000, 100), ResourceError),
        (101, Bounds(100, 50), TrustError),
        (0, Bounds(100, 0), None),
        (1, Bounds(100, 0), ResourceError),
    ],
)
def test_a_round_is_as_large_as_possible_and_as_allowed_and_no_larger(
    size: int, bounds: Bounds, error: type[Exception] | None
) -> None:
    if error is None:
        trusted._check_size(7, size, bounds)
        return
    with pytest.raises(error, match=rf"round 7: expected at most \d+ bytes.*found {size}"):
        trusted._check_size(7, size, bounds)


def test_programs_get_what_a_push_and_a_pull_did_and_no_word_of_a_judge_that_was_not_asked(device: Device) -> None:
    device.teach("cup")
    made = {"update": 1, "sent": [1], "labels": ["cup"], "pictures": 3, "forgets": []}
    made |= {"others": [], "pictures_waiting": ()}
    found = device.push().to_json()
    assert found.pop("bytes") > 0 and found == made
    device.offer(3, "cat")
    taken = {"round": 3, "generation": 2, "labels": ["cat", "cup"], "new": ["cat"], "forgotten": []}
    # the anchors of `anchored` go by column, and the cup moved from the first to the second
    kept = {"vocabulary_agreement": 100.0, "vocabulary_cosine": 1.0, "old_labels_cosine": 0.0}
    judged_by = "vocabulary and labels; no pictures are kept to measure accuracy with"
    told = device.pull().to_json()
    assert told.pop("report") > 0
    assert told == {**taken, "retention": kept, "judged_by": judged_by, "report_error": None}
    again: dict[str, Any] = {"generation": None, "new": [], "retention": None, "report": None, "report_error": None}
    assert device.pull().to_json() == {**taken, **again}
    standing = status(device.model).to_json()
    assert len(standing.pop("fleet")) == 32 and standing == {
        "device": device.key,
        "store": str(device.store),
        "round": 3,
        "waiting": [1],
        "unsent_pictures": 0,
        "unsent": False,
        "refused_by_hub": {},
        "refused_here": {},
        "pictures_waiting": (),
    }


def test_updates_are_numbered_from_one_up_and_only_what_the_hub_lacks_is_sent_again(device: Device) -> None:
    assert (device.push().update, device.push().sent) == (None, [])
    device.teach("cup")
    first = device.push()
    assert (first.update, first.sent, first.labels, first.pictures) == (1, [1], ["cup"], 3)
    device.teach("hat", 8, 2)
    second = device.push()
    assert (second.update, second.sent, second.labels, second.pictures) == (2, [1, 2], ["hat"], 2)
    standing = status(device.model)
    assert (standing.waiting, standing.unsent_pictures, standing.unsent) == ([1, 2], 0, False)
    device.offer(1, "cup", received={device.key: Received(1, sent_hash(device, 1))})
    device.pull(is_forced=True)
    assert device.push().sent == [2]
    assert status(device.model).waiting == [2]
    device.teach("tin", 9, 4)
    assert status(device.model).unsent_pictures == 4 and status(device.model).unsent


def test_an_update_of_more_bytes_than_allowed_is_kept_and_not_sent(device: Device) -> None:
    device.teach("cup")
    with pytest.raises(
        ResourceError, match=r"push: expected at most 0 bytes \(--max-bytes\), found \d+; allow more, or wait"
    ) as error:
        device.push(most_bytes=0)
    size = int(str(error.value).split("found ")[1].split(";")[0])
    with pytest.raises(ResourceError, match=f"at most {size - 1} bytes"):
        device.push(most_bytes=size - 1)
    assert not list(device.store.rglob("*.json"))
    assert device.push(most_bytes=size).sent == [1]


def test_the_fifty_newest_rounds_are_remembered(device: Device) -> None:
    fleet = fleets.Fleet(device.model)
    for number in range(52, 0, -1):
        remember(fleet, f"{number:064d}", "refused", number, "why")
    assert sorted(entry["round"] for entry in device.remembered().values()) == list(range(3, 53))


def test_a_push_or_pull_may_ask_a_store_for_25_minutes(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def timed(store: Any, seconds: float) -> Any:
        seen.append(seconds)
        return store

    monkeypatch.setattr(fleet_store, "Timed", timed)
    device.push()
    device.offer(1, "cat")
    device.pull()
    assert seen == [1500.0, 1500.0, 1500.0], "a push, a pull, and the store that its report goes to"


def test_the_files_that_were_taught_here_stay_with_their_labels_over_a_pull_and_go_into_no_update(
    device: Device,
) -> None:
    device.offer(1, "owl", "cat")
    device.pull()
    device.teach("dog")
    device.taught_file(2**63 + 12345, "dog")
    device.taught_file(77, "cat")
    device.push()
    written = b"".join(path.read_bytes() for path in device.store.rglob("*") if path.is_file())
    numbers = zlib.decompress(fleets.Fleet(device.model).sent()[0].numbers)
    for form in (str(2**63 + 12345).encode(), (2**63 + 12345).to_bytes(8, "little"), b"digests"):
        assert form not in written + numbers
    device.offer(2, "cat", "owl")
    assert device.pull().labels == ["cat", "owl", "dog"]
    assert device.files == {2**63 + 12345: "dog", 77: "cat"}


def test_the_files_of_a_label_that_the_fleet_took_back_may_be_taught_again(device: Device) -> None:
    device.offer(1, "owl", "cat")
    device.pull()
    device.taught_file(1, "owl")
    device.taught_file(2, "cat")
    device.offer(2, "owl", "cat", forgotten={"cat": 2})  # taken back, and taught anew by another device
    device.pull()
    assert device.files == {1: "owl"}
