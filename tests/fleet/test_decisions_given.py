"""What a device has given in all: what no pictures give is refused however it was cut, and the file is read back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_fleets import FEATURES, pictures

from edge_nusa.errors import DamagedError
from edge_nusa.knowledge.head import mean_part
from edge_nusa.knowledge.knowledge import Label
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub import given, given_file
from edge_nusa.sync.hub.given import Given, Own
from edge_nusa.sync.hub.plausible import energy
from edge_nusa.sync.merging import Step, settled


def change(name: str, rows: np.ndarray, sign: int = 1, spare: int = 0) -> Change:
    wide = rows.astype(np.float64)
    label = LabelChange(Label(name, 0), sign * len(rows), sign * rows.sum(axis=0))
    return Change(cores={}, gram=sign * (wide.T @ wide).astype(np.int64), labels={name: label}, spare=spare)


def after(*changes: Change, start: Given | None = None, number: int = 1) -> Given:
    steps = [Step(place + 1, 0, one) for place, one in enumerate(changes)]
    return (start or given.nothing(FEATURES)).after(steps, number)


ROWS = pictures(1, 5)
CAT = change("cat", ROWS)


def test_what_is_given_and_taken_back_leaves_nothing() -> None:
    one = after(CAT, change("dog", pictures(2, 3)), change("cat", ROWS, -1))
    one.check()
    assert set(one.labels) == {"dog"} and (one.pictures, one.freedom) == (3, 2)
    nothing = after(CAT, change("cat", ROWS, -1))
    nothing.check()
    assert not nothing.gram.any() and nothing.labels == {} and nothing.pictures == 0


@pytest.mark.parametrize(
    "back", [change("cat", pictures(9, 5), -1), change("cat", pictures(1, 6), -1), change("dog", ROWS[:1], -1)]
)
def test_other_pictures_cannot_be_taken_back(back: Change) -> None:
    with pytest.raises(DamagedError, match="it takes back more pictures of '(cat|dog)' than the device gave"):
        after(CAT, back)


def test_what_is_left_of_a_label_must_be_pictures() -> None:
    half = after(CAT, change("cat", pictures(9, 4), -1))
    with pytest.raises(DamagedError, match="the label 'cat': expected features of a mean square of 1, found larger"):
        replace(half, labels={"cat": replace(half.labels["cat"], sums=half.labels["cat"].sums * 3)}).check()
    with pytest.raises(DamagedError, match=r"found one with a negative direction|expected a scatter|mean square"):
        half.check()


def test_names_may_take_as_much_room_as_there_may_be_labels() -> None:
    one = after(CAT)
    wide = replace(one, labels={"cat": replace(one.labels["cat"], text=5 << 20)})
    wide.check(given.MOST_HUB_LABELS)
    with pytest.raises(DamagedError, match="names would take 5242880 bytes, the bound is 1048576"):
        wide.check()
    with pytest.raises(DamagedError, match="names would take 5242881 bytes, the bound is 5242880"):
        replace(one, labels={"cat": replace(one.labels["cat"], text=(5 << 20) + 1)}).check(given.MOST_HUB_LABELS)


@pytest.mark.parametrize(("spare", "sound"), [(-4, True), (-5, False)])
def test_no_more_spare_pictures_are_taken_back_than_there_are_degrees_of_freedom(spare: int, sound: bool) -> None:
    one = replace(after(CAT), spare=spare)
    if spare == -4:  # all of one group: its mean alone, and no scatter
        one = replace(one, gram=mean_part(ROWS.sum(axis=0), 5))
    if sound:
        one.check()
        return
    with pytest.raises(DamagedError, match="it takes back scatter that the device never gave"):
        one.check()


def test_scatter_without_degrees_of_freedom_is_none() -> None:
    with pytest.raises(DamagedError, match="expected a scatter of at most 0 for 0 degrees of freedom, found"):
        replace(after(CAT), spare=-4).check()


@pytest.mark.parametrize(("factor", "sound"), [(0.99, True), (1.01, False)])
def test_a_scatter_is_no_larger_than_its_pictures(factor: float, sound: bool) -> None:
    gram = np.zeros((FEATURES, FEATURES), np.int64)
    gram[0, 0] = round(energy(FEATURES) * 6 * factor)
    one = Given(gram=gram, spare=3)
    if sound:
        one.check()
        return
    with pytest.raises(DamagedError, match="expected a scatter of at most .* for 3 degrees of freedom, found"):
        one.check()


@pytest.mark.parametrize(("depth", "sound"), [(0.5, True), (2.0, False)])
def test_a_negative_direction_is_borne_only_as_far_as_rounding_makes_it(depth: float, sound: bool) -> None:
    borne = FEATURES + 1e-7 * energy(FEATURES) * 10
    gram = np.zeros((FEATURES, FEATURES), np.int64)
    gram[0, 0] = -round(depth * borne)
    one = Given(gram=gram, spare=10)
    if sound:
        one.check()
        return
    with pytest.raises(DamagedError, match="found one with a negative direction; no pictures give these numbers"):
        one.check()


def test_labels_and_the_length_of_their_names_are_bounded() -> None:
    own = Own(1, 1, np.zeros(FEATURES, np.int64), 500)
    labels = {f"label {place}": own for place in range(2001)}
    with pytest.raises(DamagedError, match="the device would have 2001 labels in the fleet, the bound is 2000"):
        replace(given.nothing(FEATURES), labels=labels).check()
    long = {key: replace(own, text=(1 << 20) // 2000 + 1) for key, own in list(labels.items())[:2000]}
    with pytest.raises(DamagedError, match="its labels' names would take 1050000 bytes, the bound is 1048576"):
        replace(given.nothing(FEATURES), labels=long).check()


def test_a_label_that_the_fleet_took_back_is_put_aside_with_the_round_that_did() -> None:
    one = after(CAT, number=3)
    assert one.settled({"cat": (2, 3)}) is one
    put = one.settled({"cat": (2, 4, 9)})
    assert put.labels == {} and [(key, own.round, own.pictures) for key, own in put.past] == [("cat", 4, 5)]
    put.check()
    again = after(change("cat", pictures(3, 2)), start=put, number=5)
    assert (again.labels["cat"].pictures, again.pictures, again.freedom) == (2, 7, 5)
    again.check()


@pytest.mark.parametrize("count", [1, 5, 60])
def test_what_a_device_gave_is_packed_and_comes_back_bit_for_bit(count: int) -> None:
    data = given_file.encode(after(change("cat", pictures(7, count)), number=3))
    packed = given_file.packed(data)
    assert given_file.unpacked(packed, "here") == data
    assert len(packed) < len(data)


def test_late_pictures_leave_their_scatter_and_no_label() -> None:
    late = {"cat": 1}
    one = given.nothing(FEATURES).after(settled([Step(1, 0, CAT)], late, {}), 2)
    assert one.labels == {} and one.spare == 4
    assert np.array_equal(one.gram, CAT.gram - mean_part(ROWS.sum(axis=0), 5))
    back = one.after(settled([Step(2, 0, change("cat", ROWS, -1))], late, {}), 3)
    assert not back.gram.any() and back.spare == 0


def test_of_too_many_labels_that_were_taken_back_only_the_scatter_of_the_oldest_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(given, "MOST_PAST", 1)
    one = after(CAT, change("dog", pictures(2, 3))).settled({"cat": (2,), "dog": (2,)})
    assert [key for key, _ in one.past] == ["dog"]
    assert one.freedom == 4 + 2
    one.check()


@pytest.mark.parametrize("size", [1, 2**33])
def test_the_file_is_read_back_whole(size: int) -> None:
    one = after(CAT, change("dog", pictures(2, 3)), number=4).settled({"dog": (7,)})
    one = replace(
        one,
        gram=one.gram * size,
        spare=-2,
        moved={"text.0.q": np.eye(3)},
        waiting={"text.0.q": 2 * np.eye(3), "text.0.v": np.ones((3, 3))},
    )
    found = given_file.decode(given_file.encode(one), "here")
    assert np.array_equal(found.gram, one.gram) and found.spare == -2
    assert found.labels.keys() == {"cat"} and found.past[0][0] == "dog"
    for mine, theirs in ((one.labels["cat"], found.labels["cat"]), (one.past[0][1], found.past[0][1])):
        assert (mine.round, mine.pictures, mine.text) == (theirs.round, theirs.pictures, theirs.text)
        assert np.array_equal(mine.sums, theirs.sums)
    assert found.moved["text.0.q"].tolist() == np.eye(3).tolist()
    assert found.waiting["text.0.v"].tolist() == np.ones((3, 3)).tolist()


def test_a_file_that_was_cut_or_is_of_other_sizes_is_damaged() -> None:
    data = given_file.encode(after(CAT))
    with pytest.raises(DamagedError, match="here: .*restore"):
        given_file.decode(data[:-1], "here")
    with pytest.raises(DamagedError, match="here: expected the sums of 1 labels, found others; restore the hub"):
        given_file.decode(data.replace(b'"features":40', b'"features":41'), "here")
