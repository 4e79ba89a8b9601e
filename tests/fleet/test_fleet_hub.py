"""What the hub refuses, with the reason; what it passes over; and what a device does with a round that it must not
take."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fleet_world import Member, bundle, new_hub, one_round, scans

from edge_nusa.errors import (
    DamagedError,
    EdgeNusaError,
    InputError,
    RefusedError,
    ResourceError,
    StoreError,
)
from edge_nusa.knowledge.knowledge import RoundMark
from edge_nusa.knowledge.stored import to_files
from edge_nusa.model.bundle import Bundle
from edge_nusa.sync import parcel, update
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.report import MergeReport
from edge_nusa.sync.hub.whole_step import UpdateLimits
from edge_nusa.sync.parcel import Parcel
from edge_nusa.sync.trust import keys
from edge_nusa.sync.update import Place


def digits(digit: int, start: int, count: int) -> np.ndarray:
    """Features (count, F) of scans of one digit."""
    _, features, classes = scans()
    return features[np.flatnonzero(classes == digit)[start : start + count]]


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[Hub, list[Member]]:
    hub = new_hub(tmp_path)
    return hub, [Member(tmp_path, hub, name) for name in ("a", "b")]


class Sender:
    """Whoever holds a device's key and signs what they like."""

    def __init__(self, hub: Hub, member: Member) -> None:
        self.hub, self.member = hub, member
        self.signer = keys.load_key(member.model.state.folder / "sync" / "key.pem")
        self.place = Place(
            fleet=hub.settings.fleet, identity=hub.settings.identity, device=member.key, sequence=1, round=RoundMark()
        )

    def change(self, count: int = 6) -> Change:
        rows = digits(3, 0, count)
        from edge_nusa.knowledge.knowledge import Label

        wide = rows.astype(np.float64)
        cores = {name: np.full((rank, rank), 1e-3) for name, rank in self.hub.shapes.ranks.items()}
        return Change(
            cores=cores,
            gram=(wide.T @ wide).astype(np.int64),
            labels={"three": LabelChange(Label("three", 0), count, rows.sum(axis=0))},
            tasks=1,
        )

    def send(self, change: Change, place: Place | None = None) -> Parcel:
        made = self.sealed(change, place or self.place)
        parcel.send(self.hub.store, made)
        return made

    def sealed(self, change: Change, place: Place) -> Parcel:
        statement, numbers = update.encode(change, place, "float16")
        return parcel.parcel(statement, numbers, self.signer, [self.hub.keys[0].public])

    def after(self, one: Parcel) -> Place:
        """Where the update after that one belongs."""
        return replace(self.place, sequence=one.cover.sequence + 1, before=one.sha256)


def reasons(report: MergeReport, member: Member) -> list[str]:
    row = next(row for row in report.devices if row.device == member.key)
    return list(row.refused.values())


MISPLACED = {
    "another fleet": (lambda place: replace(place, fleet="0" * 32), "it is of another fleet"),
    "another basis": (
        lambda place: replace(place, identity=replace(place.identity, basis="0" * 64)),
        "the same weights over another basis",
    ),
    "another precision": (
        lambda place: replace(place, identity=replace(place.identity, precision="int8", graphs="0" * 64)),
        "learned with another bundle: expected micro fp16 .*, found micro int8 .*, the same weights at another "
        "precision: int8, not fp16",
    ),
}


@pytest.mark.parametrize("case", MISPLACED)
def test_a_signed_update_of_another_place_is_refused_for_good(fleet: tuple[Hub, list[Member]], case: str) -> None:
    hub, (member, _) = fleet
    sender, (moved, words) = Sender(hub, member), MISPLACED[case]
    first = sender.send(sender.change(), moved(sender.place))
    report = hub.merge(MergeSettings())
    assert re.search(words, reasons(report, member)[0])
    assert report.labels == []
    sender.send(sender.change(), replace(sender.after(first), round=RoundMark(1, "1" * 64)))
    assert hub.merge(MergeSettings()).labels == ["three"]
    status = next(row for row in hub.status().devices if row.device == member.key)
    assert re.search(words, status.refused["1"])


def test_an_old_update_under_a_new_number_is_passed_over_as_a_replay(fleet: tuple[Hub, list[Member]]) -> None:
    hub, (member, _) = fleet
    sender = Sender(hub, member)
    sender.send(sender.change())
    assert hub.merge(MergeSettings()).is_merged
    folder = Path(hub.settings.store) / "updates" / member.key
    envelope = next(folder.glob("00000001-*.json"))
    for name in (envelope.name.replace("00000001", "00000002"), "00000002-0000000000000000.json"):
        shutil.copy(envelope, folder / name)
    report = hub.merge(MergeSettings())
    assert not report.is_merged and reasons(report, member) == []
    assert any(
        "an old update under a new name" in note
        for row in report.devices
        if row.device == member.key
        for note in row.notes
    )
    assert hub.current()[0].knowledge.head.counts.tolist() == [6]


def test_of_two_updates_signed_with_one_number_one_is_taken_and_the_other_named(
    fleet: tuple[Hub, list[Member]],
) -> None:
    hub, (member, _) = fleet
    sender = Sender(hub, member)
    sent = {one.sha256: pictures for pictures in (6, 4) for one in [sender.send(sender.change(pictures))]}
    report = hub.merge(MergeSettings())
    assert reasons(report, member) == []
    assert any("1 of its updates stand beside its chain" in note for row in report.devices for note in row.notes)
    assert hub.current()[0].knowledge.head.counts.tolist() == [sent[min(sent)]]


def inflated(change: Change) -> Change:
    return replace(change, labels={"three": replace(change.labels["three"], pictures=600)})


def large_norm(change: Change) -> Change:
    return replace(change, cores={name: 1000 * 50 * core for name, core in change.cores.items()})


def flipped(change: Change) -> Change:
    label = change.labels["three"]
    return replace(change, gram=-change.gram, labels={"three": replace(label, sums=-label.sums)})


def taken_back(change: Change) -> Change:
    """A device takes back pictures that it never gave, consistently."""
    label = change.labels["three"]
    return replace(
        change, gram=-change.gram, labels={"three": replace(label, pictures=-label.pictures, sums=-label.sums)}
    )


IMPLAUSIBLE: dict[str, tuple[Callable[[Change], Change], str]] = {
    "an inflated count": (inflated, "expected sums of 600 pictures, found those of another number"),
    "a norm of 1000 times": (large_norm, "expected cores of a norm up to .* found"),
    "a flipped sign": (flipped, "found those of another number"),
    "more taken back than given": (taken_back, "takes back more pictures of 'three' than the device gave"),
    "too many forgotten": (
        lambda change: replace(change, forgets=tuple((f"label {i}", 1) for i in range(21))),
        "takes back 21 labels at once, the bound is 20",
    ),
}


@pytest.mark.parametrize("case", IMPLAUSIBLE)
def test_a_signed_update_that_no_lesson_gives_is_refused_with_the_reason(
    fleet: tuple[Hub, list[Member]], case: str
) -> None:
    hub, (member, _) = fleet
    lie, words = IMPLAUSIBLE[case]
    sender = Sender(hub, member)
    sender.send(lie(sender.change()))
    found = reasons(hub.merge(MergeSettings()), member)
    assert len(found) == 1
    import re

    assert re.search(words, found[0])
    assert hub.current()[0].knowledge.head.counts.tolist() == []


def test_an_update_over_the_bounds_of_size_and_pictures_is_refused_before_its_numbers_are_read(
    fleet: tuple[Hub, list[Member]],
) -> None:
    hub, (member, other) = fleet
    Sender(hub, member).send(Sender(hub, member).change())
    for path in (Path(hub.settings.store) / "updates" / member.key).glob("*.numbers"):
        path.unlink()
    Sender(hub, other).send(Sender(hub, other).change())
    report = hub.merge(MergeSettings(limits=UpdateLimits(pictures=5, size=100_000)))
    assert "it is of 6 pictures, the bound is 5" in reasons(report, other)[0]
    report = hub.merge(MergeSettings(limits=UpdateLimits(size=1000)))
    assert "bytes, the bound is 1000" in reasons(report, member)[0]


def test_what_is_not_signed_by_the_device_never_counts_against_it(fleet: tuple[Hub, list[Member]]) -> None:
    hub, (member, other) = fleet
    member.teach({"three": digits(3, 0, 5)}, 1)
    member.push()
    folder = Path(hub.settings.store) / "updates" / member.key
    envelope = next(folder.glob("*.json"))
    forged = json.loads(envelope.read_bytes())
    forged["signatures"][0]["sig"] = forged["signatures"][0]["sig"][::-1]
    (folder / "00000001-0000000000000000.json").write_text(json.dumps(forged))
    (folder / "00000001-1111111111111111.json").write_text("<html>Sign in</html>")
    thief = Sender(hub, other)
    thief.signer = keys.new_key(folder.parent.parent / "thief.pem")
    (folder / "00000001-2222222222222222.json").write_bytes(thief.sealed(thief.change(), thief.place).envelope)
    (folder / "readme.txt").write_text("hello")
    report = hub.merge(MergeSettings())
    assert report.labels == ["three"]
    row = next(row for row in report.devices if row.device == member.key)
    assert row.refused == {}
    assert len(row.notes) == 4


def test_an_unknown_device_is_not_read_and_a_revoked_one_no_longer(fleet: tuple[Hub, list[Member]]) -> None:
    hub, (member, other) = fleet
    member.teach({"three": digits(3, 0, 5)}, 1)
    other.teach({"four": digits(4, 0, 5)}, 2)
    one_round(hub, [member, other])
    hub.enrolled.revoke("a")
    member.teach({"five": digits(5, 0, 5)}, 3)
    report = one_round(hub, [member, other])
    assert (report.is_merged, hub.status().labels) == (False, ["three", "four"]) or sorted(hub.status().labels) == [
        "four",
        "three",
    ]
    assert member.labels == {"three": 5, "four": 5, "five": 5}
    with pytest.raises(InputError, match="revoked: make a new key on the device"):
        hub.enrolled.add((member.model.state.folder / "sync" / "device.pub").read_bytes(), "again", "device.pub")


def test_an_update_that_the_store_lost_or_changed_waits_until_the_device_puts_it_again(
    fleet: tuple[Hub, list[Member]],
) -> None:
    hub, (member, _) = fleet
    member.teach({"three": digits(3, 0, 5)}, 1)
    member.push()
    numbers = next((Path(hub.settings.store) / "updates" / member.key).glob("*.numbers"))
    whole = numbers.read_bytes()
    numbers.write_bytes(whole[:-1])
    report = hub.merge(MergeSettings())
    assert report.is_merged is False
    assert (
        "the store or its transport changed them"
        in next(row for row in report.devices if row.device == member.key).notes[0]
    )
    numbers.unlink()
    assert hub.merge(MergeSettings()).is_merged is False
    assert member.push().sent == [1]
    assert numbers.read_bytes() == whole
    assert hub.merge(MergeSettings()).labels == ["three"]


def test_an_envelope_that_comes_before_earlier_ones_waits_for_them(fleet: tuple[Hub, list[Member]]) -> None:
    hub, (member, _) = fleet
    sender = Sender(hub, member)
    first = sender.sealed(sender.change(4), sender.place)
    sender.send(sender.change(), sender.after(first))
    report = hub.merge(MergeSettings())
    assert report.is_merged is False
    assert any(
        "update 1 is not there yet, 1 later ones wait for it" in note for row in report.devices for note in row.notes
    )
    parcel.send(hub.store, first)
    assert hub.merge(MergeSettings()).is_merged
    assert hub.current()[0].knowledge.head.counts.tolist() == [10]


def test_a_round_that_the_judge_refuses_is_remembered_reported_and_not_taken_again(
    fleet: tuple[Hub, list[Member]],
) -> None:
    hub, (member, other) = fleet
    member.teach({"three": digits(3, 0, 5)}, 1, core_size=0.25)  # far beyond a lesson: the vocabulary loses its meaning
    member.push()
    hub.merge(MergeSettings())
    hub.publish()
    other.teach({"four": digits(4, 0, 5)}, 2)
    before = other.model.state.current()
    with pytest.raises(RefusedError, match="of 100 common words would no longer mean"):
        other.pull()
    with pytest.raises(RefusedError, match="round 1 was refused here before .*wait for the next round, or use --force"):
        other.pull()
    assert other.model.state.current() == before
    from edge_nusa.device.fleet.status import status

    assert "common words" in status(other.model).refused_here["1"]
    other.push()
    hub.merge(MergeSettings())
    row = next(row for row in hub.status().devices if row.device == other.key)
    assert len(row.refused_rounds) == 1
    assert other.pull(is_forced=True).labels == ["three"] or "four" in other.labels


def test_a_round_that_was_undone_is_not_taken_again_by_itself(fleet: tuple[Hub, list[Member]]) -> None:
    hub, (member, other) = fleet
    member.teach({"three": digits(3, 0, 5)}, 1)
    other.teach({"four": digits(4, 0, 5)}, 2)
    one_round(hub, [member, other])
    other.undo()
    assert other.labels == {"four": 5}
    with pytest.raises(RefusedError, match="round 1 was taken here and undone; .*or use --force"):
        other.pull()
    assert other.push().update is None
    member.teach({"five": digits(5, 0, 5)}, 3)
    one_round(hub, [member, other])
    assert other.labels == {"three": 5, "four": 5, "five": 5}


def test_a_lesson_undone_after_it_was_merged_leaves_the_fleet(fleet: tuple[Hub, list[Member]]) -> None:
    hub, (member, other) = fleet
    member.teach({"three": digits(3, 0, 5)}, 1)
    one_round(hub, [other, member])
    member.undo()
    member.undo()
    assert member.labels == {}
    member.teach({"four": digits(4, 0, 5)}, 2)
    one_round(hub, [other])
    member.push()
    hub.merge(MergeSettings())
    hub.publish()
    other.pull()
    assert other.labels == {"four": 5}


def test_the_state_keeps_only_rounds_and_updates_that_its_generations_need(fleet: tuple[Hub, list[Member]]) -> None:
    hub, (member, other) = fleet
    for number in range(6):  # one more than is kept
        member.teach({"three": digits(3, number, 2)}, number)
        one_round(hub, [member, other])
    folder = member.model.state.folder / "sync"
    assert len(list((folder / "bases").iterdir())) <= 5
    assert len(list((folder / "sent").iterdir())) <= 5
    assert len(list((other.model.state.folder / "sync" / "bases").iterdir())) <= 5


def test_a_hub_wants_the_fleets_bundle_and_a_device_joins_once(fleet: tuple[Hub, list[Member]], tmp_path: Path) -> None:
    hub, (member, _) = fleet
    other = Bundle(bundle().folder, replace(bundle().manifest, precision="int8"))
    with pytest.raises(
        DamagedError,
        match="this hub belongs to another bundle: expected micro fp16 .*, found micro int8 .*the fleet.s --bundle",
    ):
        Hub(hub.folder, other)
    from edge_nusa.device.fleet.joining import join

    again = join(member.model, str(tmp_path / "nowhere"), hub.folder / "root.json")
    assert (again.is_new, again.fleet) == (False, hub.settings.fleet)
    another = new_hub(tmp_path / "another")
    with pytest.raises(InputError, match="expected a state of no fleet, found one"):
        join(member.model, another.settings.store, another.folder / "root.json")
    with pytest.raises(
        EdgeNusaError, match="expected .*, found .*; give the device.pub that `edge-nusa sync init` wrote"
    ):
        hub.enrolled.add(b"-----BEGIN", "x", "device.pub")


def test_a_store_that_is_not_mounted_is_said_and_nothing_is_written_in_its_place(
    fleet: tuple[Hub, list[Member]],
) -> None:
    hub, (member, _) = fleet
    store = Path(hub.settings.store)
    store.rename(store.with_name("unplugged"))
    member.teach({"three": digits(3, 0, 5)}, 1)
    with pytest.raises(StoreError, match="expected the folder of a fleet's store, found none; mount it"):
        member.push()
    with pytest.raises(StoreError, match="mount it"):
        hub.merge(MergeSettings())
    assert not store.exists()
    store.with_name("unplugged").rename(store)
    assert member.push().sent == [1]
    assert hub.merge(MergeSettings()).labels == ["three"]


def test_more_bytes_than_allowed_are_neither_sent_nor_fetched(fleet: tuple[Hub, list[Member]]) -> None:
    from edge_nusa.device.fleet.pull import pull
    from edge_nusa.device.fleet.push import push

    hub, (member, other) = fleet
    member.teach({"three": digits(3, 0, 5)}, 1)
    with pytest.raises(ResourceError, match=r"push: expected at most 1000 bytes \(--max-bytes\), found"):
        push(member.model, most_bytes=1000)
    assert hub.store.list("updates") == []
    assert member.push().sent == [1]
    hub.merge(MergeSettings())
    hub.publish()
    with pytest.raises(ResourceError, match=r"round 1: expected at most 1000 bytes \(--max-bytes\), found"):
        pull(other.model, most_bytes=1000)
    assert pull(other.model, most_bytes=10_000_000).labels == ["three"]


def test_an_update_holds_no_path_host_name_or_picture(fleet: tuple[Hub, list[Member]]) -> None:
    import getpass
    import platform
    import zlib

    hub, (member, _) = fleet
    member.teach({"three": digits(3, 0, 5)}, 1)
    member.push()
    folder = Path(hub.settings.store) / "updates" / member.key
    envelope, sealed = next(folder.glob("*.json")).read_bytes(), next(folder.glob("*.numbers")).read_bytes()
    cover = parcel.opened_cover(envelope, keys.load_key(member.part / "key.pem").public_key, "here")
    statement = parcel.opened_statement(cover, hub.keys, "here").to_bytes()
    numbers = zlib.decompress(parcel.opened_numbers(cover, sealed, hub.keys, "here"))
    known = json.loads(statement)
    assert b"three" not in envelope + cover.to_bytes() + cover.sealed + sealed
    assert b"gram" not in envelope + cover.to_bytes() + cover.sealed + sealed
    assert set(known) == {
        "forgets",
        "format_version",
        "fusion",
        "gram_sha256",
        "labels",
        "place",
        "precision",
        "sha256",
        "size",
        "spare",
        "tasks",
    }
    assert known["labels"] == [{"name": "three", "template": None}]
    for secret in (
        platform.node(),
        getpass.getuser(),
        str(member.model.state.folder),
        "/home",
        "/tmp",
        "Exif",
        "\x89PNG",
        "JFIF",
    ):
        assert secret.encode("latin-1") not in statement + numbers
    rows = digits(3, 0, 5)
    assert not any(row.astype("<i4").tobytes() in numbers for row in rows)
    files = to_files(member.knows)
    assert known["tasks"] == json.loads(files["labels.json"])["tasks"]
