"""What the hub's user sees of a fleet's labels, and a label that is taken back for all."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fleet_world import Member, bundle, new_hub, one_round
from test_fleet_faults import rows

from edge_nusa.errors import InputError
from edge_nusa.sync.hub import labels as fleet
from edge_nusa.sync.hub import take_back
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings


class World:
    """Two devices and a round of what they taught: cup by both, plate by b."""

    def __init__(self, folder: Path) -> None:
        self.hub = new_hub(folder)
        self.a, self.b = Member(folder, self.hub, "a"), Member(folder, self.hub, "b")
        self.a.teach({"Cup": rows(1, 8)}, 1)
        self.b.teach({"cup": rows(2, 4), "plate": rows(3, 8)}, 2)
        one_round(self.hub, [self.a, self.b])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_hub_says_how_many_devices_taught_a_label_and_names_them_only_where_asked(world: World) -> None:
    found = {one.label.lower(): one for one in fleet.labels(world.hub)}
    assert {name: one.pictures for name, one in found.items()} == {"cup": 12, "plate": 8}
    assert found["cup"].to_json(has_devices=False)["devices"] == 2
    assert "taught_by" not in found["cup"].to_json(has_devices=False)
    named = {one["name"]: one["pictures"] for one in found["cup"].to_json(has_devices=True)["taught_by"]}
    assert named == {"a": 8, "b": 4}
    assert [one.name for one in found["plate"].taught_by] == ["b"]


def test_a_hub_before_its_first_round_has_no_labels(tmp_path: Path) -> None:
    assert fleet.labels(new_hub(tmp_path)) == []


def test_what_the_hub_forgets_is_the_same_bits_as_where_a_device_forgot_it(world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "hub", copy)
    fleet.forget(Hub(copy, bundle()), "CUP")
    by_hub = Hub(copy, bundle()).current()[0]
    world.a.forget("Cup")
    world.a.push()
    world.hub.merge(MergeSettings())
    by_device = world.hub.current()[0]
    for name in ("gram", "sums", "counts"):
        assert np.array_equal(getattr(by_hub.knowledge.head, name), getattr(by_device.knowledge.head, name))
    assert by_hub.knowledge.head.spare == by_device.knowledge.head.spare
    assert by_hub.knowledge.names == by_device.knowledge.names == ["plate"]
    assert by_hub.forgotten == by_device.forgotten == {"cup": 2}


def test_a_label_that_the_hub_forgot_goes_from_all_and_comes_back_with_new_pictures_alone(world: World) -> None:
    world.b.teach({"cup": rows(4, 4)}, 4)
    world.b.push()  # on the round before: comes too late
    name, made = fleet.forget(world.hub, "cup")
    assert (name.lower(), made.number, made.knowledge.names) == ("cup", 2, ["plate"])
    world.hub.publish()
    one_round(world.hub, [world.a, world.b])
    assert world.a.labels == world.b.labels == {"plate": 8}
    world.a.teach({"cup": rows(5, 4)}, 5)
    one_round(world.hub, [world.a, world.b])
    assert world.b.labels == {"plate": 8, "cup": 4}
    assert [one.pictures for one in fleet.labels(world.hub)] == [8, 4]


def test_after_a_forgetting_by_the_hub_a_device_can_be_taken_back_exactly(world: World, tmp_path: Path) -> None:
    fleet.forget(world.hub, "cup")
    _, made = take_back.take_back(world.hub, "a")
    assert made is not None
    other = new_hub(tmp_path / "other")
    b = Member(tmp_path / "other", other, "b")
    b.teach({"cup": rows(2, 4), "plate": rows(3, 8)}, 2)
    one_round(other, [b])
    fleet.forget(other, "cup")
    expected = other.current()[0].knowledge.head
    assert np.array_equal(made.knowledge.head.gram, expected.gram)
    assert np.array_equal(made.knowledge.head.sums, expected.sums) and made.knowledge.head.spare == expected.spare


def test_an_undo_brings_back_what_the_hub_forgot(world: World) -> None:
    before = world.hub.current()[0]
    fleet.forget(world.hub, "cup")
    made = take_back.undo(world.hub)
    assert made.number == 3 and np.array_equal(made.knowledge.head.gram, before.knowledge.head.gram)
    world.hub.publish()
    world.b.pull()
    assert world.b.labels == {"cup": 12, "plate": 8}


def test_a_label_that_the_round_lacks_is_not_forgotten(world: World) -> None:
    with pytest.raises(InputError, match=r"expected a label of round 1, found none of this name; see .*hub labels"):
        fleet.forget(world.hub, "saucer")
    assert world.hub.newest()[0] == 1
