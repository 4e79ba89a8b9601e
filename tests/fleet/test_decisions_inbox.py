"""What the hub takes of a device, in which order, and what it refuses for good or lets wait: a store in memory, real
signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from identities import identity
from small_fleets import BASIS, FEATURES, FLEET, first, pictures, small_shapes

from edge_nusa.errors import StoreError
from edge_nusa.files.identity import mismatch
from edge_nusa.files.json_bytes import canonical
from edge_nusa.knowledge.knowledge import Label, RoundMark
from edge_nusa.sync import parcel, update
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub import inbox
from edge_nusa.sync.hub.inbox import Judge, Known
from edge_nusa.sync.hub.mail import MOST_NOTES, Mail
from edge_nusa.sync.hub.whole_step import MOST_UPDATES, UpdateLimits
from edge_nusa.sync.parcel import Parcel
from edge_nusa.sync.round_file import MOST_REFUSALS, Received, Refusal, Round
from edge_nusa.sync.stores.store import MissingObjectError
from edge_nusa.sync.trust.sealing_keys import SealingKey
from edge_nusa.sync.update import Place

signers = pytest.importorskip("securesystemslib.signer")
SIGNER, OTHER = signers.CryptoSigner.generate_ed25519(), signers.CryptoSigner.generate_ed25519()
DEVICE = SIGNER.public_key.keyid
HUB, OWN = SealingKey.generate(), SealingKey.generate()


class Store:
    """Objects in a dictionary; bounds: the most bytes that were asked for, of each key."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.bounds: dict[str, int] = {}
        self.puts: list[str] = []

    def list(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix + "/"))

    def get(self, key: str, most_bytes: int) -> bytes:
        self.bounds[key] = most_bytes
        if key not in self.objects:
            raise MissingObjectError(f"{key}: not there")
        return self.objects[key]

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        raise AssertionError("the inbox reads whole objects")

    def put_new(self, key: str, data: bytes) -> bool:
        self.puts.append(key)
        return self.objects.setdefault(key, data) is data

    def head(self, key: str) -> int | None:
        return len(self.objects[key]) if key in self.objects else None


def a_change(counts: Mapping[str, int], core: float = 0.01, spare: int = 0, forgets: int = 0) -> Change:
    """Labels with so many pictures each."""
    rows = {name: pictures(seed, count) for seed, (name, count) in enumerate(counts.items())}
    every = np.concatenate([*rows.values(), np.zeros((0, FEATURES), np.int64)]).astype(np.float64)
    labels = {name: LabelChange(Label(name, 0), len(own), own.sum(axis=0)) for name, own in rows.items()}
    cores = {name: np.full((rank, rank), core) for name, rank in small_shapes().ranks.items()}
    return Change(
        cores=cores,
        gram=(every.T @ every).astype(np.int64),
        labels=labels,
        spare=spare,
        tasks=1,
        forgets=tuple((f"old {i}", 1) for i in range(forgets)),
    )


def place(sequence: int = 1, **parts: Any) -> Place:
    return replace(Place(fleet=FLEET, identity=BASIS, device=DEVICE, sequence=sequence, round=RoundMark()), **parts)


def sealed(change: Change, where: Place | None = None, signer: Any = SIGNER) -> Parcel:
    statement, numbers = update.encode(change, where or place(), "float16")
    return parcel.parcel(statement, numbers, signer, (HUB.public, OWN.public))


def sent(store: Store, change: Change, where: Place | None = None, signer: Any = SIGNER) -> Parcel:
    made = sealed(change, where, signer)
    # whoever signs, it is put into the device's folder
    parcel.send(store, replace(made, cover=replace(made.cover, device=DEVICE)))
    return made


def chained(store: Store, *changes: Change, after: Parcel | None = None) -> list[Parcel]:
    """Updates that follow one another."""
    found: list[Parcel] = [] if after is None else [after]
    for one in changes:
        before = found[-1] if found else None
        number = before.cover.sequence + 1 if before else 1
        found.append(sent(store, one, place(number, before=before.sha256 if before else "")))
    return found if after is None else found[1:]


def judge(now: Round | None = None, limits: UpdateLimits | None = None) -> Judge:
    return Judge(now or first(), small_shapes(), limits or UpdateLimits(), [HUB])


def collected(
    store: Store, now: Round | None = None, limits: UpdateLimits | None = None, known: Known | None = None
) -> Mail:
    return inbox.collect(store, SIGNER.public_key, known or Known(), judge(now, limits))


def refusals(mail: Mail) -> dict[int, str]:
    """number -> reason of what was refused."""
    return {one.number: one.reason for one in mail.refused.values()}


def facts(mail: Mail) -> tuple[list[int], list[int], int]:
    """Numbers of what was accepted, of what was refused, and the last one."""
    return [one.cover.sequence for one in mail.accepted], sorted(refusals(mail)), mail.through


def after(*parcels: Parcel, **received: Any) -> Round:
    """The round that holds these updates of the device."""
    last = parcels[-1]
    entry = replace(Received(last.cover.sequence, last.sha256), **received)
    return replace(first(), number=1, received={DEVICE: entry, "other": Received(through=9)})


def test_the_bounds_of_an_update_are_these() -> None:
    assert UpdateLimits() == UpdateLimits(pictures=1000, size=67_108_864, forgets=20, labels=500)
    assert MOST_UPDATES == MOST_REFUSALS == 20
    assert Mail(device="x") == Mail(device="x", accepted=[], refused={}, notes=[], through=0, last="")
    assert (inbox.MOST_CANDIDATES, MOST_NOTES, inbox.MOST_SETTLED) == (8, 20, 4096)


def test_updates_are_taken_link_by_link_from_the_first_that_the_round_lacks() -> None:
    store = Store()
    one, two, three = chained(store, *(a_change({"cat": count}) for count in (1, 2, 3)))
    mail = collected(store)
    assert facts(mail) == ([1, 2, 3], [], 3) and mail.last == three.sha256
    assert [dict(taken.pictures) for taken in mail.accepted] == [{"cat": 1}, {"cat": 2}, {"cat": 3}]
    assert mail.notes == [] and mail.device == DEVICE
    assert mail.settled == [update.sha256[:16] for update in (one, two, three)]
    settled = Known(settled=mail.settled)
    assert facts(collected(store, after(one, two), known=settled)) == ([], [], 2)
    assert facts(collected(store, after(one, two), known=Known(settled=mail.settled[:2]))) == ([3], [], 3)
    assert facts(collected(store, after(one, two, three), known=settled)) == ([], [], 3)


def test_a_gap_holds_later_updates_back_and_is_told() -> None:
    store = Store()
    one, two, *_ = chained(store, *(a_change({"cat": 2}) for _ in range(4)))
    del store.objects[parcel.envelope_key(two.cover, two.sha256)]
    mail = collected(store)
    assert facts(mail) == ([1], [], 1)
    assert mail.notes == ["update 2 is not there yet, 2 later ones wait for it"]
    later = collected(store, after(one), known=Known(settled=mail.settled))
    assert facts(later) == ([], [], 1) and later.notes == mail.notes


def test_what_is_not_there_yet_waits_and_later_ones_with_it_without_another_word() -> None:
    store = Store()
    one, _ = chained(store, a_change({"cat": 2}), a_change({"cat": 3}))
    key = parcel.numbers_key(one.cover)
    numbers = store.objects.pop(key)
    mail = collected(store)
    assert facts(mail) == ([], [], 0)
    assert mail.notes == [f"update 1: {key}: not there"]
    store.objects[key] = numbers[:-1] + b"x"
    assert "the bytes that the device signed" in collected(store).notes[0]


def test_of_two_that_follow_one_another_life_the_smaller_hash_is_taken_and_the_other_is_a_fork() -> None:
    store = Store()
    one = chained(store, a_change({"cat": 1}))[0]
    two = sorted((chained(store, a_change({"cat": n}), after=one)[0] for n in (2, 3)), key=lambda each: each.sha256)
    behind = chained(store, a_change({"cat": 4}), after=two[1])[0]
    mail = collected(store)
    assert mail.last == two[0].sha256 and [taken.sha256 for taken in mail.accepted] == [one.sha256, two[0].sha256]
    assert {key: (entry.number, entry.kind, entry.round) for key, entry in mail.refused.items()} == {
        two[1].sha256[:16]: (2, "fork", 1),
        behind.sha256[:16]: (3, "fork", 1),
    }
    # decided once
    again = collected(store, after(one, two[0]), known=Known(settled=mail.settled))
    assert facts(again) == ([], [], 2) and again.notes == []


def test_what_comes_late_to_a_place_that_is_taken_is_a_fork_and_what_goes_on_from_there_too() -> None:
    store = Store()
    one, two = chained(store, a_change({"cat": 1}), a_change({"cat": 2}))
    settled = collected(store).settled
    late = chained(store, a_change({"cat": 3}), after=one)[0]
    mail = collected(store, after(one, two), known=Known(settled=settled))
    assert list(mail.refused) == [late.sha256[:16]] and facts(mail) == ([], [2], 2) and mail.last == two.sha256
    # beyond what the hub remembers nothing is asked for
    far = replace(after(one, two), received={DEVICE: Received(2 + inbox.MOST_SETTLED, two.sha256)})
    assert collected(store, far, known=Known(settled=settled)).refused == {}
    near = replace(after(one, two), received={DEVICE: Received(1 + inbox.MOST_SETTLED, two.sha256)})
    assert list(collected(store, near, known=Known(settled=settled)).refused) == [late.sha256[:16]]


def test_lessons_that_were_taken_are_not_taken_again_by_another_update() -> None:
    store = Store()
    ids = ("0" * 16, "1" * 16)
    one = sent(store, a_change({"cat": 1}), place(lessons=ids))
    two = sent(store, a_change({"cat": 1}), place(2, before=one.sha256, lessons=ids[:1]))
    three = sent(store, a_change({"cat": 1}), place(3, before=two.sha256, lessons=(ids[0], "2" * 16)))
    sent(store, a_change({"cat": 1}), place(4, before=three.sha256))
    mail = collected(store)
    assert facts(mail) == ([1, 3, 4], [2], 4)
    assert [(entry.kind, entry.reason) for entry in mail.refused.values()] == [("known", inbox.KNOWN)]
    assert facts(collected(store, known=Known(lessons=ids))) == ([3, 4], [1, 2], 4)


def test_what_is_based_on_a_round_that_is_yet_to_come_waits() -> None:
    store = Store()
    sent(store, a_change({"cat": 2}), place(round=RoundMark(4, "1" * 64)))
    mail = collected(store, replace(first(), number=3))
    assert facts(mail) == ([], [], 0) and mail.refused == {}
    assert mail.notes == ["update 1: it is based on round 4, and the newest that this hub knows is 3; it waits"]
    assert facts(collected(store, replace(first(), number=4))) == ([1], [], 1)


def test_notes_are_few_however_many_strangers_write() -> None:
    store = Store()
    for number in range(30):
        store.objects[f"updates/{DEVICE}/odd {number:02d}"] = b""
    notes = collected(store).notes
    assert len(notes) == 20 and notes[-1] == "and 11 more" and notes[18].startswith("odd 18: not an update")
    for number in range(10):
        del store.objects[f"updates/{DEVICE}/odd {number:02d}"]
    assert len(collected(store).notes) == 20 and "more" not in collected(store).notes[-1]


@pytest.mark.parametrize(
    ("name", "is_update", "is_told"),
    [
        ("00000001-HASH.json", True, False),
        ("0000001-HASH.json", False, True),
        ("000000001-HASH.json", False, True),
        ("0000000a-HASH.json", False, True),
        ("00000001-HASH.txt", False, True),
        ("00000001HASH.json", False, True),
        ("\u0661" * 8 + "-HASH.json", False, True),
        ("abc.numbers", False, False),
    ],
)
def test_only_names_of_updates_are_read_and_others_are_passed_over(name: str, is_update: bool, is_told: bool) -> None:
    store = Store()
    made = sealed(a_change({"cat": 2}))
    called = name.replace("HASH", made.sha256[:16])
    store.objects = {
        parcel.numbers_key(made.cover): made.numbers,
        f"updates/{DEVICE}/{called}": made.envelope,
    }
    mail = collected(store)
    assert facts(mail) == (([1], [], 1) if is_update else ([], [], 0))
    assert mail.notes == ([f"{called}: not an update, passed over"] if is_told else [])


def test_what_strangers_wrote_is_short_in_a_note() -> None:
    """Long names of objects, and an envelope of a thousand keys with names of a thousand signs."""
    store = Store()
    store.objects[f"updates/{DEVICE}/\x1b[31m{'n' * 1000}"] = b""
    signatures = [{"keyid": f"{number:04d}{'k' * 1000}", "sig": "AAAA"} for number in range(1000)]
    forged = {"payload": "AAAA", "payloadType": parcel.PAYLOAD_TYPE, "signatures": signatures}
    store.objects[f"updates/{DEVICE}/00000001-{'0' * 16}.json"] = canonical(forged)
    mail = inbox.collect(store, SIGNER.public_key, Known(), Judge(first(), small_shapes(), UpdateLimits(), [HUB]))
    assert len(mail.notes) == 2
    assert "expected one signature by a key that is enrolled, found 1000 by '0000k" in mail.notes[1] + mail.notes[0]
    for note in mail.notes:
        assert len(note) <= 600 and note.isprintable(), note


def test_an_update_under_another_name_than_its_own_is_passed_over() -> None:
    store = Store()
    made = sealed(a_change({"cat": 2}), place(2))
    for name in (f"00000001-{made.sha256[:16]}.json", "00000001-x.json"):
        store.objects = {
            parcel.numbers_key(made.cover): made.numbers,
            f"updates/{DEVICE}/{name}": made.envelope,
        }
        mail = collected(store)
        assert facts(mail) == ([], [], 0)
        assert mail.notes == [f"updates/{DEVICE}/{name}: an old update under a new name, passed over"]


MISPLACED = [
    ({"fleet": "0" * 32}, "it is of another fleet"),
    ({"identity": identity("0")}, f"it was learned with another bundle: {mismatch(BASIS, identity('0'))}"),
    ({"device": "0" * 64}, f"it says that it is of the device {'0' * 16}"),
    ({}, ""),
    ({"round": RoundMark(3, "1" * 64)}, ""),
    ({"round": RoundMark(0, "")}, ""),
]


@pytest.mark.parametrize(("parts", "reason"), MISPLACED, ids=range(len(MISPLACED)))
def test_an_update_belongs_to_its_fleet_basis_device_number_and_a_round_that_there_was(
    parts: dict[str, Any], reason: str
) -> None:
    now = replace(first(), number=3)
    assert inbox.misplaced(place(**parts), DEVICE, now) == reason
    if "device" in parts:
        return  # its envelope is another device's, and is not looked into
    store = Store()
    sent(store, a_change({"cat": 2}), place(**parts))
    mail = collected(store, now)
    assert refusals(mail) == ({1: reason} if reason else {})
    assert facts(mail) == (([], [1], 1) if reason else ([1], [], 1))


CAT = {"cat": 6, "dog": 4}


@pytest.mark.parametrize(
    ("change", "limits", "reason"),
    [
        (a_change(CAT), UpdateLimits(pictures=11), None),
        (a_change(CAT), UpdateLimits(pictures=9), "it is of 10 pictures, the bound is 9"),
        (a_change(CAT, spare=3), UpdateLimits(pictures=14), None),
        (a_change(CAT, spare=3), UpdateLimits(pictures=12), "it is of 13 pictures, the bound is 12"),
        (a_change(CAT, spare=-10), UpdateLimits(pictures=11), None),
        (a_change(CAT, spare=-12), UpdateLimits(pictures=11), "it is of 12 pictures, the bound is 11"),
        (a_change(CAT, forgets=20), UpdateLimits(), None),
        (a_change(CAT, forgets=21), UpdateLimits(), "it takes back 21 labels at once, the bound is 20"),
        (a_change(CAT), UpdateLimits(labels=3), None),
        (a_change(CAT), UpdateLimits(labels=1), "it teaches 2 labels at once, the bound is 1"),
        (a_change(CAT, core=3.3), UpdateLimits(), None),
        (
            a_change(CAT, core=3.4),
            UpdateLimits(),
            "text.0.v: expected cores of a norm up to 10, found 10.2; no lessons give these numbers",
        ),
        (
            replace(
                a_change(CAT),
                labels={**a_change(CAT).labels, "dog": LabelChange(Label("dog", 0), 5, pictures(1, 4).sum(axis=0))},
            ),
            UpdateLimits(),
            "the label 'dog': expected sums of 5 pictures, found those of another number; no pictures "
            "give these numbers",
        ),
    ],
)
def test_what_may_not_be_merged_is_refused_for_good_and_the_next_one_is_taken(
    change: Change, limits: UpdateLimits, reason: str | None
) -> None:
    store = Store()
    chained(store, change, a_change({"cup": 1}))
    mail = collected(store, limits=limits)
    # which of two matrices is named first is the file format's to say
    found = {number: why.replace("text.0.q:", "text.0.v:") for number, why in refusals(mail).items()}
    assert found == ({} if reason is None else {1: reason})
    assert facts(mail) == ([1, 2] if reason is None else [2], [] if reason is None else [1], 2)


@pytest.mark.parametrize(
    ("change", "limits"),
    [
        (a_change(CAT), UpdateLimits(pictures=19)),
        (a_change(CAT, forgets=11), UpdateLimits()),
        (a_change(CAT, core=1.7), UpdateLimits()),
        (a_change({f"cat {place}": 1 for place in range(6)}), UpdateLimits(labels=11)),
    ],
)
def test_what_is_beyond_a_devices_whole_step_waits_with_all_that_follows(change: Change, limits: UpdateLimits) -> None:
    store = Store()
    other = replace(
        change,
        labels={f"other {key}": replace(one, label=Label(f"other {key}", 0)) for key, one in change.labels.items()},
        forgets=tuple((f"other {key}", number) for key, number in change.forgets),
    )
    chained(store, change, other, a_change({"cup": 1}))
    mail = collected(store, limits=limits)
    assert facts(mail) == ([1], [], 1)
    words = f"one merge takes {limits.pictures} pictures of a device, this and later ones wait for the next"
    assert mail.notes == [f"update 2: {words}"]


def test_one_merge_takes_twenty_updates_of_a_device() -> None:
    store = Store()
    chained(store, *(a_change({"cat": 1}) for _ in range(22)))
    mail = collected(store)
    assert facts(mail) == (list(range(1, 21)), [], 20)
    assert mail.notes == ["one merge takes 20 updates of a device; this and later ones wait for the next"]


@pytest.mark.parametrize(("base", "unseen", "is_taken"), [(1, 20, False), (1, 19, True), (2, 20, True)])
def test_a_device_that_has_not_seen_why_twenty_were_refused_waits_until_it_has(
    base: int, unseen: int, is_taken: bool
) -> None:
    store = Store()
    first_one = sent(store, a_change({"cat": 1}))
    sent(store, a_change({"cup": 1}), place(2, before=first_one.sha256, round=RoundMark(base, "1" * 64)))
    refused = {f"{number:016x}": Refusal(number, "for the test", "refused", 2) for number in range(unseen)}
    now = replace(after(first_one, refused=refused), number=3)
    mail = collected(store, now)
    assert facts(mail)[0] == ([2] if is_taken else [])
    if not is_taken:
        assert mail.notes == [
            "update 2: its device has not seen yet why 20 others were refused; it waits until it pulls"
        ]


def test_pictures_taken_back_count_as_many_as_given() -> None:
    given = a_change(CAT)
    back = replace(
        given,
        gram=-given.gram,
        labels={key: replace(one, pictures=-one.pictures, sums=-one.sums) for key, one in given.labels.items()},
    )
    store = Store()
    sent(store, back)
    assert refusals(collected(store, limits=UpdateLimits(pictures=9))) == {1: "it is of 10 pictures, the bound is 9"}
    mail = collected(store, limits=UpdateLimits(pictures=10))
    assert mail.refused == {} and mail.accepted[0].pictures == {"cat": -6, "dog": -4}


def test_an_update_that_is_too_large_is_refused_before_its_numbers_are_asked_for() -> None:
    store = Store()
    cover = sent(store, a_change(CAT)).cover
    key = parcel.numbers_key(cover)
    assert collected(store, limits=UpdateLimits(size=cover.size)).refused == {}
    assert store.bounds.pop(key) == cover.size
    mail = collected(store, limits=UpdateLimits(size=cover.size - 1))
    assert refusals(mail) == {1: f"its numbers have {cover.size} bytes, the bound is {cover.size - 1}"}
    assert key not in store.bounds
    envelope = next(key for key in store.objects if key.endswith(".json"))
    assert store.bounds[envelope] == 2 << 20


def test_what_the_device_did_not_sign_is_passed_over_and_never_counts_against_it() -> None:
    store = Store()
    sent(store, a_change({"bad": 2}), signer=OTHER)
    mail = collected(store)
    assert (
        facts(mail) == ([], [], 0)
        and "expected one signature by a key that is enrolled" in mail.notes[0]
        and len(mail.notes) == 1
    )
    sent(store, a_change({"cat": 2}))
    mail = collected(store)
    assert facts(mail) == ([1], [], 1) and list(mail.accepted[0].pictures) == ["cat"] and len(mail.notes) == 1


def test_sending_puts_the_numbers_first_under_their_hash_and_again_only_what_is_missing_or_cut() -> None:
    store = Store()
    made = sealed(a_change({"cat": 2}), place(7))
    parcel.send(store, made)
    keys = [f"updates/{DEVICE}/{made.cover.sha256}.numbers", f"updates/{DEVICE}/00000007-{made.sha256[:16]}.json"]
    assert store.puts == keys and [store.objects[key] for key in keys] == [made.numbers, made.envelope]
    parcel.send(store, made)
    assert store.puts == keys
    store.objects[keys[0]] = made.numbers[:-1]
    with pytest.raises(StoreError, match="expected the .* bytes put there, found others"):
        parcel.send(store, made)


def test_reading_an_accepted_update_again_verifies_it_again() -> None:
    store = Store()
    sent(store, a_change(CAT))
    one = collected(store).accepted[0]
    assert {key: label.pictures for key, label in inbox.read(store, one, judge()).labels.items()} == CAT
    key = parcel.numbers_key(one.cover)
    store.objects[key] = store.objects[key][::-1]
    with pytest.raises(
        StoreError, match=rf"{key}: expected the bytes that the device signed, found {one.cover.size} others"
    ):
        inbox.read(store, one, judge())
