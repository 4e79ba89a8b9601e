"""Groups of at least four pictures, and that no messages together tell of fewer, whatever is undone and taught
again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_nusa.errors import DamagedError
from edge_nusa.knowledge import groups
from edge_nusa.knowledge.groups import FEWEST, MOST_MARKS, Formed, decoded, grouped, marks_of


def sizes(opened: int, offered: int, is_one: bool = False) -> tuple[list[int], int]:
    """The sizes of the groups of one label, and how many offered pictures stay open."""
    found, left = grouped(range(100, 100 + opened), range(offered), Formed(), is_one)
    return [len(group.marks) for group in found], len(left)


def test_a_group_has_four_pictures() -> None:
    assert FEWEST == 4


@pytest.mark.parametrize(
    ("opened", "offered", "expected"),
    [
        (0, 3, ([], 3)),
        (0, 4, ([4], 0)),
        (0, 7, ([7], 0)),
        (0, 8, ([4, 4], 0)),
        (0, 9, ([4, 5], 0)),
        (0, 11, ([4, 7], 0)),
        (0, 12, ([4, 4, 4], 0)),
        (3, 0, ([], 0)),
        (3, 1, ([4], 0)),
        (2, 1, ([], 1)),
        (2, 7, ([4, 5], 0)),
        (3, 4, ([7], 0)),
        (3, 5, ([4, 4], 0)),
    ],
)
def test_pictures_join_groups_of_four_to_seven_and_fewer_than_four_stay_open(
    opened: int, offered: int, expected: tuple[list[int], int]
) -> None:
    assert sizes(opened, offered) == expected


@pytest.mark.parametrize(("opened", "offered", "expected"), [(0, 3, ([], 3)), (2, 9, ([11], 0)), (0, 40, ([40], 0))])
def test_where_only_means_leave_all_pictures_of_a_lesson_are_one_group(
    opened: int, offered: int, expected: tuple[list[int], int]
) -> None:
    assert sizes(opened, offered, is_one=True) == expected


@given(st.permutations(list(range(11))))
def test_the_order_of_pictures_changes_no_group(order: list[int]) -> None:
    found, _ = grouped([20, 21], order, Formed())
    plain, _ = grouped([20, 21], range(11), Formed())
    assert [group.marks for group in found] == [group.marks for group in plain]
    assert all(
        sorted([*(order[row] for row in one.rows), *([20, 21] * one.is_opened)]) == [*one.marks] for one in found
    )


def test_a_group_formed_before_is_formed_again_from_its_very_pictures_and_the_rest_waits() -> None:
    formed = Formed(((1, 2, 3, 4),))
    found, left = grouped([], [5, 4, 3, 2, 1], formed)
    assert ([group.marks for group in found], [5, 4, 3, 2, 1][left[0]], len(left)) == ([(1, 2, 3, 4)], 5, 1)


def test_open_pictures_join_their_old_group_with_the_picture_that_was_in_it_and_with_no_other() -> None:
    formed = Formed(((1, 2, 3, 4),))
    assert grouped([1, 2, 3], [4], formed)[0] == [groups.Group((0,), True, (1, 2, 3, 4))]
    assert grouped([1, 2, 3], [5], formed) == ([], [0])


def test_pictures_that_were_in_a_group_join_one_with_four_that_were_not() -> None:
    formed = Formed(((1, 2, 3, 4),))
    assert grouped([1, 2, 3], [5, 6, 7], formed)[0] == []
    found, left = grouped([1, 2, 3], [5, 6, 7, 8], formed)
    assert ([group.marks for group in found], left) == ([(1, 2, 3, 5, 6, 7, 8)], [])
    found, _ = grouped([], [1, 5, 6, 7, 8, 9], formed)
    assert [group.marks for group in found] == [(1, 5, 6, 7, 8, 9)]


def test_one_picture_four_times_is_one_picture() -> None:
    assert grouped([], [7, 7, 7, 7], Formed()) == ([], [0, 1, 2, 3])
    assert grouped([7], [7, 8, 9, 10], Formed())[0][0].marks == (7, 7, 8, 9, 10)
    assert grouped([7], [7, 8, 9], Formed())[0] == []


PICTURES = 9
LESSONS = ((0, 1, 2), (3,), (0, 1, 2, 3), (0, 1, 2, 3, 4), (4,), (5, 6, 7), (1, 2, 4, 5, 6, 7, 8))


def histories(length: int) -> Iterable[tuple[str | tuple[int, ...], ...]]:
    return product((*LESSONS, "undo", "forget"), repeat=length)


def messages(history: Sequence[str | tuple[int, ...]]) -> list[np.ndarray]:
    """What a board that sends after every step sends of one label: which pictures, how many times."""
    formed, sent = Formed(), []
    known: list[tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]] = [((), ())]
    for step in history:
        opened, closed = known[-1]
        if step == "undo":
            known = known[:-1] or known
        elif step == "forget":
            known.append(((), ()))
        elif not isinstance(step, str):
            found, left = grouped(opened, step, formed)
            formed = formed.added(group.marks for group in found)
            rest = () if any(group.is_opened for group in found) else opened
            new = tuple(group.marks for group in found)
            known.append(((*rest, *(step[row] for row in left)), (*closed, *new)))
        # a message may hold several groups of a label, and its G tells them apart: each is taken as told
        sent += [np.bincount(group, minlength=PICTURES) for group in known[-1][1]]
    return [np.array(one) for one in {tuple(one.tolist()) for one in sent}]


def told(found: list[np.ndarray]) -> int:
    """The fewest pictures in any sum and difference of messages that is not nothing."""
    fewest = PICTURES
    for signs in product((-1, 0, 1), repeat=len(found)):
        if any(signs):
            total = np.sum([sign * one for sign, one in zip(signs, found, strict=True)], axis=0)
            fewest = min(fewest, int((total != 0).sum()) or fewest)
    return fewest


def test_no_sum_or_difference_of_messages_has_fewer_than_four_pictures_in_any_small_history() -> None:
    seen: set[tuple[tuple[int, ...], ...]] = set()
    for history in histories(4):
        found = messages(history)
        form = tuple(sorted(tuple(one.tolist()) for one in found))
        if form not in seen:
            seen.add(form)
            assert told(found) >= FEWEST, history
    assert len(seen) > 50


def test_without_memory_two_messages_tell_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Formed, "added", lambda self, groups: self)
    assert told(messages(((0, 1, 2, 3), "undo", (0, 1, 2, 3, 4)))) == 1
    assert told(messages(((0, 1, 2), (3,), "undo", (4,)))) == 2
    assert told(messages(((0, 1, 2, 3), "forget", (0, 1, 2, 3, 4)))) == 1


def test_what_is_remembered_is_read_back_and_stays_bounded() -> None:
    formed = Formed().added([(1, 2, 3, 2**64 - 1), (5, 6, 7, 8, 9)]).added([(1, 2, 3, 2**64 - 1)])
    assert formed.groups == ((1, 2, 3, 2**64 - 1), (5, 6, 7, 8, 9))
    assert decoded(formed.encoded(), "groups") == formed
    assert decoded(Formed().encoded(), "groups") == Formed()
    assert MOST_MARKS == 50_000
    many = Formed().added(tuple(range(4 * i, 4 * i + 4)) for i in range(12_501))
    assert (len(many.groups), many.groups[0][0]) == (12_500, 4)
    assert len(many.encoded()) < groups.LARGEST_BYTES
    assert len(decoded(many.encoded(), "groups").groups) == 12_500


def test_a_flipped_bit_of_what_is_remembered_is_refused_with_what_helps() -> None:
    data = Formed(((1, 2, 3, 4),)).encoded()
    for place in (3, 64, 65, 90, len(data) - 1):
        bad = bytearray(data)
        bad[place] ^= 1
        with pytest.raises(DamagedError, match="groups: expected the groups as they were written.*restore it from a"):
            decoded(bytes(bad), "groups")


@pytest.mark.parametrize("sizes_", [[3], [4, 1], [5, -1], [4, 0]])
def test_groups_that_do_not_fit_their_marks_are_refused(sizes_: list[int]) -> None:
    from edge_nusa.files import tensor_file
    from edge_nusa.files.file_record import sha256_hex

    rest = tensor_file.encode({"marks": np.arange(4, dtype=np.uint64), "sizes": np.array(sizes_, np.int32)})
    with pytest.raises(DamagedError, match="expected at most 50000 marks in groups of at least one"):
        decoded(sha256_hex(rest).encode() + b"\n" + rest, "groups")


def test_a_state_remembers_its_groups_in_a_file_of_its_own(tmp_path: Path) -> None:
    assert groups.read(tmp_path) == Formed()
    groups.remember(tmp_path, Formed(((1, 2, 3, 4),)))
    assert groups.read(tmp_path) == Formed(((1, 2, 3, 4),))
    assert ((tmp_path / "groups").stat().st_mode & 0o777) == 0o600


def test_a_mark_is_the_first_eight_bytes_of_the_sha256_of_a_pictures_features() -> None:
    rows = np.array([[1, 2], [3, 4], [1, 2]], np.int64)
    first, second, third = marks_of(rows)
    assert first == third != second
    assert marks_of(rows[:, ::-1])[0] != first
    assert marks_of(np.asfortranarray(rows)) == [first, second, third]
