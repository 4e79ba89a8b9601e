"""A fleet whose store is carried by messages: the same rounds as over a folder, and what is refused on the way."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from carried_fleet import Deaf, Direct, carried_round, changed, direct, left_out, member_of, opened, sums
from fleet_world import Member, bundle, new_hub, one_round
from liars import Liar, giving
from test_trust_machine import anchored, rows

from edge_nusa.device.fleet import round_judge
from edge_nusa.errors import DamagedError, EdgeNusaError, RefusedError, StoreError, TrustError
from edge_nusa.flower import node, offering, taking, turns
from edge_nusa.flower.carried import MOST_WISHES, CarriedStore, Wish
from edge_nusa.flower.freight import Freight, Part
from edge_nusa.flower.messages import Answer, Question
from edge_nusa.sync.hub import board_reports
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.whole_step import MOST_UPDATES, UpdateLimits
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.stores.store import MissingObjectError, NotBroughtError

World = tuple[Hub, list[Member]]


@pytest.fixture(autouse=True)
def cheap_anchors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_judge, "with_anchors", anchored)


@pytest.fixture(scope="module")
def joined_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("carried")
    hub = new_hub(folder)
    for name in "abc":
        Member(folder, hub, name)
    return folder


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one: every file is synced."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def world(joined_once: Path, place: Path) -> World:
    return opened(Path(shutil.copytree(joined_once, place / "world")))


def teach(member: Member, seed: int, name: str = "") -> None:
    member.teach({name or f"label {seed}": rows(seed, 5), "all": rows(100 + seed, 4)}, seed, core_size=0.001)


def test_three_nodes_teach_and_one_round_tells_all_of_them(world: World) -> None:
    hub, members = world
    for seed, member in enumerate(members):
        teach(member, seed)
    nodes = direct(members)
    done = carried_round(hub, nodes)
    assert [member.labels for member in members] == [{"label 0": 5, "label 1": 5, "label 2": 5, "all": 12}] * 3
    assert (done.round, left_out(done)) == (1, {})
    assert [(one.updates, one.pictures, one.round) for one in done.nodes] == [([1], 9, 1)] * 3
    assert nodes.asked == [(0, "push"), (1, "push"), (2, "push"), (0, "pull"), (1, "pull"), (2, "pull")]
    assert nodes.begun == [0, 3]


def test_a_nodes_report_comes_with_its_pull_and_no_other_does(world: World) -> None:
    hub, members = world
    teach(members[0], 1)
    carried_round(hub, direct(members[:1]))
    reader = board_reports.Reader(hub.store, hub.settings.fleet, hub.keys, 1_800_000_000)
    device = hub.enrolled.find("a")
    seen = reader.look(device.key, None)
    assert seen.report is not None and seen.report.round == 1
    (key,) = hub.store.list(f"reports/{members[0].key}")
    envelope, moved = hub.store.get(key, 65536), key.replace("-", "-0")
    for puts, kind, said in (
        ({moved: envelope}, TrustError, "in its own place"),
        ({key: envelope, moved: envelope}, DamagedError, "at most 1 report, found 2"),
        ({key: envelope[:-9]}, EdgeNusaError, "expected"),
    ):
        answer = Answer(fleet="f", device=members[0].key, puts=Freight(wholes=puts))
        with pytest.raises(kind, match=said):
            taking.take(hub, device, answer, UpdateLimits())
    assert hub.store.list(f"reports/{members[0].key}") == [key]


def test_a_node_whose_judge_refuses_a_round_says_so_and_on_which_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, members = world
    teach(members[0], 1)
    carried_round(hub, direct(members))
    teach(members[0], 2)

    def refuse(*_: object) -> None:
        raise RefusedError("round 2 would forget label 1; the state is unchanged")

    monkeypatch.setattr(round_judge, "check", refuse)
    nodes = direct(members[1:2])
    members[0].push()
    done = carried_round(hub, nodes)
    assert "its own error, exit code" in left_out(done)[0] and "forget label" in nodes.words[-1]
    assert [(one.device, one.round) for one in done.nodes] == [(members[1].key, 1)]
    seen = board_reports.Reader(hub.store, hub.settings.fleet, hub.keys, 1_800_000_000)
    told = seen.look(hub.enrolled.find("b").key, None).report
    assert told is not None and [(one.round, one.reason) for one in told.refused] == [
        (2, "round 2 would forget label 1; the state is unchanged")
    ]


def test_the_round_is_bit_for_bit_that_of_the_folder(joined_once: Path, place: Path) -> None:
    worlds = [opened(Path(shutil.copytree(joined_once, place / name))) for name in ("folder", "carried")]
    for _, members in worlds:
        for seed, member in enumerate(members):
            teach(member, seed)
    (by_folder, ours), (by_carrier, theirs) = worlds
    one_round(by_folder, ours)
    carried_round(by_carrier, direct(theirs))
    assert sums(by_folder.current()[0].knowledge) == sums(by_carrier.current()[0].knowledge)
    for one, other in zip(ours, theirs, strict=True):
        assert sums(one.knows) == sums(other.knows)


def test_a_node_that_nobody_knows_by_name_takes_one_turn_more(world: World) -> None:
    hub, members = world
    teach(members[0], 1)
    nodes = Direct({7: members[0]})
    done = carried_round(hub, nodes)
    assert nodes.asked == [(7, "push"), (7, "push"), (7, "pull")]
    assert members[0].labels == {"label 1": 5, "all": 4} and done.nodes[0].device == members[0].key


def test_who_has_the_newest_round_is_not_brought_it_again(world: World) -> None:
    hub, members = world
    teach(members[0], 1)
    carried_round(hub, direct(members))
    again = direct(members)
    carried_round(hub, again)
    assert {turn for _, turn in again.asked} == {"push"}


@pytest.mark.parametrize("fault", ["lost", "gone"])
def test_a_node_that_falls_silent_in_a_push_sends_with_the_next_round_and_counts_once(world: World, fault: str) -> None:
    hub, members = world
    for seed, member in enumerate(members):
        teach(member, seed)
    nodes = Deaf({0: members[0], 1: members[1]}, {0: "a", 1: "b"})
    setattr(nodes, fault, {(1, "push")})
    done = carried_round(hub, nodes)
    assert "no answer in time" in left_out(done)[1] and members[0].labels == {"label 0": 5, "all": 4}
    assert members[1].labels == {"label 1": 5, "all": 4}
    carried_round(hub, direct(members))
    assert [member.labels for member in members] == [{"label 0": 5, "label 1": 5, "label 2": 5, "all": 12}] * 3
    assert [one.is_put for one in _sent(members[1])] == [True]


@pytest.mark.parametrize("fault", ["lost", "gone"])
def test_a_node_that_falls_silent_in_a_pull_takes_the_round_the_next_time(world: World, fault: str) -> None:
    hub, members = world
    for seed, member in enumerate(members):
        teach(member, seed)
    nodes = Deaf(dict(enumerate(members)), dict(enumerate("abc")))
    setattr(nodes, fault, {(1, "pull")})
    assert "no answer in time" in left_out(carried_round(hub, nodes))[1]
    done = carried_round(hub, direct(members))
    assert [member.labels for member in members] == [{"label 0": 5, "label 1": 5, "label 2": 5, "all": 12}] * 3
    assert done.round == 1 and all(member.push().update is None for member in members)


def _sent(member: Member) -> list[Any]:
    from edge_nusa.device.fleet.membership import Fleet

    return Fleet(member.model).sent()


def test_an_update_counts_as_put_only_when_the_hubs_list_has_it(world: World) -> None:
    hub, members = world
    teach(members[0], 1)
    lost = Deaf({0: members[0]}, {0: "a"})
    lost.lost = frozenset({(0, "push")})
    carried_round(hub, lost)
    assert [one.is_put for one in _sent(members[0])] == [False]
    carried_round(hub, direct(members[:1]))
    assert [one.is_put for one in _sent(members[0])] == [True]


def test_more_waiting_updates_than_the_hub_takes_go_out_oldest_first_and_each_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, members = world
    assert MOST_UPDATES == 20 < taking.MOST_TAKEN
    for name, most in ((node, "MOST_UPDATES"), (taking, "MOST_TAKEN")):
        monkeypatch.setattr(name, most, 2)
    for seed in range(1, 5):
        teach(members[0], seed)
        lost = Deaf({0: members[0]}, {0: "a"})
        lost.lost = frozenset({(0, "push")})
        carried_round(hub, lost)
    nodes = direct(members[:1])
    answers = [Answer.decode(data, "here") for data in _pushes(hub, nodes)]
    assert "nothing new; sent: 2 updates" in nodes.words[-1] and len(answers[0].puts.wholes) == 4
    teach(members[0], 5)
    sent = []
    for _ in range(3):
        done = carried_round(hub, nodes)
        assert left_out(done) == {}
        sent.append((done.nodes[0].updates, done.nodes[0].pictures))
    assert sent == [([1, 2], 0), ([3, 4], 0), ([5], 0)]
    assert any("update 5 waits; sent first: 2 earlier" in words for words in nodes.words)
    assert Answer.decode(_pushes(hub, nodes)[0], "here").puts == Freight()


def test_what_the_hub_lists_is_not_sent_again(world: World) -> None:
    hub, members = world
    teach(members[0], 1)
    device = hub.enrolled.find("a")
    first, second = (Answer.decode(_pushes(hub, direct(members[:1]))[0], "here") for _ in range(2))
    assert len(first.puts.wholes) == len(second.puts.wholes) == 2  # the first answer was lost
    taking.take(hub, device, second, UpdateLimits())
    assert Answer.decode(_pushes(hub, direct(members[:1]))[0], "here").puts == Freight()


def test_a_restored_card_learns_what_its_other_life_sent_and_counts_nothing_twice(world: World, place: Path) -> None:
    hub, members = world
    teach(members[0], 1)
    shutil.copytree(members[0].model.state.folder, place / "backup")
    for seed in (2, 3, 4):
        carried_round(hub, direct(members[:1]))
        teach(members[0], seed)
    carried_round(hub, direct(members[:1]))
    folder = members[0].model.state.folder
    shutil.rmtree(folder)
    shutil.copytree(place / "backup", folder)
    teach(members[0], 5)
    nodes = direct(members[:2])
    done = carried_round(hub, nodes)
    assert left_out(done) == {}
    wanted = {f"label {seed}": 5 for seed in (1, 2, 3, 4, 5)} | {"all": 20}
    assert [member.labels for member in members[:2]] == [wanted] * 2
    assert nodes.asked.count((0, "push")) == 3  # envelopes all at once, then the numbers of the lesson it has too


def test_two_cards_of_one_copy_live_on_over_the_carrier(world: World, place: Path) -> None:
    hub, members = world
    teach(members[0], 1)
    clone = member_of(Path(shutil.copytree(members[0].model.state.folder, place / "clone")))
    teach(members[0], 2)
    teach(clone, 3)
    for _ in range(3):
        carried_round(hub, Direct({0: members[0], 1: clone, 2: members[1]}, {0: "a", 1: "a", 2: "b"}))
    wanted = {"label 1": 5, "label 2": 5, "label 3": 5, "all": 12}
    assert [one.labels for one in (members[0], clone, members[1])] == [wanted] * 3


def test_a_liar_is_refused_with_the_reason_and_the_others_go_on(world: World) -> None:
    hub, members = world
    teach(members[0], 1)
    teach(members[1], 2)
    liar, aside = Liar(hub, members[2]), FolderStore(Path(hub.settings.store).parent / "aside")
    aside.create()
    honest, hub.store = hub.store, aside
    lie = giving(hub, {"lie": rows(9, 4)})
    liar.send(replace(lie, gram=-lie.gram))
    hub.store = honest
    puts = {key: aside.get(key, 1 << 20) for key in aside.list(f"updates/{members[2].key}")}

    class Lying(Direct):
        def answered(self, number: int, question: bytes, common: bytes) -> bytes | str | None:
            found = super().answered(number, question, common)
            is_lie = (number, self.asked[-1][1]) == (2, "push")
            return changed(found, puts=Freight(wholes=puts)) if is_lie and isinstance(found, bytes) else found

    done = carried_round(hub, Lying(dict(enumerate(members)), dict(enumerate("abc"))))
    refused = {row.device: row.refused for row in done.merged.devices if row.refused}
    assert list(refused) == [members[2].key] and left_out(done) == {}
    assert members[0].labels == members[1].labels == {"label 1": 5, "label 2": 5, "all": 8}


def test_no_label_and_no_name_of_a_device_is_in_any_message(world: World) -> None:
    hub, members = world
    for seed, member in enumerate(members):
        teach(member, seed, f"secret{seed}")
    nodes = direct(members)
    carried_round(hub, nodes)
    assert len(nodes.seen) == 18
    assert not any(b"secret" in data for data in nodes.seen)


def test_a_device_that_is_not_enrolled_or_was_revoked_is_left_out_and_puts_nothing(world: World) -> None:
    hub, members = world
    for seed, member in enumerate(members):
        teach(member, seed)
    hub.enrolled.revoke("b")
    (hub.folder / "devices" / f"{members[2].key}.json").unlink()
    done = carried_round(hub, direct(members))
    assert "it was revoked" in left_out(done)[1] and "not enrolled: `edge-nusa hub enroll" in left_out(done)[2]
    assert hub.store.list(f"updates/{members[1].key}") == hub.store.list(f"updates/{members[2].key}") == []
    assert members[0].labels == {"label 0": 5, "all": 4}


def test_a_node_of_another_fleet_does_nothing_and_says_so(world: World, place: Path) -> None:
    hub, members = world
    other = new_hub(place / "other")
    stranger = Member(place / "other", other, "s")
    teach(stranger, 1)
    nodes = Direct({0: stranger, 1: members[0]}, {1: "a"})
    done = carried_round(hub, nodes)
    assert set(left_out(done)) == {0} and "expected a message of the fleet" in nodes.words[0]


class Answering(Direct):
    """Node 0 answers every push with something else."""

    def __init__(self, members: list[Member], change: Callable[[bytes], bytes | str]) -> None:
        super().__init__(dict(enumerate(members)), dict(enumerate("abc")))
        self.change = change

    def answered(self, number: int, question: bytes, common: bytes) -> bytes | str | None:
        found = super().answered(number, question, common)
        is_his = (number, self.asked[-1][1]) == (0, "push") and isinstance(found, bytes)
        return self.change(found) if is_his and isinstance(found, bytes) else found


def _with_puts(data: bytes, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> bytes:
    return changed(data, puts=Freight(wholes=change(dict(Answer.decode(data, "here").puts.wholes))))


BAD: dict[str, tuple[Callable[[bytes], bytes | str], str]] = {
    "nonsense": (lambda data: b"\x00nonsense\n", "expected JSON"),
    "nothing": (lambda data: b"", "expected JSON"),
    "cut": (lambda data: data[:-1], "bytes behind the line"),
    "longer": (lambda data: data + b"x", "bytes behind the line"),
    "an error of Flower's": (lambda data: "its process failed", "its process failed"),
    "a key that leads out": (lambda data: data.replace(b"updates/", b"../etc//"), "expected a key"),
    "metadata": (
        lambda data: _with_puts(data, lambda puts: {**puts, "metadata/9.root.json": b"{}"}),
        "expected updates with their numbers, found more",
    ),
    "numbers of another": (
        lambda data: _with_puts(data, lambda puts: {key: b"x" if key.endswith("s") else e for key, e in puts.items()}),
        "bytes that the device signed",
    ),
    "numbers left out": (
        lambda data: _with_puts(data, lambda puts: {k: e for k, e in puts.items() if not k.endswith("s")}),
        "bytes that the device signed",
    ),
    "an envelope that nobody signed": (
        lambda data: _with_puts(data, lambda puts: {k: e if k.endswith("s") else b"{}" for k, e in puts.items()}),
        "expected",
    ),
    "an update at another place": (
        lambda data: _with_puts(data, lambda puts: {k.replace("/00000001-", "/00000002-"): e for k, e in puts.items()}),
        "in its own place",
    ),
    "lists": (lambda data: changed(data, puts=Freight(lists={"metadata": ["metadata/a"]})), "whole updates"),
    "parts": (lambda data: changed(data, puts=Freight(parts=(Part("a", 0, b"x"),))), "whole updates"),
}


@pytest.mark.parametrize("what", BAD)
def test_whatever_a_node_answers_puts_nothing_and_the_others_go_on(world: World, what: str) -> None:
    hub, members = world
    for seed, member in enumerate(members[:2]):
        teach(member, seed)
    change, said = BAD[what]
    done = carried_round(hub, Answering(members[:2], change))
    assert set(left_out(done)) == {0} and said in left_out(done)[0]
    assert hub.store.list(f"updates/{members[0].key}") == []
    assert done.round == 1 and members[1].labels == {"label 1": 5, "all": 4}
    assert "metadata/9.root.json" not in hub.store.list("metadata")


def test_an_answer_has_at_most_so_many_updates_and_each_at_most_so_many_bytes(world: World) -> None:
    hub, members = world
    teach(members[0], 1)
    device = hub.enrolled.find("a")
    many = {f"updates/{device.key.keyid}/{number:08d}-0.json": b"" for number in range(1, taking.MOST_TAKEN + 2)}
    empty = Answer(fleet="f", device=device.key.keyid)
    with pytest.raises(DamagedError, match=f"at most {taking.MOST_TAKEN} whole updates"):
        taking.take(hub, device, replace(empty, puts=Freight(wholes=many)), UpdateLimits())
    assert taking.MOST_TAKEN == 60
    nodes = direct(members[:1])
    sent = [Answer.decode(data, "here") for data in _pushes(hub, nodes)]
    size = max(len(data) for key, data in sent[0].puts.wholes.items() if key.endswith(".numbers"))
    with pytest.raises(DamagedError, match=f"at most {size - 1}, found {size}"):
        taking.take(hub, device, sent[0], UpdateLimits(size=size - 1))
    assert taking.take(hub, device, sent[0], UpdateLimits(size=size)) == [1]
    assert taking.take(hub, device, sent[0], UpdateLimits(size=size)) == [1]  # the same again is no other


def _pushes(hub: Hub, nodes: Direct) -> list[bytes]:
    question = Question(hub.settings.fleet, "push", offering.own_updates(hub.store, nodes.members[0].key)).encode()
    return [one for _, one in nodes.ask([(0, question)], turns.NO_FREIGHT) if isinstance(one, bytes)]


def test_a_node_that_wishes_for_ever_is_left_out(world: World) -> None:
    hub, members = world

    class Wishing(Direct):
        wish = 0

        def answered(self, number: int, question: bytes, common: bytes) -> bytes | str | None:
            self.wish += self.step
            wishes = [Wish("get", f"rounds/{self.wish}.x", 0, 10)]
            return Answer(fleet=hub.settings.fleet, device=members[0].key, wishes=wishes).encode()

        step = 1

    once = Wishing({0: members[0]}, {0: "a"})
    assert (
        "not done after 8 turns" in left_out(carried_round(hub, once))[0] and len(once.asked) == turns.MOST_TURNS == 8
    )
    same = Wishing({0: members[0]}, {0: "a"})
    same.step = 0
    assert "wished again" in left_out(carried_round(hub, same))[0] and len(same.asked) == 2


def test_a_node_for_which_the_store_does_not_answer_is_left_out_and_the_others_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, members = world
    for seed, member in enumerate(members[:2]):
        teach(member, seed)
    real_list, real_wrap = offering.own_updates, offering.Newest.own_wrap

    def lists(store: Any, device: str) -> Freight:
        if device == members[1].key:
            raise StoreError("the list is gone")
        return real_list(store, device)

    def wraps(newest: offering.Newest, store: Any, key: Any) -> Freight:
        if key.name == hub.enrolled.find("c").sealing.name:
            raise TrustError("the wrap is gone")
        return real_wrap(newest, store, key)

    monkeypatch.setattr(offering, "own_updates", lists)
    monkeypatch.setattr(offering.Newest, "own_wrap", wraps)
    done = carried_round(hub, direct(members))
    assert done.round == 1 and left_out(done) == {1: "the list is gone", 2: "the wrap is gone"}
    assert members[0].labels == {"label 0": 5, "all": 4} and done.nodes[0].round == 1


@pytest.mark.parametrize("error", [StoreError, TrustError])
def test_a_round_is_reported_where_it_was_published_and_cannot_be_read_back(
    world: World, monkeypatch: pytest.MonkeyPatch, error: type[EdgeNusaError]
) -> None:
    hub, members = world
    teach(members[0], 1)

    def fail(hub: Hub) -> None:
        raise error("the store is gone")

    monkeypatch.setattr(offering, "newest", fail)
    done = carried_round(hub, direct(members[:2]))
    assert done.round == 1 and left_out(done) == dict.fromkeys((0, 1), "the store is gone")
    assert done.nodes[0].updates == [1]


def test_new_wishes_are_brought_before_those_that_were_brought_already(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, members = world
    for letter in "ab":
        hub.store.put_new(f"rounds/{letter}", bytes(10))
    monkeypatch.setattr(offering, "MOST_WISHED_BYTES", 10)
    brought = []

    class Wishing(Direct):
        def answered(self, number: int, question: bytes, common: bytes) -> bytes | str | None:
            brought.append(set(Question.decode(question, "here").brought.wholes))
            wishes = [Wish("get", f"rounds/{letter}", 0, 10) for letter in "ab"[len(brought) - 1 : len(brought)]]
            return Answer(fleet=hub.settings.fleet, device=members[0].key, wishes=wishes).encode()

    nodes = Wishing({0: members[0]}, {0: "a"})
    assert left_out(carried_round(hub, nodes)) == {} and brought == [set(), {"rounds/a"}, {"rounds/b"}]
    assert nodes.begun == [0]


def test_a_wish_reaches_what_is_for_all_and_the_devices_own_updates_alone(world: World) -> None:
    hub, members = world
    teach(members[0], 1)
    teach(members[1], 2)
    carried_round(hub, direct(members))
    own, other = (hub.store.list(f"updates/{member.key}") for member in members[:2])
    kept = next(key for key in hub.store.list("rounds"))
    wishes = [Wish("get", key, 0, 1 << 20) for key in (own[0], other[0], kept, "metadata/1.root.json", "metadata/77.x")]
    found = offering.wished(hub.store, members[0].key, [*wishes, Wish("list", f"updates/{members[1].key}")])
    assert set(found.wholes) == {own[0], kept, "metadata/1.root.json"} and found.missing == {"metadata/77.x"}
    assert found.lists == {}
    for prefix in ("updates", "updates/", f"updates/{members[0].key[:5]}", "hub", ""):
        assert offering.wished(hub.store, members[0].key, [Wish("list", prefix)]) == Freight()


def test_wishes_are_fulfilled_as_far_as_a_message_has_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, members = world
    for letter in "ab":
        hub.store.put_new(f"rounds/{letter}", bytes(10))
    wishes = [Wish("get", f"rounds/{letter}", 0, 10) for letter in "ab"]
    for most, expected in ((19, {"rounds/a"}), (20, {"rounds/a", "rounds/b"})):
        monkeypatch.setattr(offering, "MOST_WISHED_BYTES", most)
        assert set(offering.wished(hub.store, members[0].key, wishes).wholes) == expected
    assert offering.wished(hub.store, members[0].key, [Wish("get", "rounds/a", 0, 9)]) == Freight()


def test_only_the_newest_updates_of_a_device_are_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, members = world
    prefix = f"updates/{members[0].key}"
    for number in (1, 2, 3):
        hub.store.put_new(f"{prefix}/{number:08d}-x.json", b"")
    hub.store.put_new(f"{prefix}/abc.numbers", b"")
    assert offering.MOST_LISTED == 1000
    monkeypatch.setattr(offering, "MOST_LISTED", 2)
    names = [f"{prefix}/0000000{number}-x.json" for number in (2, 3)]
    assert offering.own_updates(hub.store, members[0].key) == Freight(lists={prefix: names})


def test_a_device_that_missed_rotations_asks_for_the_roots_that_it_lacks(world: World, place: Path) -> None:
    from edge_nusa.sync.hub import folder as hub_folder

    hub, members = world
    shutil.copytree(Path(hub.settings.store).parent, place / "whole", dirs_exist_ok=True)
    keys = _root_keys(place)
    for _ in range(offering.MOST_ROOTS + 2):
        hub_folder.rotate(hub.folder, keys, None)
    hub = Hub(hub.folder, bundle())
    teach(members[0], 1)
    nodes = direct(members)
    done = carried_round(hub, nodes)
    assert left_out(done) == {} and members[1].labels == {"label 1": 5, "all": 4}
    assert nodes.asked.count((1, "pull")) == 3  # roots 2 and 3 are older than the eight newest, one a turn


def _root_keys(folder: Path) -> Path:
    return next(path for path in folder.rglob("root-keys"))


def test_a_carried_store_has_what_was_brought_and_wishes_for_the_rest() -> None:
    brought = Freight(
        lists={"updates/d": ["updates/d/00000001-a.json", "updates/d/00000002-b.json", "updates/d/c.numbers"]},
        missing=frozenset({"metadata/2.root.json"}),
        wholes={"rounds/a": b"0123456789"},
        parts=(Part("rounds/b", 4, b"4567"),),
    )
    store = CarriedStore(brought)
    assert store.list("updates/d") == list(brought.lists["updates/d"])
    assert (store.get("rounds/a", 10), store.get_part("rounds/a", 8, 9), store.head("rounds/a")) == (
        b"0123456789",
        b"89",
        10,
    )
    assert store.get_part("rounds/b", 4, 4) == b"4567" and store.head("rounds/b") is None
    with pytest.raises(StoreError, match="expected at most 9 bytes, found 10"):
        store.get("rounds/a", 9)
    with pytest.raises(MissingObjectError, match="expected an object of the store, found none"):
        store.get("metadata/2.root.json", 9)
    for ask in (
        lambda: store.list("metadata"),
        lambda: store.get_part("rounds/b", 4, 3),
        lambda: store.get_part("rounds/b", 3, 4),
        lambda: store.get("updates/d/00000001-a.json", 5),
        lambda: store.get("updates/d/c.numbers", 6),
    ):
        with pytest.raises(NotBroughtError, match="it comes with the next"):
            ask()
    assert store.wishes == [
        Wish("list", "metadata"),
        Wish("part", "rounds/b", 4, 3),
        Wish("part", "rounds/b", 3, 4),
        Wish("get", "updates/d/00000001-a.json", 0, 5),
        Wish("get", "updates/d/00000002-b.json", 0, 5),
        Wish("get", "updates/d/c.numbers", 0, 6),
    ]
    assert (
        store.put_new("updates/d/x", b"new")
        and store.puts == {"updates/d/x": b"new"}
        and store.head("updates/d/x") is None
    )


def test_a_carried_store_wishes_for_a_bounded_number_of_things() -> None:
    store = CarriedStore(Freight())
    for number in range(MOST_WISHES + 5):
        with pytest.raises(NotBroughtError):
            store.get(f"rounds/{number}", 1)
    assert len(store.wishes) == MOST_WISHES == 1024


@pytest.mark.parametrize("key", ["../up", "/etc/passwd", "a b", "A", "x" * 401])
def test_a_carried_store_takes_no_key_that_is_none(key: str) -> None:
    store = CarriedStore(Freight())
    for ask in (
        lambda: store.list(key),
        lambda: store.get(key, 1),
        lambda: store.put_new(key, b""),
        lambda: store.head(key),
    ):
        with pytest.raises(StoreError, match="expected a key of small letters"):
            ask()


def test_who_is_enrolled_is_said_of_no_other_device(world: World) -> None:
    hub, members = world
    devices = {one.key.keyid: one for one in hub.enrolled.all()}
    assert taking.device_of(devices, Answer(fleet="f", device=members[0].key)).name == "a"
    with pytest.raises(TrustError, match="expected one that takes part"):
        taking.device_of(devices, Answer(fleet="f", device="x"))


def test_members_pull_with_a_state_that_knew_no_round(world: World) -> None:
    hub, members = world
    assert carried_round(hub, direct(members)).round == 0
    assert np.array_equal(members[0].knows.head.counts, np.zeros(0, int))
