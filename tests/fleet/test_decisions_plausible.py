"""What no pictures give: each bound of a change, at its edge and one step beyond."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_fleets import FEATURES, pictures

from edge_nusa.errors import DamagedError
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.fit import UNIT
from edge_nusa.knowledge.knowledge import Label
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub import plausible

E = (FEATURES - 1) * 1024.5**2 + 1024**2
"""The most that one picture's features may square to."""


def change(counts: dict[str, int]) -> Change:
    """Labels with so many honest pictures."""
    rows = {name: pictures(seed, count) for seed, (name, count) in enumerate(counts.items())}
    every = np.concatenate(list(rows.values())).astype(np.float64)
    return Change(
        cores={},
        gram=(every.T @ every).astype(np.int64),
        labels={name: LabelChange(Label(name, 0), len(own), own.sum(axis=0)) for name, own in rows.items()},
    )


def back(one: Change) -> Change:
    """The same pictures taken back."""
    labels = {key: replace(label, pictures=-label.pictures, sums=-label.sums) for key, label in one.labels.items()}
    return replace(one, gram=-one.gram, labels=labels)


HONEST = change({"cat": 5, "dog": 2})


def grown(diagonal: float) -> Change:
    """A G whose diagonal sums to this, where nothing else is looked at: a label of one picture is taken back."""
    one = back(change({"cat": 1}))
    gram = one.gram.copy()
    gram[0, 0] = 0
    gram[0, 0] = round(diagonal - np.abs(gram.diagonal().astype(float)).sum())
    return replace(one, gram=gram)


def test_a_pictures_features_square_to_at_most_this() -> None:
    assert plausible.energy(FEATURES) == E
    assert UNIT == 1024 and (plausible.HIDDEN, plausible.LESSONS_TAKEN_BACK) == (1000, 100)


@pytest.mark.parametrize("one", [HONEST, back(HONEST), replace(change({"cat": 1}), tasks=1)])
def test_what_pictures_give_passes(one: Change) -> None:
    plausible.check(one)


def with_sums(one: Change, key: str, place: int, value: int) -> Change:
    sums = one.labels[key].sums.copy()
    sums[place] += value
    return replace(one, labels={**one.labels, key: replace(one.labels[key], sums=sums)})


@pytest.mark.parametrize(("one", "words"), [
    (with_sums(HONEST, "cat", -1, 1), "the label 'cat': expected sums of 5 pictures"),
    (with_sums(HONEST, "dog", -1, -1024), "the label 'dog': expected sums of 2 pictures"),
    (with_sums(HONEST, "dog", 3, 10**7), "the label 'dog': expected features of a mean square of 1"),
    (replace(HONEST, gram=HONEST.gram + np.eye(FEATURES, dtype=np.int64)), "expected a G whose last row "
    "is that of the labels' sums"),
    (replace(back(HONEST), gram=HONEST.gram), "expected a G whose last row"),
])  # fmt: skip
def test_sums_and_the_last_row_say_the_same_number_of_pictures(one: Change, words: str) -> None:
    with pytest.raises(DamagedError, match=f"{words}.*; no pictures give these numbers"):
        plausible.check(one)


@pytest.mark.parametrize(("factor", "sound"), [(1 - 1e-6, True), (1 + 1e-6, False)])
def test_the_diagonal_of_g_is_at_most_what_so_many_pictures_square_to(factor: float, sound: bool) -> None:
    for spare, most in ((0, 1001), (2, 1005), (-2, 1005)):
        one = replace(grown(most * E * factor), spare=spare)
        if sound:
            plausible.check(one)
            continue
        with pytest.raises(DamagedError, match=f"expected a G of at most .* for {most} pictures"):
            plausible.check(one)


@pytest.mark.parametrize(("beyond", "sound"), [(0, True), (20_000, False)])
@pytest.mark.parametrize("count", [3, -3])
def test_a_labels_sums_are_those_of_its_pictures_and_of_a_thousand_that_were_taken_back(
    count: int, beyond: int, sound: bool
) -> None:
    alike = np.full(FEATURES, 1024 * 1003 + beyond)
    alike[-1] = 1024 * count
    gram = np.zeros((FEATURES, FEATURES), np.int64)
    gram[-1] = gram[:, -1] = 1024 * alike
    one = Change(cores={}, gram=gram, labels={"cat": LabelChange(Label("cat", 0), count, alike)}, forgets=(("x", 1),))
    if sound:
        plausible.check(one)
        return
    with pytest.raises(DamagedError, match="the label 'cat': expected features of a mean square of 1"):
        plausible.check(one)


def test_no_entry_of_g_is_larger_than_what_its_pictures_square_to() -> None:
    one = back(change({"cat": 1}))
    gram = one.gram.copy()
    gram[0, 1] = gram[1, 0] = int(1001 * E) + 1
    with pytest.raises(DamagedError, match="expected a G of at most .* for 1001 pictures"):
        plausible.check(replace(one, gram=gram))
    gram[0, 1] = gram[1, 0] = int(1001 * E) - 1
    plausible.check(replace(one, gram=gram))


@pytest.mark.parametrize(
    ("tasks", "spare", "sound"), [(107, 0, True), (-107, 0, True), (108, 0, False), (111, -2, True)]
)
def test_lessons_are_at_most_as_many_as_pictures_and_a_hundred_that_were_taken_back(
    tasks: int, spare: int, sound: bool
) -> None:
    one = replace(HONEST, tasks=tasks, spare=spare)
    if sound:
        plausible.check(one)
        return
    with pytest.raises(DamagedError, match="expected at most 107 lessons for 7 pictures, found 108"):
        plausible.check(one)


@pytest.mark.parametrize("tasks", [0, 1, -1, 3])
@pytest.mark.parametrize("sign", [1, -1])
def test_losses_are_at_most_the_largest_of_each_picture_and_of_a_thousand_taken_back(tasks: int, sign: int) -> None:
    bound = fusion.LARGEST * 1007
    losses = np.zeros(fusion.SHAPE, np.int64)
    losses[3, 2] = sign * bound
    plausible.check(replace(HONEST, tasks=tasks, fusion=losses))
    with pytest.raises(DamagedError, match=f"expected losses of at most {bound} for 1007 pictures, found {bound + 1}"):
        plausible.check(replace(HONEST, tasks=tasks, fusion=losses + sign * (losses != 0)))


@pytest.mark.parametrize(("norm", "sound"), [(10.0, True), (10.001, False)])
def test_cores_are_no_larger_than_lessons_make_them(norm: float, sound: bool) -> None:
    one = {"q": np.array([[norm, 0], [0, 0]]), "v": np.zeros((2, 2))}
    if sound:
        plausible.check_cores(one, {"q": 10.0, "v": 1.0})
        return
    with pytest.raises(
        DamagedError, match="q: expected cores of a norm up to 10, found 10; no lessons give these numbers"
    ):
        plausible.check_cores(one, {"q": 10.0, "v": 1.0})
