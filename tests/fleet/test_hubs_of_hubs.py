"""A hub as a device of a larger fleet: two levels are one, and nothing is lost or doubled on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fleet_world import Member, new_hub
from test_trust_machine import anchored
from two_levels import Branch, head_of, merged, teach

from edge_nusa.device.fleet import round_judge
from edge_nusa.sync.hub.merge import MergeSettings

DEVICES = {"a": ("cup", "lamp"), "b": ("lamp", "door"), "c": ("cup", "cat"), "d": ("lamp",)}


@pytest.fixture(autouse=True)
def _no_text_tower(monkeypatch):
    monkeypatch.setattr(round_judge, "with_anchors", anchored)


def one_level(folder: Path, order: str):
    """The round of one hub with all devices, which push in this order."""
    folder.mkdir()
    hub = new_hub(folder)
    members = {name: Member(folder, hub, name) for name in order}
    for name, member in members.items():
        teach(member, ord(name), *DEVICES[name])
        member.push()
    hub.merge(MergeSettings())
    return hub.current()[0]


def two_levels(folder: Path, split: tuple[str, str]):
    """The larger hub, and its branches with the devices of each half, after one round up and down."""
    folder.mkdir()
    upper = new_hub(folder)
    branches = [Branch(folder, upper, f"branch {half}", half) for half in split]
    for branch in branches:
        for member in branch.members:
            teach(member, ord(member.name), *DEVICES[member.name])
        branch.gather()
        branch.up()
    merged(upper)
    for branch in branches:
        branch.down()
    return upper, branches


def test_two_levels_are_one_level_with_all_devices_in_any_order(tmp_path):
    wanted = one_level(tmp_path / "one", "abcd")
    assert head_of(one_level(tmp_path / "other", "dbca").knowledge) == head_of(wanted.knowledge)
    upper, branches = two_levels(tmp_path / "two", ("ab", "cd"))
    found = upper.current()[0]
    assert head_of(found.knowledge) == head_of(wanted.knowledge)
    for branch in branches:
        assert head_of(branch.hub.current()[0].knowledge) == head_of(wanted.knowledge)
        for member in branch.members:
            assert head_of(member.knows)["labels"] == head_of(wanted.knowledge)["labels"]
    worst = max(
        float(np.abs(core - wanted.knowledge.cores[name]).max()) for name, core in found.knowledge.cores.items()
    )
    size = max(float(np.abs(core).max()) for core in wanted.knowledge.cores.values())
    print("cores", worst, size)
    assert worst <= 2**-22 * size
