"""A label that the hub's user renames for all: the same bits as if it had been taught by the new name, whatever was
still on its way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from conftest import MICRO
from fleet_world import Member, bundle, new_hub, one_round
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_fleets import facts, first, pictures, small_shapes
from test_fleet_faults import rows
from test_groups_travel import Board, exact
from test_take_back import change
from test_trust_machine import anchored
from typer.testing import CliRunner

from edge_nusa.cli.app import app
from edge_nusa.device.fleet import round_judge
from edge_nusa.errors import InputError, RefusedError
from edge_nusa.sync import round_file
from edge_nusa.sync.hub import labels as fleet
from edge_nusa.sync.hub import take_back
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.rename import rename, renamed
from edge_nusa.sync.merging import Contribution, Fold, Step
from edge_nusa.sync.renaming import MOST_RENAMED, Renaming, Spoken, newest, spoken
from edge_nusa.sync.round_file import Round


class World:
    """Two devices that call one thing by a name, in a first round, and have learned more since that is not merged."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.hub = name, new_hub(folder)
        self.a, self.b = Member(folder, self.hub, "a"), Member(folder, self.hub, "b")
        self.both = [self.a, self.b]
        self.a.teach({"plate": rows(1, 5)}, 1)
        self.a.teach({name: rows(2, 8)}, 2)
        self.b.teach({name: rows(3, 4)}, 2)
        one_round(self.hub, self.both)

    @property
    def round(self) -> Round:
        return self.hub.current()[0]

    def renamed(self, new: str = "Cup", is_joined: bool = False) -> None:
        rename(self.hub, self.name, new, is_joined)
        self.hub.publish()

    def rounds(self, count: int) -> None:
        for _ in range(count):
            one_round(self.hub, self.both)


@pytest.fixture(autouse=True, scope="module")
def anchors_at_no_cost() -> Iterator[None]:
    """What the text tower says of a round is measured elsewhere."""
    with mock.patch.object(round_judge, "with_anchors", anchored):
        yield


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "old", "Mug")


def pictures_of(world: World) -> dict[str, tuple[int, dict[str, int]]]:
    """How many pictures each label has, and of whom."""
    found = fleet.labels(world.hub)
    return {one.label: (one.pictures, {each.name: each.pictures for each in one.taught_by}) for one in found}


def in_flight(world: World) -> None:
    world.b.teach({world.name: rows(4, 3)}, 3)
    world.b.push()


def unsent(world: World) -> None:
    world.a.teach({world.name: rows(5, 6), "fork": rows(6, 2)}, 4)


def taken_back_in_flight(world: World) -> None:
    world.a.teach({world.name: rows(7, 5)}, 5)
    world.a.push()
    world.hub.merge(MergeSettings())
    world.a.undo()
    world.a.push()


def forgotten_in_flight(world: World) -> None:
    world.b.forget(world.name)
    world.b.push()


def forgotten_unsent_and_taught_anew(world: World) -> None:
    world.b.forget(world.name)
    world.b.teach({world.name: rows(8, 4)}, 6)


def in_flight_and_unsent(world: World) -> None:
    in_flight(world)
    unsent(world)


@pytest.mark.parametrize(
    "deed",
    [in_flight_and_unsent, taken_back_in_flight, forgotten_in_flight, forgotten_unsent_and_taught_anew],
)
def test_a_renamed_label_has_the_bits_of_one_that_was_taught_by_the_new_name(
    deed: Callable[[World], None], world: World, tmp_path: Path
) -> None:
    twin = World(tmp_path / "new", "Cup")
    for one in (world, twin):
        deed(one)
    number = world.round.number
    world.renamed()
    assert world.round.number == number + 1
    for one in (world, twin):
        one.rounds(2)
    assert facts(world.round.knowledge) == facts(twin.round.knowledge)
    assert sorted(world.round.knowledge.names) == sorted(twin.round.knowledge.names)
    for old, new in zip(world.both, twin.both, strict=True):
        assert facts(old.knows) == facts(new.knows) == facts(world.round.knowledge)
    assert all(row.refused == {} for row in world.hub.status().devices)
    assert pictures_of(world) == pictures_of(twin)


def test_a_device_is_told_the_new_name_and_loses_no_label(world: World) -> None:
    world.renamed()
    done = world.a.pull()
    assert (done.renamed, done.new, done.forgotten) == ({"Mug": "Cup"}, [], [])
    assert done.to_json()["renamed"] == {"Mug": "Cup"}
    world.rounds(1)
    assert "renamed" not in world.a.pull().to_json()


def test_who_teaches_the_old_name_on_the_round_of_the_renaming_means_a_new_label(world: World) -> None:
    world.renamed()
    world.rounds(1)
    world.a.teach({"mug": rows(9, 3)}, 7)
    world.rounds(1)
    assert world.a.labels == world.b.labels == {"plate": 5, "cup": 12, "mug": 3}


def test_renamings_follow_one_another_and_an_old_name_that_is_used_again_keeps_to_its_time(world: World) -> None:
    in_flight(world)  # of round 1: the mug that is a cup from round 2 and a glass from round 4
    world.renamed("cup")
    world.a.pull()
    world.a.teach({"mug": rows(9, 3)}, 7)  # of round 2: another mug
    world.a.push()
    rename(world.hub, "cup", "beaker")
    assert rename(world.hub, "BEAKER", "Glass").old == "beaker"
    world.hub.publish()
    world.rounds(2)
    assert world.a.labels == world.b.labels == {"plate": 5, "glass": 15, "mug": 3}


def test_another_labels_name_is_taken_only_where_asked_and_then_the_pictures_join(tmp_path: Path) -> None:
    world, twin = World(tmp_path / "two", "mug"), World(tmp_path / "one", "plate")
    world.b.teach({"mug": rows(4, 3), "plate": rows(5, 2)}, 3)
    twin.b.teach({"plate": np.concatenate([rows(4, 3), rows(5, 2)])}, 3)
    for one in (world, twin):
        one.b.push()
    with pytest.raises(InputError, match=r"round 1 knows the label 'plate' already; add --join .*choose another"):
        rename(world.hub, "mug", "Plate")
    assert world.round.number == 1
    done = rename(world.hub, "mug", "Plate", is_joined=True)
    assert (done.joined, done.new, done.round.knowledge.names) == (True, "plate", ["plate"])
    assert len(done.round.knowledge.head.counts) == 1
    world.hub.publish()
    for one in (world, twin):
        one.rounds(2)
    assert world.a.labels == world.b.labels == {"plate": 22}
    assert facts(world.round.knowledge) == facts(twin.round.knowledge)


@pytest.mark.parametrize("is_joined", [False, True])
def test_after_a_renaming_what_a_device_gave_is_taken_back_exactly(
    world: World, tmp_path: Path, is_joined: bool
) -> None:
    in_flight(world)
    world.renamed("plate" if is_joined else "Cup", is_joined)
    world.rounds(2)
    _, made = take_back.take_back(world.hub, "a")
    assert made is not None
    other = new_hub(tmp_path / "other")
    b = Member(tmp_path / "other", other, "b")
    b.teach({"plate" if is_joined else "Cup": np.concatenate([rows(3, 4), rows(4, 3)])}, 2)
    one_round(other, [b])
    assert facts(made.knowledge) == facts(other.current()[0].knowledge)


def test_an_undo_takes_the_name_back_also_from_what_was_taught_by_it(world: World) -> None:
    in_flight(world)  # as mug, of round 1
    before = facts(world.round.knowledge)
    world.renamed()
    world.a.pull()
    world.a.teach({"cup": rows(9, 2)}, 7)  # of round 2
    world.a.push()
    world.b.pull()
    assert facts(take_back.undo(world.hub).knowledge) == before
    world.hub.publish()
    world.rounds(2)
    assert world.a.labels == world.b.labels == {"plate": 5, "mug": 17}
    assert sorted(world.a.knows.names) == ["Mug", "plate"]


def test_an_undo_parts_two_labels_that_had_become_one(world: World) -> None:
    in_flight(world)
    before = facts(world.round.knowledge)
    world.renamed("plate", is_joined=True)
    for one in world.both:
        one.pull()
    assert world.b.labels == {"plate": 20}
    assert facts(take_back.undo(world.hub).knowledge) == before
    world.hub.publish()
    world.rounds(2)
    assert world.a.labels == world.b.labels == {"plate": 5, "mug": 15}


def test_a_card_that_is_put_back_reads_the_new_name_and_counts_nothing_twice(world: World, tmp_path: Path) -> None:
    unsent(world)
    card = world.a.model.state.folder
    shutil.copytree(card, tmp_path / "copy")
    world.a.push()
    world.renamed()
    world.rounds(1)
    shutil.rmtree(card)
    shutil.copytree(tmp_path / "copy", card)
    assert world.a.labels["mug"] == 18
    world.rounds(2)
    assert world.a.labels == world.b.labels == {"plate": 5, "cup": 18, "fork": 2}


def test_a_hub_that_is_put_back_takes_the_renaming_from_the_store(world: World, tmp_path: Path) -> None:
    in_flight(world)
    shutil.copytree(world.hub.folder, tmp_path / "copy")
    world.renamed()
    shutil.rmtree(world.hub.folder)
    shutil.copytree(tmp_path / "copy", world.hub.folder)
    world.hub = Hub(world.hub.folder, bundle())
    world.rounds(2)
    assert world.a.labels == world.b.labels == {"plate": 5, "cup": 15}


def test_a_label_forgotten_by_its_old_name_before_stays_forgotten(world: World) -> None:
    world.b.teach({"mug": rows(4, 3)}, 3)
    world.b.push()  # of round 1
    fleet.forget(world.hub, "mug")
    world.hub.publish()
    world.a.pull()
    world.a.teach({"Mug": rows(9, 2)}, 7)  # another mug, of round 2
    world.a.push()
    store = Path(world.hub.settings.store)
    late = [path for path in store.glob(f"updates/{world.b.key}/*") if path.is_file()]
    kept = {path: path.read_bytes() for path in late}
    for path in late:
        path.unlink()
    world.hub.merge(MergeSettings())
    world.renamed()
    for path, data in kept.items():
        path.write_bytes(data)
    world.rounds(2)
    assert world.a.labels == world.b.labels == {"plate": 5, "cup": 2}


def test_an_older_label_of_the_new_name_stays_forgotten_and_the_renamed_ones_pictures_count(world: World) -> None:
    world.a.teach({"cup": rows(9, 2)}, 7)
    world.rounds(1)
    world.b.teach({"mug": rows(4, 3), "cup": rows(10, 4)}, 3)  # of round 2
    fleet.forget(world.hub, "cup")
    world.renamed()
    world.rounds(2)
    assert world.a.labels == world.b.labels == {"plate": 5, "cup": 15}


def test_capitals_are_changed_in_place(world: World) -> None:
    in_flight(world)
    world.renamed("MUG")
    assert world.round.renamed == ()
    world.rounds(2)
    assert (
        world.b.knows.names == world.round.knowledge.names
        and "MUG" in world.b.knows.names
        and world.b.labels["mug"] == 15
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "saucer",
            "cup",
            r"'saucer': expected a label of round 1, found none of this name; see `edge-nusa hub labels`",
        ),
        ("mug", "Mug", r"the label 'Mug' has this name already; choose another name"),
        ("mug", " ", r"a name, found nothing"),
    ],
)
def test_what_is_no_renaming_is_refused_in_words(world: World, old: str, new: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rename(world.hub, old, new)
    assert world.hub.newest()[0] == 1


def test_a_fleet_of_hubs_is_not_renamed_and_the_way_out_is_said(world: World, tmp_path: Path) -> None:
    device = next(iter(world.hub.enrolled.all()))
    path = world.hub.folder / "devices" / f"{device.key.keyid}.json"
    assert path.exists()
    world.hub.enrolled.hubs = lambda: [device.key.keyid]  # type: ignore[method-assign]
    with pytest.raises(RefusedError, match=r"refused: 1 of this fleet's devices speak for fleets.*hub forget` it, and"):
        rename(world.hub, "mug", "cup")


def test_a_round_without_renamings_is_written_as_before_and_one_with_is_read_back(world: World) -> None:
    assert b'"renamed"' not in round_file.encode(world.round)
    world.renamed()
    assert [(one.old, one.new, one.round, one.since) for one in world.round.renamed] == [("mug", "Cup", 2, 0)]


def test_pictures_that_wait_on_a_board_go_by_the_new_name_too(tmp_path: Path) -> None:
    hub = new_hub(tmp_path)
    a, b = Board(tmp_path, hub, "a"), Board(tmp_path, hub, "b")
    a.show("mug", *range(6))
    one_round(hub, [a, b])
    a.show("mug", 6, 7)
    a.show("plate", 8, 9, 10)
    before = a.knows
    rename(hub, "mug", "cup")
    hub.publish()
    a.pull()
    assert a.labels == {"cup": 8, "plate": 3}
    assert exact(a.knows.head) == exact(before.head)
    b.pull()
    b.show("plate", *range(20, 26))
    one_round(hub, [a, b])
    rename(hub, "plate", "cup", is_joined=True)
    hub.publish()
    before = a.knows
    a.pull()
    assert a.labels == {"cup": 17}
    assert np.array_equal(a.knows.head.gram, before.head.gram) and np.array_equal(a.knows.fusion, before.fusion)
    assert [(one.label, one.pictures) for one in a.waiting] == [("cup", 5)]


def test_the_command_says_what_it_did_and_devices_what_to_ask_of_the_hubs_user(world: World) -> None:
    with pytest.raises(RefusedError, match=r"hub's user renames it for all by `edge-nusa hub rename 'Mug' 'cup'`"):
        world.a.model.rename("mug", "cup")
    words = ["hub", "rename", "mug", "cup", "--hub", str(world.hub.folder), "--bundle", str(MICRO), "--format"]
    found = CliRunner().invoke(app, [*words, "json"])
    assert found.exit_code == 0, (found.output, found.exception)
    made = json.loads(found.stdout)
    assert sorted(made.pop("labels")) == ["cup", "plate"]
    assert made == {"round": 2, "old": "Mug", "new": "cup", "joined": False}
    words[2:4] = ["cup", "plate"]
    found = CliRunner().invoke(app, [*words, "human", "--join"])
    assert "cup is a part of plate in round 3; publish it with `edge-nusa hub publish`" in found.stdout


@pytest.mark.parametrize(
    ("key", "base", "expected"),
    [
        ("a", 0, Spoken("a", 0)),  # of an older label of that name, which was forgotten in round 1
        ("a", 1, Spoken("c", 5, "C")),
        ("a", 2, Spoken("c", 5, "C")),
        ("a", 3, Spoken("d", 6, "D")),  # another label by then
        ("a", 6, Spoken("a", 6)),
        ("b", 2, Spoken("c", 5, "C")),
        ("b", 4, Spoken("c", 5, "C")),
        ("b", 5, Spoken("b", 5)),
        ("c", 2, Spoken("c", 2)),
    ],
)
def test_a_key_means_what_it_meant_on_the_round_of_who_speaks(key: str, base: int, expected: Spoken) -> None:
    renamed = [Renaming(old="a", new="B", round=3, since=1), Renaming(old="b", new="C", round=5)]
    assert spoken(key, base, [*renamed, Renaming(old="a", new="D", round=6, since=1)]) == expected


def test_the_newest_thousand_renamings_are_told_oldest_first() -> None:
    some = [Renaming(old=f"{number}", new="x", round=number) for number in range(1, MOST_RENAMED + 3)]
    assert newest(some) == tuple(some[2:]) and MOST_RENAMED == 1000


deeds = st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=4)
history = st.lists(st.tuples(deeds, st.sampled_from(["", "", "", "x", "y"])), min_size=2, max_size=6)


def played(rounds: list[tuple[list[tuple[str, int, int]], str]], cut: int, onto: str, by_name: str) -> Round:
    """Rounds of one device that teaches x and y, on bases that lag behind; x becomes `onto` before the round `cut`,
    or is called `by_name` from the beginning."""
    now = first()
    renamed_in = 10**6
    for place, (rows_of, forgets) in enumerate(rounds):
        if place == cut:
            renamed_in = now.number + 1
            now = replace(now, number=renamed_in) if by_name else renamed(now, "x", onto)
        names = {"x": by_name or ("x" if place < cut else onto), "y": "y"}
        steps = []
        for turn, (label, lag, count) in enumerate(rows_of):
            base = max(now.number - lag, 0)
            said = label if label == "y" else by_name or ("x" if base < renamed_in else onto)
            steps.append(Step(turn + 1, base, change(said, pictures(100 * place + turn, count))))
        fold = Fold(now, {names[key] for key in forgets} & set(now.knowledge.columns))
        fold.add(Contribution("d", steps))
        now = fold.made({})
    return now


@settings(max_examples=150, deadline=None)
@given(rounds=history, cut=st.integers(1, 5))
def test_whatever_was_taught_and_forgotten_a_renaming_gives_the_bits_of_the_new_name(
    rounds: list[tuple[list[tuple[str, int, int]], str]], cut: int
) -> None:
    assume(cut < len(rounds))
    assume("x" in played(rounds[:cut], 10**6, "", "").knowledge.columns)
    mine, other = played(rounds, cut, "z", ""), played(rounds, cut, "", "z")
    assert facts(mine.knowledge) == facts(other.knowledge)
    assert mine.knowledge.names == other.knowledge.names
    shapes = small_shapes()
    assert round_file.decode(round_file.encode(mine), shapes, "here").renamed == mine.renamed
