"""A rename in a fleet loses no picture and counts none twice: what the round does not hold is renamed, sent or not;
what it holds is refused with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleet_world import Member, new_hub, one_round
from small_fleets import facts
from test_fleet_faults import rows
from test_groups_travel import Board, answers, exact

from edge_nusa.errors import InputError, RefusedError
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[Hub, Member, Member]:
    hub = new_hub(tmp_path)
    return hub, Member(tmp_path, hub, "a"), Member(tmp_path, hub, "b")


def test_a_label_that_was_never_sent_travels_by_its_new_name_alone(fleet: tuple[Hub, Member, Member]) -> None:
    hub, a, b = fleet
    a.teach({"mug": rows(1, 5), "plate": rows(2, 4)}, 1)
    a.model.rename("mug", "cup")
    pushed = a.push()
    assert (pushed.labels, pushed.forgets, pushed.pictures) == (["cup", "plate"], [], 9)
    one_round(hub, [a, b])
    assert a.labels == b.labels == {"cup": 5, "plate": 4}


def test_a_label_that_was_sent_and_merged_meanwhile_is_taken_back_and_given_anew_picture_by_picture(
    fleet: tuple[Hub, Member, Member],
) -> None:
    hub, a, b = fleet
    a.teach({"mug": rows(1, 5)}, 1)
    a.push()
    b.teach({"mug": rows(2, 3), "plate": rows(3, 4)}, 2)
    b.push()
    assert hub.merge(MergeSettings()).is_merged
    hub.publish()
    a.model.rename("mug", "cup")  # its state is based on no round yet: all pictures of it are its own
    one_round(hub, [a, b])
    one_round(hub, [a, b])
    assert a.labels == b.labels == {"mug": 3, "plate": 4, "cup": 5}
    assert facts(a.knows)["gram"] == facts(b.knows)["gram"]
    assert all(row.refused == {} for row in hub.status().devices)


def test_an_undone_and_redone_rename_ends_on_one_name(fleet: tuple[Hub, Member, Member]) -> None:
    hub, a, b = fleet
    a.teach({"mug": rows(1, 5)}, 1)
    a.push()
    a.model.rename("mug", "cup")
    a.push()
    a.model.undo()
    a.push()
    one_round(hub, [a, b])
    assert a.labels == b.labels == {"mug": 5}
    assert all(row.refused == {} for row in hub.status().devices)


def test_redo_after_an_undo_that_was_sent_gives_the_same_pictures_once(fleet: tuple[Hub, Member, Member]) -> None:
    hub, a, b = fleet
    a.teach({"mug": rows(1, 5)}, 1)
    a.teach({"plate": rows(2, 4)}, 2)
    a.push()
    a.undo()
    a.push()
    a.model.redo()
    one_round(hub, [a, b])
    assert a.labels == b.labels == {"mug": 5, "plate": 4}
    assert all(row.refused == {} for row in hub.status().devices)


def test_redo_goes_over_a_pull_and_the_round_is_not_taken_again(fleet: tuple[Hub, Member, Member]) -> None:
    hub, a, b = fleet
    a.teach({"mug": rows(1, 5)}, 1)
    b.teach({"plate": rows(2, 4)}, 2)
    one_round(hub, [a, b])
    assert b.labels == {"mug": 5, "plate": 4}
    b.undo()
    assert b.labels == {"plate": 4}
    b.model.redo()
    assert b.labels == {"mug": 5, "plate": 4}
    assert b.pull().generation is None


def test_a_label_that_the_round_holds_is_not_renamed_and_the_way_out_is_said(fleet: tuple[Hub, Member, Member]) -> None:
    hub, a, b = fleet
    a.teach({"mug": rows(1, 5), "plate": rows(2, 4)}, 1)
    one_round(hub, [a, b])
    before = b.knows
    for name in ("cup", "Mug"):
        with pytest.raises(
            RefusedError,
            match=rf"round 1 of the fleet holds the label 'mug'.*state is unchanged.*teach its pictures as '{name}'",
        ):
            b.model.rename("MUG", name)
    assert b.knows.lessons == before.lessons and b.knows.names == before.names
    # the way out
    b.model.forget("mug")
    b.teach({"cup": rows(1, 5)}, 5)
    one_round(hub, [b, a])
    assert a.labels == b.labels == {"plate": 4, "cup": 5}


def test_a_label_taught_since_the_round_is_renamed(
    fleet: tuple[Hub, Member, Member],
) -> None:
    hub, a, b = fleet
    a.teach({"mug": rows(1, 5)}, 1)
    one_round(hub, [a, b])
    b.teach({"plate": rows(2, 4)}, 2)
    b.push()
    b.model.rename("plate", "dish")
    one_round(hub, [b, a])
    assert a.labels == b.labels == {"mug": 5, "dish": 4}
    with pytest.raises(InputError, match="known already"):
        b.model.rename("dish", "MUG")


def test_pictures_in_groups_and_those_that_wait_go_with_the_name_and_the_answers_stay(tmp_path: Path) -> None:
    hub = new_hub(tmp_path)
    a, b = Board(tmp_path, hub, "a"), Board(tmp_path, hub, "b")
    a.show("few", 0, 1, 2)
    a.show("mug", *range(3, 9))
    a.push()
    a.show("mug", 9, 10)
    before = a.knows
    a.model.rename("mug", "cup")
    a.model.rename("few", "rare")
    after = a.knows
    assert exact(after.head) == exact(before.head) and (answers(after) == answers(before)).all()
    assert [(one.label, one.pictures) for one in a.waiting] == [("rare", 3), ("cup", 2)]
    one_round(hub, [a, b])
    assert (a.labels, b.labels) == ({"rare": 3, "cup": 8}, {"cup": 6})
    assert all(row.refused == {} for row in hub.status().devices)
    a.show("rare", 11)
    one_round(hub, [a, b])
    assert b.labels == {"cup": 6, "rare": 4}
