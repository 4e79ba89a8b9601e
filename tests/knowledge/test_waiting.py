"""Which pictures wait for more of their label, and what a person is told of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_by_hand import clusters, taught

from edge_nusa.cli import learned, sync
from edge_nusa.device.fleet.push import Pushed
from edge_nusa.device.learning.report import nothing_new
from edge_nusa.knowledge import fusion, private
from edge_nusa.knowledge.groups import Formed, marks_of
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.waiting import Waiting, told, waiting

TWO = (Waiting("30 km/h", 1, 3), Waiting("cup", 2, 2))


def knows(counts: tuple[int, ...]) -> tuple[Knowledge, np.ndarray]:
    """A board that was taught so many pictures of labels "a", "b", ..., and their features."""
    rows, goals = clusters(4, counts)
    known = taught(("a", "b", "c")[: len(counts)], rows[:0], goals[:0])
    none = private.nothing_private(known.head)
    placed = private.placed(none, rows, goals, Formed())
    losses = np.zeros((len(rows), *fusion.SHAPE), np.int64)
    return replace(known, private=placed.stays(none, losses, len(counts))), rows


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((4, 5), ()),
        ((3, 5), (Waiting("a", 3, 1),)),
        ((1, 4, 2), (Waiting("a", 1, 3), Waiting("c", 2, 2))),
    ],
)
def test_labels_with_fewer_than_four_pictures_wait_for_the_rest(
    counts: tuple[int, ...], expected: tuple[Waiting, ...]
) -> None:
    assert waiting(knows(counts)[0], Formed()) == expected


def test_pictures_that_were_in_a_group_before_count_no_more() -> None:
    known, rows = knows((3,))
    first, second, third = marks_of(rows)
    assert waiting(known, Formed(((1, 2, 3, first),))) == (Waiting("a", 3, 2),)
    assert waiting(known, Formed(((1, first, second, third),))) == (Waiting("a", 3, 4),)


def test_nothing_waits_where_nothing_is_private() -> None:
    assert waiting(replace(knows((3,))[0], private=None), Formed()) == ()


def test_a_person_is_told_how_many_wait_for_how_many_more() -> None:
    words = "30 km/h: 1 picture waits for 3 more of this label; cup: 2 pictures wait for 2 more of this label"
    assert told(TWO) == words
    done = Pushed(update=None, sent=[], bytes=0, labels=[], pictures=0, forgets=[], pictures_waiting=TWO)
    assert sync._pushed(done) == f"nothing new to push; not shared yet: {words}"
    again = replace(done, sent=[2], pictures_waiting=())
    assert sync._pushed(again) == "nothing new to push; put again what may be missing: 2"
    sent = replace(done, update=3, bytes=70, labels=["jar"], pictures=5)
    assert sync._pushed(sent) == f"pushed update 3: jar; 5 pictures, 70 bytes; not shared yet: {words}"
    report = replace(nothing_new(1, (), False), pictures_waiting=TWO)
    assert list(learned.waiting(report)) == [f"not shared with the fleet yet: {words}"]
    assert list(learned.waiting(nothing_new(1, (), False))) == []
