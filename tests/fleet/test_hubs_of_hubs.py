"""A hub as a device of a larger fleet: two levels are one, and nothing is lost or doubled on the way."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO
from fleet_world import Member, bundle, new_hub
from liars import Liar as HandMade
from liars import giving
from test_fleet_faults import rows
from test_trust_machine import anchored
from two_levels import Branch, head_of, merged, teach

from edge_nusa.above import folding
from edge_nusa.above.exchange import exchange
from edge_nusa.above.membership import join, member
from edge_nusa.device.fleet import round_judge
from edge_nusa.errors import DamagedError, InputError, RefusedError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.knowledge import Knowledge, Label, RoundMark
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.providers import CPU_SESSION, Provider
from edge_nusa.sync import packed, update
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub import given, mixtures, take_back
from edge_nusa.sync.hub.above import Above, AboveRounds
from edge_nusa.sync.hub.folder import RootKeys
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.shares import Shares
from edge_nusa.sync.hub.shares import decode as read_shares
from edge_nusa.sync.hub.shares import encode as shares_file
from edge_nusa.sync.hub.trial import MOST_ROUND_LABELS
from edge_nusa.sync.hub.whole_step import UpdateLimits, WholeStep
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.trust import keys, sealing_keys
from edge_nusa.sync.trust.repository import Expiry
from edge_nusa.sync.update import Place

DEVICES = {"a": ("cup", "lamp"), "b": ("lamp", "door"), "c": ("cup", "cat"), "d": ("lamp",)}
ROUNDING = 2**-22
"""Of the largest number in the cores: float32 has 24 binary digits, and each level's file rounds to it once."""


class Liar(HandMade):
    """Whoever holds the keys in a member's folder, and goes on with its chain."""

    def __init__(self, hub: Hub, key: str, folder: Path, sequence: int) -> None:
        self.hub = hub
        self.signer, self.own = keys.load_key(folder / "key.pem"), sealing_keys.load_key(folder / "sealing.key")
        self.place = Place(
            fleet=hub.settings.fleet,
            identity=hub.settings.identity,
            device=key,
            sequence=sequence,
            before=hub.current()[0].received.get(key, Received()).last,
            round=RoundMark(),
        )


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Packed fast, and no power cut comes: both took a quarter of the time, and nothing here is about them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packed, "LEVEL", 1)
        patched.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _no_text_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_judge, "with_anchors", anchored)


def lesson(member: Member, seed: int = 0) -> None:
    teach(member, seed or ord(member.name), *DEVICES[member.name])


def one_level(folder: Path, order: str, rounds: int = 1) -> Round:
    """The newest round of one hub with all devices, which push in this order."""
    folder.mkdir()
    hub = new_hub(folder)
    members = {name: Member(folder, hub, name) for name in order}
    for number in range(rounds):
        for name, one in members.items():
            lesson(one, ord(name) + 1000 * number)
            one.push()
        hub.merge(MergeSettings())
        hub.publish()
        if number + 1 < rounds:
            for one in members.values():
                one.pull()
    return hub.current()[0]


def both(upper: Hub, branches: list[Branch]) -> None:
    """A round up and down."""
    for branch in branches:
        branch.gather()
        branch.up()
    merged(upper)
    for branch in branches:
        branch.down()


def two(folder: Path, halves: tuple[str, ...] = ("ab", "cd")) -> tuple[Hub, list[Branch]]:
    """A larger hub, and its branches with the devices of each half, which were taught."""
    folder.mkdir(exist_ok=True)
    upper = new_hub(folder)
    branches = [Branch(folder, upper, f"branch {half}", half) for half in halves]
    for branch in branches:
        for one in branch.members:
            lesson(one)
    return upper, branches


def round_of(hub: Hub) -> Knowledge:
    return hub.current()[0].knowledge


def counts(knowledge: Knowledge) -> dict[str, int]:
    return {label.key: label.images for label in knowledge.labels}


def test_two_levels_of_another_provider_need_it_on_neither_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle(), "provider", Provider(name="card", group="card", session=CPU_SESSION))
    upper, branches = two(tmp_path, ("a", "b"))
    for branch in branches:
        branch.gather()
        up = exchange(branch.hub, Bundle.open(MICRO))  # as the command opens it
        assert (up.push_error, up.push and up.push.update) == (None, 1)
    merged(upper)
    for branch in branches:
        assert exchange(branch.hub, Bundle.open(MICRO)).exit_code == 0
        assert counts(round_of(branch.hub)) == {"cup": 5, "lamp": 10, "door": 5}
    assert upper.current()[0].identity.provider == "card"


def test_two_levels_are_one_level_with_all_devices_in_any_order(tmp_path: Path) -> None:
    wanted = one_level(tmp_path / "one", "dbca", rounds=2).knowledge
    upper, branches = two(tmp_path / "two", ("ac", "db"))
    both(upper, branches)
    for branch in branches:
        for one in branch.members:
            lesson(one, ord(one.name) + 1000)
    both(upper, branches)
    assert head_of(round_of(upper)) == head_of(wanted)
    for branch in branches:
        assert head_of(round_of(branch.hub)) == head_of(wanted)
        for one in branch.members:
            assert head_of(one.knows)["labels"] == head_of(wanted)["labels"]
            assert np.array_equal(one.knows.head.gram, wanted.head.gram)
    largest = max(float(np.abs(core).max()) for core in wanted.cores.values())
    for name, core in round_of(upper).cores.items():
        assert float(np.abs(core - wanted.cores[name]).max()) <= ROUNDING * largest
    assert largest > 0


def test_three_levels_are_one_level(tmp_path: Path) -> None:
    top, (middle, direct) = two(tmp_path, ("d", "c"))
    low = Branch(tmp_path, middle.hub, "low", "ab")
    for one in low.members:
        lesson(one)
    low.gather()
    low.up()
    both(top, [middle, direct])
    low.down()
    wanted = head_of(one_level(tmp_path / "one", "abcd").knowledge)
    assert head_of(round_of(top)) == head_of(round_of(middle.hub)) == head_of(round_of(low.hub)) == wanted
    assert head_of(low.members[0].knows)["labels"] == wanted["labels"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Hub, list[Branch]]]:
    """Two branches that know what all four devices taught, and a copy of their folder."""
    folder = tmp_path_factory.mktemp("fleets")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(round_judge, "with_anchors", anchored)
        upper, branches = two(folder)
        both(upper, branches)
    copy = folder.with_name("copy of the fleets")
    shutil.copytree(folder, copy)
    yield folder, copy, upper, branches
    shutil.rmtree(copy)


@pytest.fixture
def fleets(made: tuple[Path, Path, Hub, list[Branch]]) -> tuple[Hub, list[Branch]]:
    """The same, as they were."""
    folder, copy, upper, branches = made
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    for branch in branches:
        branch.reopened()
    return Hub(upper.folder, bundle()), branches


def test_a_forgetting_below_is_one_everywhere_and_what_is_taught_anew_after_it_stays(
    fleets: tuple[Hub, list[Branch]],
) -> None:
    upper, (left, right) = fleets
    left.members[0].forget("lamp")
    both(upper, [left, right])
    assert set(counts(round_of(upper))) == set(counts(round_of(right.hub))) == {"cup", "door", "cat"}
    assert "lamp" not in counts(right.members[1].knows)
    teach(left.members[1], 77, "lamp")
    both(upper, [left, right])
    assert counts(round_of(upper))["lamp"] == counts(right.members[0].knows)["lamp"] == 5
    assert head_of(round_of(upper)) == head_of(round_of(left.hub)) == head_of(round_of(right.hub))


def test_a_forgetting_from_above_reaches_devices_and_what_they_taught_unaware_of_it_comes_too_late(
    fleets: tuple[Hub, list[Branch]],
) -> None:
    upper, (left, right) = fleets
    left.members[0].forget("lamp")
    left.gather()
    left.up()
    merged(upper)
    teach(right.members[0], 78, "lamp")
    right.down()
    assert "lamp" not in counts(round_of(right.hub))
    assert right.hub.current()[0].forgotten["lamp"] == right.hub.current()[0].number
    both(upper, [left, right])
    assert "lamp" not in counts(round_of(upper)) and "lamp" not in counts(right.members[0].knows)


def test_an_own_forgetting_that_comes_back_takes_nothing_that_devices_taught_knowing_it(
    fleets: tuple[Hub, list[Branch]],
) -> None:
    upper, (left, right) = fleets
    left.members[0].forget("lamp")
    left.gather()
    left.hub.publish()
    left.members[1].pull()
    teach(left.members[1], 79, "lamp")
    both(upper, [left, right])  # what came of the forgetting comes down with it
    assert counts(round_of(upper))["lamp"] == counts(round_of(left.hub))["lamp"] == 5
    assert counts(left.members[1].knows)["lamp"] == counts(right.members[0].knows)["lamp"] == 5


@pytest.mark.parametrize("kind", ["device", "round", "branch"])
def test_what_is_taken_back_below_goes_out_above_and_a_whole_branch_exactly(
    fleets: tuple[Hub, list[Branch]], tmp_path: Path, kind: str
) -> None:
    upper, (left, right) = fleets
    if kind == "device":
        take_back.take_back(left.hub, "a")
        rest = "bcd"
    elif kind == "round":
        lesson(left.members[0], 4321)
        left.gather()
        left.up()
        merged(upper)
        take_back.undo(left.hub)
        rest = "abcd"
    else:
        take_back.take_back(upper, left.name)
        rest = "cd"
    if kind != "branch":
        assert left.up().push is not None
        merged(upper)
    found, wanted = head_of(round_of(upper)), head_of(one_level(tmp_path / "one", rest).knowledge)
    assert found == wanted
    if kind == "branch":
        left.gather()
        assert isinstance(left.exchange().pull_error, TrustError | type(None))
        assert not upper.merge(MergeSettings()).is_merged
        assert head_of(round_of(upper)) == wanted


def test_an_undone_round_from_above_is_not_taken_again_unless_it_is_wanted(fleets: tuple[Hub, list[Branch]]) -> None:
    upper, (left, right) = fleets
    teach(right.members[0], 80, "tree")
    right.gather()
    right.up()
    merged(upper)
    assert left.exchange().pull.new == ("tree",)  # type: ignore[union-attr]
    take_back.undo(left.hub)
    assert "tree" not in counts(round_of(left.hub))
    error = left.exchange().pull_error
    assert isinstance(error, RefusedError)
    assert re.search("round 2 of the larger fleet was taken here and undone; .* or use --force", str(error))
    done = left.exchange(is_forced=True)
    assert done.exit_code == 0 and counts(round_of(left.hub))["tree"] == 5
    assert not upper.merge(MergeSettings()).is_merged  # an undone fold takes nothing back above


def test_an_undo_beside_an_exchange_tells_nothing_of_other_sites_as_this_ones(
    fleets: tuple[Hub, list[Branch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    upper, (left, right) = fleets
    teach(right.members[0], 80, "tree")
    right.gather()
    right.up()
    merged(upper)
    left.exchange()
    before, state, catch_up = head_of(round_of(upper)), left.hub.state, left.hub.catch_up
    snapshot = state.snapshot

    def undone_after(names: Iterable[str]) -> Any:
        """The first look, and at once after it another command."""
        monkeypatch.setattr(state, "snapshot", snapshot)
        found = state.snapshot(names)
        take_back.undo(left.hub)
        return found

    def caught_up() -> None:
        monkeypatch.setattr(left.hub, "catch_up", catch_up)
        left.hub.catch_up()
        monkeypatch.setattr(state, "snapshot", undone_after)

    monkeypatch.setattr(left.hub, "catch_up", caught_up)
    done = left.exchange()
    assert "tree" not in counts(round_of(left.hub)) and done.push is not None
    assert done.push.update is None
    assert not upper.merge(MergeSettings()).is_merged and head_of(round_of(upper)) == before


def test_a_lower_hub_restored_from_before_it_told_anything_doubles_and_loses_nothing(tmp_path: Path) -> None:
    upper, (left, right) = two(tmp_path, ("a", "c"))
    backup = tmp_path / "backup"
    shutil.copytree(left.hub.folder, backup)
    both(upper, [left, right])
    lesson(left.members[0], 5555)
    left.gather()
    left.up()
    merged(upper)
    shutil.rmtree(left.hub.folder)
    shutil.copytree(backup, left.hub.folder)
    left.hub = Hub(left.hub.folder, bundle())
    back = left.exchange()  # it takes its own publication, with the larger fleet's round, from its store
    assert back.exit_code == 0, (back.push_error, back.pull_error)
    assert back.push is not None and back.push.others == [2]
    left.gather()
    left.up()
    upper.merge(MergeSettings())
    upper.publish()
    for branch in (left, right):
        branch.down()
    assert counts(round_of(upper)) == counts(round_of(left.hub)) == {"cup": 15, "lamp": 10, "cat": 5}
    assert head_of(round_of(upper)) == head_of(round_of(right.hub)) == head_of(round_of(left.hub))


def test_without_the_folder_of_its_membership_a_hub_joins_no_fleet_anew(fleets: tuple[Hub, list[Branch]]) -> None:
    upper, (left, _) = fleets
    with pytest.raises(InputError, match="expected a hub of no larger fleet, found one that has joined one"):
        join(left.hub, upper.settings.store, upper.folder / "root.json")
    shutil.rmtree(left.hub.folder / "above")
    with pytest.raises(InputError, match=r"must not count twice: restore .*above from your backup"):
        join(left.hub, upper.settings.store, upper.folder / "root.json")
    with pytest.raises(InputError, match="found one that has not; run `edge-nusa hub join STORE --root root.json`"):
        member(left.hub, bundle())


def test_a_hub_joins_no_fleet_that_promises_more_than_its_own_keeps_and_not_itself(tmp_path: Path) -> None:
    def hub(name: str, sharing: Any) -> Hub:
        (tmp_path / name).mkdir()
        keys = RootKeys(tmp_path / name / "root-keys")
        hub_folder.create(tmp_path / name / "hub", str(tmp_path / name / "store"), bundle(), keys, Expiry(), sharing)
        return Hub(tmp_path / name / "hub", bundle())

    exact, groups, means = hub("exact", "exact"), hub("groups", "groups"), hub("means", "means")
    with pytest.raises(InputError, match=r"\(--sharing exact\), found --sharing groups; .*hub init --sharing groups"):
        join(exact, groups.settings.store, groups.folder / "root.json")
    with pytest.raises(InputError, match=r"\(--sharing groups\), found --sharing means"):
        join(groups, means.settings.store, means.folder / "root.json")
    with pytest.raises(InputError, match="expected the root of a larger fleet, found that of this hub's own"):
        join(groups, groups.settings.store, groups.folder / "root.json")
    join(means, groups.settings.store, groups.folder / "root.json")


def test_liars_below_and_a_lower_hub_that_lies_bend_no_more_than_a_device_that_lies(
    fleets: tuple[Hub, list[Branch]],
) -> None:
    upper, (left, right) = fleets
    before = head_of(round_of(upper))
    for hub, liar in (
        (left.hub, Liar(left.hub, left.members[0].key, left.members[0].part, 2)),
        (upper, Liar(upper, left.key, left.hub.folder / "above", 2)),
    ):
        mark = hub.current()[0].knowledge.round
        honest = giving(hub, {"cup": rows(5, 6)})
        label = honest.labels["cup"]
        for lie, reason in (
            (replace(honest, labels={"cup": replace(label, pictures=600)}), "sums of 600 pictures"),
            (giving(hub, {"cat": rows(6, 9)}, -1), "takes back"),
            (
                replace(honest, cores={name: core + 1000 for name, core in honest.cores.items()}),
                "it was not learned",
            ),
        ):
            liar.send(lie, mark)
            report = hub.merge(MergeSettings())
            why = [text for row in report.devices for text in row.refused.values()]
            assert len(why) == 1 and reason in why[0], why
    assert head_of(round_of(upper)) == before
    right.gather()
    assert right.up().exit_code == 0


def test_a_hub_may_bring_what_many_devices_gave_and_a_device_may_not() -> None:
    limits = UpdateLimits().of_hub()
    change = nothing_of(pictures=900_000)
    assert WholeStep(limits, {}).has_room(change)
    with pytest.raises(DamagedError, match="it is of 900000 pictures, the bound is 1000"):
        WholeStep(UpdateLimits(), {}).has_room(change)
    assert (limits.pictures, limits.hidden, limits.labels, limits.forgets) == (10**6, 10**6, 2000, 2000)
    assert (limits.cores, limits.known, limits.size) == (20, 10_000, UpdateLimits().size)
    core = replace(nothing_of(pictures=1), cores={"q": np.full((1, 1), 19.0)})
    assert WholeStep(limits, {"q": 1.0}).has_room(core)
    with pytest.raises(DamagedError, match="no lessons give these numbers"):
        WholeStep(UpdateLimits(), {"q": 1.0}).has_room(core)
    with pytest.raises(DamagedError, match="no lessons give these numbers"):
        WholeStep(limits, {"q": 1.0}).has_room(replace(core, cores={"q": np.full((1, 1), 20.1)}))


def test_a_lower_hub_may_have_more_labels_than_a_device_and_what_it_gave_is_read_back(tmp_path: Path) -> None:
    upper = new_hub(tmp_path)
    lower = Branch(tmp_path, upper, "lower")
    liar = Liar(upper, lower.key, lower.hub.folder / "above", 1)
    picture = rows(3, 1)
    for start in (0, 1500, 3000, 4500):
        liar.send(giving(upper, {f"label {number}": picture for number in range(start, start + 1500)}))
        report = upper.merge(MergeSettings())
        assert report.is_merged and not any(row.refused for row in report.devices), report.devices
    assert len(round_of(upper).labels) == len(upper.given.read(upper.shares(), lower.key).labels) == 6000
    assert given.MOST_HUB_LABELS == MOST_ROUND_LABELS == 10_000


def nothing_of(pictures: int) -> Change:
    label = LabelChange(Label("cup", 0), pictures, np.zeros(2, np.int64))
    return Change(cores={}, gram=np.zeros((2, 2), np.int64), labels={"cup": label})


def test_what_a_hub_tells_is_never_finer_than_what_one_device_told_it(fleets: tuple[Hub, list[Branch]]) -> None:
    upper, (left, _) = fleets
    lesson(left.members[0], 6666)
    own = left.members[0].push()
    left.hub.merge(MergeSettings())
    told = left.up().push
    assert told is not None and (told.pictures, sorted(told.labels)) == (own.pictures, sorted(own.labels))
    device = Path(left.hub.settings.store) / "updates" / left.members[0].key
    above = Path(upper.settings.store) / "updates" / left.key
    assert len(list(device.glob("*.json"))) == len(list(above.glob("*.json"))) == 2
    assert not any(left.members[0].key in path.read_text("latin-1") for path in above.parent.rglob("*.json"))


def test_the_larger_fleets_store_shows_no_label_no_device_and_nothing_that_unpacks(
    fleets: tuple[Hub, list[Branch]],
) -> None:
    from test_store_sees import unpacked

    upper, branches = fleets
    secret = [b"lamp", b"door", *(one.key.encode() for branch in branches for one in branch.members)]
    for path in Path(upper.settings.store).rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for part in (data, *unpacked(data)) if path.parent.name in (*[b.key for b in branches], "hub") else (data,):
                assert not any(word in part for word in secret), path
    found = upper.current()[0]
    assert set(found.received) == {branch.key for branch in branches}


def test_losses_from_above_stay_through_merges_and_go_with_the_round_that_brought_them() -> None:
    losses = tuple(range(56))
    above = Above(mark=RoundMark(3, "a" * 64), folded=5, forgotten=(("cup", 4),), losses=losses)
    one = Shares(above=above)
    assert read_shares(shares_file(one), "here") == one
    assert np.array_equal(mixtures.of_round(one), fusion.nothing_seen() + np.array(losses).reshape(fusion.SHAPE))
    assert not read_shares(shares_file(Shares()), "here").above.is_used and b"above" not in shares_file(Shares())
    assert above.untold({"cup": 5, "lamp": 6}) == (("cup", 4), ("lamp", 6))


def test_a_lost_or_changed_round_of_the_larger_fleet_is_named(tmp_path: Path) -> None:
    rounds, name = AboveRounds(tmp_path), sha256_hex(b"round")
    with pytest.raises(DamagedError, match="expected the larger fleet's round, found no file; restore the hub's"):
        rounds.read(name)
    rounds.keep(b"round")
    assert rounds.read(name) == b"round" and rounds.has(name)
    (tmp_path / "above" / "bases" / f"{name}.round").write_bytes(b"other")
    with pytest.raises(DamagedError, match="expected the round with that SHA-256, found another; restore the file"):
        rounds.read(name)


def test_what_was_not_told_yet_comes_after_every_number_that_an_update_may_have() -> None:
    assert folding.NEXT_SEQUENCE > update.MOST_SEQUENCE
