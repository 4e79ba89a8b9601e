"""What leaves a board and what stays on it are together its exact sums, whatever is taught, forgotten and taken from
the fleet; and what leaves is as if each group's mean had been seen n times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_by_hand import clusters, knowledge, unit

from edge_nusa.knowledge import fusion, private
from edge_nusa.knowledge.groups import Formed, marks_of
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.private import nothing_private

TAPS = 6
NAMES = ("a", "b", "c")


@dataclass(frozen=True)
class Pictures:
    """Of a lesson: features (B, F), columns (B,), losses (B, 8, 7)."""

    rows: np.ndarray
    columns: np.ndarray
    losses: np.ndarray


def seen(seed: int, columns: list[int]) -> Pictures:
    rows, _ = clusters(seed, [len(columns)], taps=TAPS)
    losses = np.random.default_rng(seed).integers(0, 100, (len(columns), *fusion.SHAPE))
    return Pictures(rows=rows, columns=np.array(columns, np.int64), losses=losses)


def empty() -> Knowledge:
    made = replace(knowledge([], np.zeros((0, 4), np.float32)), head=Head.empty(TAPS + 1))
    return replace(made, private=nothing_private(made.head))


def taught(known: Knowledge, pictures: Pictures, formed: Formed, is_one: bool = False) -> tuple[Knowledge, Formed]:
    """A knowledge that was also taught these pictures of the labels NAMES."""
    count = max(len(known.labels), int(pictures.columns.max()) + 1)
    assert known.private is not None
    placed = private.placed(known.private, pictures.rows, pictures.columns, formed, is_one)
    seen_now = np.bincount(pictures.columns, minlength=count)
    old = [label.images for label in known.labels] + [0] * count
    return replace(
        known,
        labels=tuple(Label(NAMES[i], old[i] + int(seen_now[i])) for i in range(count)),
        frozen_anchors=unit(*np.eye(4)[:count]),
        adapted_anchors=unit(*np.eye(4)[:count]),
        head=known.head.added(placed.rows, pictures.columns, count),
        fusion=known.fusion + pictures.losses.sum(axis=0),
        private=placed.stays(known.private, pictures.losses, count),
    ), placed.formed


def check(known: Knowledge) -> None:
    """exact = shared + private, number by number, and everything open is of fewer than four pictures or stays known."""
    own, shared = known.private, known.shared
    assert own is not None
    columns = [known.column(label.name) for label in shared.labels]
    assert np.array_equal(known.head.gram, shared.head.gram + own.head.gram)
    assert known.head.spare == shared.head.spare + own.head.spare
    assert np.array_equal(known.head.counts[columns], shared.head.counts + own.head.counts[columns])
    assert np.array_equal(known.head.sums[:, columns], shared.head.sums + own.head.sums[:, columns])
    others = np.setdiff1d(np.arange(len(known.labels)), columns)
    assert np.array_equal(known.head.sums[:, others], own.head.sums[:, others])
    assert np.array_equal(known.head.counts[others], own.head.counts[others])
    assert np.array_equal(own.shared(known.head).gram, shared.head.gram)
    assert [label.images for label in shared.labels] == shared.head.counts.tolist()
    assert np.array_equal(known.fusion, shared.fusion + own.all_losses)
    assert np.bincount(own.columns, minlength=len(known.labels)).tolist() == own.head.counts.tolist()
    again = own.added_to(own.shared(known.head))
    assert np.array_equal(again.gram, known.head.gram) and np.array_equal(again.sums, known.head.sums)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.lists(st.integers(0, 2), min_size=1, max_size=12), st.just("forget first"), st.just("forget last")
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_exact_sums_are_shared_ones_and_private_ones_after_any_lessons_and_forgettings(
    steps: list[list[int] | str], is_one: bool
) -> None:
    known, formed = empty(), Formed()
    for seed, step in enumerate(steps):
        if isinstance(step, list):
            present = len(known.labels)
            columns = sorted({min(column, present + i) for i, column in enumerate(sorted(set(step)))})
            known, formed = taught(known, seen(seed, [columns[c % len(columns)] for c in step]), formed, is_one)
        elif known.labels:
            exact, shared = known.head, known.shared
            name = known.names[0 if step == "forget first" else -1]
            column = known.column(name)
            known = known.without(name)
            assert np.array_equal(known.head.gram, exact.without(column).gram)
            expected = shared.without(name).head if name in shared.names else shared.head
            assert np.array_equal(known.shared.head.gram, expected.gram)
            assert (known.shared.head.spare, known.shared.head.freedom) == (expected.spare, expected.freedom)
        check(known)


def test_what_leaves_of_groups_is_the_head_of_their_means_seen_n_times_each() -> None:
    pictures = seen(1, [0] * 9 + [1] * 4 + [2] * 3)
    known, formed = taught(empty(), pictures, Formed())
    shared = known.shared
    assert (shared.names, shared.head.counts.tolist()) == (["a", "b"], [9, 4])
    assert sorted(len(group) for group in formed.groups) == [4, 4, 5]
    assert shared.head.spare == -(3 + 4 + 3)
    assert shared.head.freedom == 1
    by_mark = dict(zip(marks_of(pictures.rows), pictures.rows, strict=True))
    gram = np.zeros_like(shared.head.gram)
    for group in formed.groups:
        mean = np.rint(np.mean([by_mark[mark] for mark in group], axis=0)).astype(np.int64)
        gram += len(group) * np.outer(mean, mean)
    assert np.abs(shared.head.gram - gram).max() <= 7 * 2 * 4096  # a mean of n.5 may be rounded either way
    assert np.linalg.matrix_rank(shared.head.gram.astype(float)) == 3
    assert np.array_equal(shared.head.gram[-1], 1024 * shared.head.sums.sum(axis=1))


@pytest.mark.parametrize(
    ("lessons", "leaves", "moved"),
    [
        ([[0, 1, 2, 4]], 4 * 2, 1),
        ([[0, 1, 2, 5]], 4 * 2, 0),
        ([[0, 1, 2, 3]], 4 * 2, 1),
        ([[0, 1, 2, 7, 3, 4, 5]], 7 * 3, -1),
        ([[10, 11, 13], [14]], 4 * 12, 0),
        ([[10, 11, 13], [15]], 4 * 12, -1),
        ([[10, 11, 13], [16]], 4 * 13, 2),
        ([[-1, -2, -3, -4, -5]], -5 * 3, 0),
    ],
)
def test_new_pictures_of_a_group_are_moved_by_a_little_so_that_its_mean_is_of_whole_numbers(
    lessons: list[list[int]], leaves: int, moved: int
) -> None:
    own, formed, exact = nothing_private(Head.empty(2)), Formed(), Head.empty(2)
    for numbers in lessons:
        rows = np.array([[number, 1024] for number in numbers], np.int64)
        columns = np.zeros(len(rows), np.int64)
        found = private.placed(own, rows, columns, formed)
        own = found.stays(own, np.zeros((len(rows), *fusion.SHAPE), np.int64), 1)
        exact, formed = exact.added(found.rows, columns, 1), found.formed
    assert own.shared(exact).sums[:, 0].tolist() == [leaves, 1024 * exact.counts[0]]
    assert own.head.sums.tolist() == [[0], [0]]
    steps = (found.rows - rows)[:, 0]
    assert (np.abs(steps).max(), steps[np.abs(steps).argmax()]) == (abs(moved), moved)
    assert np.array_equal(found.rows[:, 1], rows[:, 1])


@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.integers(1, 14))
def test_what_stays_of_closed_groups_is_a_scatter_without_negative_directions(
    seed: int, opened: int, offered: int
) -> None:
    pictures = seen(seed, [0] * (opened + offered))
    parts = (slice(0, opened), slice(opened, None)) if opened else (slice(0, None),)
    known, formed = empty(), Formed()
    for part in parts:
        lesson = Pictures(pictures.rows[part], pictures.columns[part], pictures.losses[part])
        known, formed = taught(known, lesson, formed)
    assert known.private is not None
    gone = known.private.moved({}, 0).head
    assert np.linalg.eigvalsh(gone.gram.astype(float)).min() > -8  # whole numbers of open pictures' means are rounded
    assert np.linalg.eigvalsh(known.without("a").head.gram.astype(float)).min() > -8


def test_losses_leave_with_their_group_and_never_before() -> None:
    first, formed = taught(empty(), seen(3, [0, 0, 0]), Formed())
    assert np.array_equal(first.shared.fusion, fusion.nothing_seen())
    later = seen(4, [0])
    second, _ = taught(first, later, formed)
    assert np.array_equal(second.shared.fusion, second.fusion)
    third, _ = taught(first, seen(5, [1, 1, 1, 1, 1]), formed)
    assert not np.array_equal(third.shared.fusion, third.fusion)
    forgotten = first.without("a")
    assert np.array_equal(forgotten.shared.fusion, fusion.nothing_seen())


def test_labels_that_the_fleet_took_back_leave_their_open_pictures_scatter_as_forgetting_does() -> None:
    known, _ = taught(empty(), seen(6, [0, 0, 0, 1, 1]), Formed())
    own = known.private
    assert own is not None
    moved = own.moved({1: 2}, 3)
    assert (moved.head.counts.tolist(), moved.head.spare) == ([0, 0, 2], 2)
    assert np.array_equal(moved.head.gram, known.head.without(0).gram)
    assert np.array_equal(moved.head.sums[:, 2], known.head.sums[:, 1])
    assert (moved.columns.tolist(), len(moved.marks)) == ([2, 2], 2)
    assert np.array_equal(moved.all_losses, own.all_losses)


def test_what_is_all_shared_is_itself() -> None:
    known = knowledge(["a"], unit([1, 0, 0, 0]))
    assert known.private is None
    assert known.shared is known


@pytest.mark.parametrize("spare", [-50, -1])
def test_a_head_of_fewer_groups_than_pictures_is_fitted_and_never_has_less_than_no_freedom(spare: int) -> None:
    rows, goals = clusters(2, [5, 5])
    head = Head.empty(rows.shape[1]).added(rows, goals, 2)
    bent = Head(head.gram, head.sums, head.counts, spare)
    assert bent.freedom == max(8 + spare, 0)
    solved = bent.solve()
    assert np.isfinite(solved.whitening).all() and solved.spread > 0 and np.isfinite(solved.widths).all()


def test_a_head_of_one_group_a_label_answers_as_one_that_knows_no_scatter() -> None:
    known, _ = taught(empty(), seen(7, [0] * 5 + [1] * 5), Formed())
    shared = known.shared.head
    assert shared.freedom == 0
    solved = shared.solve()
    rows = known.head.sums.T // 5
    assert solved.scores(solved.whitened(rows)).argmax(axis=1).tolist() == [0, 1]
