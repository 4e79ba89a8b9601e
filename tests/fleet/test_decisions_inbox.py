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
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.identity import mismatch
from edge_nusa.knowledge.knowledge import Label, RoundMark
from edge_nusa.sync import update
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub import inbox
from edge_nusa.sync.hub.inbox import UpdateLimits
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.stores.store import MissingObjectError
from edge_nusa.sync.update import Place, Statement

signers = pytest.importorskip("securesystemslib.signer")
SIGNER, OTHER = signers.CryptoSigner.generate_ed25519(), signers.CryptoSigner.generate_ed25519()
DEVICE = SIGNER.public_key.keyid


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


def sent(store: Store, change: Change, where: Place | None = None, signer: Any = SIGNER) -> Statement:
    statement, numbers = update.encode(change, where or place(), "float16")
    # whoever signs, it is put into the device's folder
    folder = replace(statement, place=replace(statement.place, device=DEVICE))
    inbox.send(store, inbox.seal(statement, signer), folder, numbers)
    return statement


def collected(store: Store, now: Round | None = None, limits: UpdateLimits | None = None) -> inbox.Mail:
    return inbox.collect(store, SIGNER.public_key, now or first(), small_shapes(), limits or UpdateLimits())


def facts(mail: inbox.Mail) -> tuple[list[int], list[int], int]:
    """Numbers of what was accepted, of what was refused, and the last one."""
    return [one.statement.place.sequence for one in mail.accepted], sorted(mail.refused), mail.through


def test_the_bounds_of_an_update_are_these() -> None:
    assert UpdateLimits() == UpdateLimits(pictures=1000, size=67_108_864, forgets=20)
    assert inbox.Mail(device="x") == inbox.Mail(device="x", accepted=[], refused={}, notes=[], through=0)


def test_updates_are_taken_in_the_order_of_their_numbers_from_the_first_that_the_round_lacks() -> None:
    store = Store()
    for sequence in (3, 1, 2):
        sent(store, a_change({"cat": sequence}), place(sequence))
    mail = collected(store)
    assert facts(mail) == ([1, 2, 3], [], 3)
    assert [dict(one.pictures) for one in mail.accepted] == [{"cat": 1}, {"cat": 2}, {"cat": 3}]
    assert mail.accepted[0].numbers_key == f"updates/{DEVICE}/{mail.accepted[0].statement.sha256}.numbers"
    assert mail.notes == [] and mail.device == DEVICE
    later = replace(first(), received={DEVICE: Received(through=2), "other": Received(through=9)})
    assert facts(collected(store, later)) == ([3], [], 3)
    assert facts(collected(store, replace(first(), received={DEVICE: Received(through=3)}))) == ([], [], 3)


def test_a_gap_holds_later_updates_back_and_is_told() -> None:
    store = Store()
    for sequence in (1, 3, 4):
        sent(store, a_change({"cat": 2}), place(sequence))
    mail = collected(store)
    assert facts(mail) == ([1], [], 1)
    assert mail.notes == ["update 2 is not there yet, 2 later ones wait for it"]
    later = collected(store, replace(first(), received={DEVICE: Received(through=1)}))
    assert facts(later) == ([], [], 1) and later.notes == mail.notes


def test_what_is_not_there_yet_waits_and_later_ones_with_it_without_another_word() -> None:
    store = Store()
    statement = sent(store, a_change({"cat": 2}))
    sent(store, a_change({"cat": 3}), place(2))
    numbers = store.objects.pop(f"updates/{DEVICE}/{statement.sha256}.numbers")
    mail = collected(store)
    assert facts(mail) == ([], [], 0)
    assert mail.notes == [f"update 1: updates/{DEVICE}/{statement.sha256}.numbers: not there"]
    store.objects[f"updates/{DEVICE}/{statement.sha256}.numbers"] = numbers[:-1] + b"x"
    assert "the bytes that the device signed" in collected(store).notes[0]


@pytest.mark.parametrize(
    ("name", "is_update", "is_told"),
    [
        ("00000001-x.json", True, False),
        ("0000001-x.json", False, True),
        ("000000001-x.json", False, True),
        ("0000000a-x.json", False, True),
        ("00000001-x.txt", False, True),
        ("00000001x.json", False, True),
        ("\u0661" * 8 + "-x.json", False, True),
        ("abc.numbers", False, False),
    ],
)
def test_only_names_of_updates_are_read_and_others_are_passed_over(name: str, is_update: bool, is_told: bool) -> None:
    store = Store()
    statement, numbers = update.encode(a_change({"cat": 2}), place(), "float16")
    store.objects = {
        f"updates/{DEVICE}/{statement.sha256}.numbers": numbers,
        f"updates/{DEVICE}/{name}": inbox.seal(statement, SIGNER),
    }
    mail = collected(store)
    assert facts(mail) == (([1], [], 1) if is_update else ([], [], 0))
    assert mail.notes == ([f"updates/{DEVICE}/{name}: not an update, passed over"] if is_told else [])


MISPLACED = [
    ({"fleet": "0" * 32}, "it is of another fleet"),
    ({"identity": identity("0")}, f"it was learned with another bundle: {mismatch(BASIS, identity('0'))}"),
    ({"round": RoundMark(4, "1" * 64)}, "it is based on round 4, and the newest is 3"),
    ({"sequence": 2}, f"it says that it is update 2 of {DEVICE[:16]}: an old one under a new name"),
    ({"device": "0" * 64}, f"it says that it is update 1 of {'0' * 16}: an old one under a new name"),
    ({}, ""),
    ({"round": RoundMark(3, "1" * 64)}, ""),
    ({"round": RoundMark(0, "")}, ""),
]


@pytest.mark.parametrize(("parts", "reason"), MISPLACED, ids=range(len(MISPLACED)))
def test_an_update_belongs_to_its_fleet_basis_device_number_and_a_round_that_there_was(
    parts: dict[str, Any], reason: str
) -> None:
    now = replace(first(), number=3)
    assert inbox.misplaced(place(**parts), 1, DEVICE, now) == reason
    store = Store()
    statement, numbers = update.encode(a_change({"cat": 2}), place(**parts), "float16")
    store.objects = {
        f"updates/{DEVICE}/{statement.sha256}.numbers": numbers,
        f"updates/{DEVICE}/00000001-x.json": inbox.seal(statement, SIGNER),
    }
    mail = collected(store, now)
    assert mail.refused == ({1: reason} if reason else {})
    assert facts(mail) == (([], [1], 1) if reason else ([1], [], 1))


CAT = {"cat": 6, "dog": 4}


@pytest.mark.parametrize(
    ("change", "limits", "reason"),
    [
        (a_change(CAT), UpdateLimits(pictures=10), None),
        (a_change(CAT), UpdateLimits(pictures=9), "it is of 10 pictures, the bound is 9"),
        (a_change(CAT, spare=3), UpdateLimits(pictures=13), None),
        (a_change(CAT, spare=3), UpdateLimits(pictures=12), "it is of 13 pictures, the bound is 12"),
        (a_change(CAT, spare=-3), UpdateLimits(pictures=12), "it is of 13 pictures, the bound is 12"),
        (a_change(CAT, forgets=20), UpdateLimits(), None),
        (a_change(CAT, forgets=21), UpdateLimits(), "it takes back 21 labels at once, the bound is 20"),
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
    sent(store, change)
    sent(store, a_change({"cup": 1}), place(2))
    mail = collected(store, limits=limits)
    # which of two matrices is named first is the file format's to say
    found = {number: why.replace("text.0.q:", "text.0.v:") for number, why in mail.refused.items()}
    assert found == ({} if reason is None else {1: reason})
    assert facts(mail) == ([1, 2] if reason is None else [2], [] if reason is None else [1], 2)


def test_pictures_taken_back_count_as_many_as_given() -> None:
    given = a_change(CAT)
    back = replace(
        given,
        gram=-given.gram,
        labels={key: replace(one, pictures=-one.pictures, sums=-one.sums) for key, one in given.labels.items()},
    )
    store = Store()
    sent(store, back)
    assert collected(store, limits=UpdateLimits(pictures=9)).refused == {1: "it is of 10 pictures, the bound is 9"}
    mail = collected(store, limits=UpdateLimits(pictures=10))
    assert mail.refused == {} and mail.accepted[0].pictures == {"cat": -6, "dog": -4}


def test_an_update_that_is_too_large_is_refused_before_its_numbers_are_asked_for() -> None:
    store = Store()
    statement = sent(store, a_change(CAT))
    key = f"updates/{DEVICE}/{statement.sha256}.numbers"
    assert collected(store, limits=UpdateLimits(size=statement.size)).refused == {}
    assert store.bounds.pop(key) == statement.size
    mail = collected(store, limits=UpdateLimits(size=statement.size - 1))
    assert mail.refused == {1: f"its numbers have {statement.size} bytes, the bound is {statement.size - 1}"}
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


def test_two_different_updates_of_one_number_are_refused_and_the_same_one_twice_is_not() -> None:
    store = Store()
    statement = sent(store, a_change({"cat": 2}))
    store.objects[f"updates/{DEVICE}/00000001-again.json"] = inbox.seal(statement, SIGNER)
    assert facts(collected(store)) == ([1], [], 1)
    sent(store, a_change({"cat": 3}))
    assert collected(store).refused == {1: "the device signed two different updates of this number"}


def test_sending_puts_the_numbers_first_under_their_hash_and_again_only_what_is_missing_or_cut() -> None:
    store = Store()
    statement, numbers = update.encode(a_change({"cat": 2}), place(7), "float16")
    envelope = inbox.seal(statement, SIGNER)
    inbox.send(store, envelope, statement, numbers)
    keys = [
        f"updates/{DEVICE}/{statement.sha256}.numbers",
        f"updates/{DEVICE}/00000007-{sha256_hex(envelope)[:16]}.json",
    ]
    assert store.puts == keys and [store.objects[key] for key in keys] == [numbers, envelope]
    inbox.send(store, envelope, statement, numbers)
    assert store.puts == keys
    store.objects[keys[0]] = numbers[:-1]
    with pytest.raises(StoreError, match="expected the .* bytes put there, found others"):
        inbox.send(store, envelope, statement, numbers)


def test_reading_an_accepted_update_again_verifies_it_again() -> None:
    store = Store()
    sent(store, a_change(CAT))
    one = collected(store).accepted[0]
    assert {key: label.pictures for key, label in inbox.read(store, one, small_shapes()).labels.items()} == CAT
    store.objects[one.numbers_key] = store.objects[one.numbers_key][::-1]
    with pytest.raises(
        StoreError,
        match=rf"{one.numbers_key}: expected the bytes that the device signed, found {one.statement.size} others",
    ):
        inbox.read(store, one, small_shapes())
