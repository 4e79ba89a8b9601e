"""The mathematics of merging: integers add exactly however they are split, cores merge as weights do, forgetting
wins."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_fleets import FEATURES, RANK, facts, first, joint, pictures, taught

from edge_nusa.cli.hub_rounds import RuleChoice
from edge_nusa.errors import DamagedError, UsageError
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.recipes import PAPER
from edge_nusa.model.null_space import merge, split
from edge_nusa.sync import change, merging
from edge_nusa.sync.change import applied, difference
from edge_nusa.sync.merging import Contribution, Step, rebased, wanted_forgets
from edge_nusa.sync.round_file import Round
from edge_nusa.sync.rules import RULES, Mean, Trimmed, trimmed_mean

few = settings(max_examples=60)


class Device:
    """A device in memory: what it knows, the round it is based on, what it sent."""

    def __init__(self, name: str, base: Round) -> None:
        self.name, self.base, self.sent = name, base, list[Step]()
        self.knows = base.knowledge
        self.refused = set[int]()

    def pending(self, now: Round) -> list[Step]:
        received = now.received.get(self.name)
        through = received.through if received else 0
        return [step for step in self.sent if step.sequence > through or step.sequence in self.refused]

    def push(self) -> None:
        pending = self.pending(self.base)
        gained = difference(
            self.knows,
            rebased(self.base, pending, self.name),
            {pair for step in pending for pair in step.change.forgets},
        )
        if not gained.is_empty:
            self.sent.append(Step(len(self.sent) + 1, self.base.number, gained))

    def pull(self, now: Round) -> None:
        pending = self.pending(self.base)
        gained = difference(
            self.knows,
            rebased(self.base, pending, self.name),
            {pair for step in pending for pair in step.change.forgets},
        )
        steps = self.pending(now) + ([] if gained.is_empty else [Step(2**31, self.base.number, gained)])
        forgotten = tuple(pair for pair in gained.forgets if self.base.number >= now.forgotten.get(pair[0], 0))
        self.knows, self.base = replace(rebased(now, steps, self.name), forgotten=forgotten), now

    def teach(self, label: str, seed: int, count: int = 3) -> np.ndarray:
        rows = pictures(seed, count)
        self.knows = taught(self.knows, label, rows, 0.001)
        return rows

    def forget(self, label: str) -> None:
        self.knows = self.knows.without(label)


def merged(now: Round, devices: list[Device], quorum: int = 1) -> Round:
    """The hub's next round of all that these devices sent."""
    given = [Contribution(d.name, steps) for d in sorted(devices, key=lambda d: d.name) if (steps := d.pending(now))]
    told = [(one.device, step.base, step.change.forgotten_keys) for one in given for step in one.steps]
    return merging.merged(now, given, Mean(), wanted_forgets(now, told, quorum))


def one_round(now: Round, devices: list[Device]) -> Round:
    for device in devices:
        device.push()
    now = merged(now, devices)
    for device in devices:
        device.pull(now)
    return now


lessons = st.lists(
    st.tuples(st.sampled_from(["cat", "dog", "Cat", "cup"]), st.integers(0, 50), st.integers(1, 6)),
    min_size=1,
    max_size=8,
)


@few
@given(lessons, st.lists(st.integers(0, 2), min_size=8, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_the_merged_head_has_the_bits_of_one_device_that_saw_every_picture(
    given_lessons: list[tuple[str, int, int]], owners: list[int], syncs: list[bool]
) -> None:
    now = first()
    devices = [Device(name, now) for name in "abc"]
    seen: dict[str, list[np.ndarray]] = {}
    for (label, seed, count), owner, is_synced in zip(given_lessons, owners, syncs, strict=False):
        seen.setdefault(label.casefold(), []).append(devices[owner].teach(label, seed, count))
        if is_synced:
            devices[owner].push()
            now = merged(now, devices[: owner + 1]) if any(d.pending(now) for d in devices[: owner + 1]) else now
            devices[owner].pull(now)
    now = one_round(now, devices)
    assert facts(now.knowledge) == joint(seen)
    assert [facts(device.knows) for device in devices] == [facts(now.knowledge)] * 3


@few
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 1000))
def test_merging_cores_is_averaging_merged_weights(counts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(12, 9))
    pool = split(weight, RANK)
    cores = [rng.normal(size=(RANK, RANK)) for _ in counts]
    rule = Mean()
    for core, count in zip(cores, counts, strict=True):
        rule.add({"text.0.q": core}, count)
    mean = sum(count * merge(weight, pool, core) for core, count in zip(cores, counts, strict=True)) / sum(counts)
    assert np.allclose(merge(weight, pool, rule.result()["text.0.q"]), mean, atol=1e-12)


def test_the_order_of_devices_and_of_their_pushes_changes_no_bit_of_the_head() -> None:
    found = set()
    for order in itertools.permutations("abc"):
        now = first()
        devices = [Device(name, now) for name in order]
        for device in devices:
            device.teach("cup", ord(device.name))
            device.teach(f"thing of {device.name}", 10 + ord(device.name))
        found.add(str(facts(one_round(now, devices).knowledge)))
    assert len(found) == 1


def test_what_was_merged_before_the_device_pulled_is_not_merged_twice() -> None:
    now = first()
    a, b = Device("a", now), Device("b", now)
    rows = [a.teach("cup", 1)]
    a.push()
    now = merged(now, [a, b])  # a does not pull this round
    rows.append(a.teach("cup", 2))
    a.push()
    now = merged(now, [a, b])
    for device in (a, b):
        device.pull(now)
    assert facts(now.knowledge) == facts(a.knows) == facts(b.knows) == joint({"cup": rows})


def test_what_was_learned_and_not_pushed_survives_a_pull_and_is_pushed_later() -> None:
    now = first()
    a, b = Device("a", now), Device("b", now)
    cat = b.teach("cat", 5)
    now = one_round(now, [b])
    dog = a.teach("dog", 6)
    a.pull(now)
    assert facts(a.knows) == joint({"cat": [cat], "dog": [dog]})
    now = one_round(now, [a, b])
    assert facts(b.knows) == joint({"cat": [cat], "dog": [dog]})


def test_an_undone_lesson_is_taken_out_of_the_fleet_exactly() -> None:
    now = first()
    a, b = Device("a", now), Device("b", now)
    cat = a.teach("cat", 1)
    now = one_round(now, [a, b])
    before = a.knows
    a.teach("dog", 2)
    a.push()
    a.knows = before  # edge-nusa undo
    now = one_round(now, [a, b])
    assert facts(now.knowledge) == facts(b.knows) == joint({"cat": [cat]})
    assert (now.withdrawn, now.forgotten) == ({}, {})
    a.knows = first().knowledge
    now = one_round(now, [a, b])
    assert (now.knowledge.names, b.knows.names, now.withdrawn, now.forgotten) == ([], [], {"cat": 3}, {})


def test_a_forgotten_label_is_gone_everywhere_and_its_pictures_stay_as_background() -> None:
    now = first()
    a, b = Device("a", now), Device("b", now)
    a.teach("cat", 1)
    b.teach("dog", 2)
    now = one_round(now, [a, b])
    expected = facts(now.knowledge.without("cat"))
    b.forget("cat")
    now = one_round(now, [a, b])
    assert facts(now.knowledge) == facts(a.knows) == facts(b.knows) == expected
    assert now.forgotten == {"cat": 2}


def test_forgetting_wins_over_a_teaching_that_had_not_seen_it() -> None:
    now = first()
    a, b, c = Device("a", now), Device("b", now), Device("c", now)
    a.teach("cat", 1)
    now = one_round(now, [a, b, c])
    b.forget("cat")
    a.teach("cat", 2)
    c.teach("cat", 3)
    now = one_round(now, [a, b])  # c is away
    assert now.knowledge.names == [] == a.knows.names == b.knows.names
    now = one_round(now, [a, b, c])  # c had not seen it either
    assert now.knowledge.names == [] == c.knows.names


def test_whoever_teaches_a_label_again_after_the_forgetting_brings_it_back_with_the_new_pictures_alone() -> None:
    now = first()
    a, b = Device("a", now), Device("b", now)
    a.teach("cat", 1, 4)
    now = one_round(now, [a, b])
    b.forget("cat")
    now = one_round(now, [a, b])
    a.teach("cat", 7, 2)
    now = one_round(now, [a, b])
    assert (now.knowledge.names, now.knowledge.head.counts.tolist()) == (["cat"], [2])
    assert np.array_equal(now.knowledge.head.sums[:, 0], pictures(7, 2).sum(axis=0))
    assert facts(a.knows) == facts(b.knows) == facts(now.knowledge)


@pytest.mark.parametrize("pushes_between", [False, True])
def test_a_label_forgotten_and_taught_anew_on_one_device_keeps_only_the_new_pictures(pushes_between: bool) -> None:
    now = first()
    a, b = Device("a", now), Device("b", now)
    a.teach("cat", 1, 4)
    now = one_round(now, [a, b])
    a.forget("cat")
    if pushes_between:
        a.push()
    a.teach("cat", 7, 2)
    a.push()
    a.teach("cat", 8, 1)
    now = one_round(now, [a, b])
    assert now.knowledge.head.counts.tolist() == [3]
    assert facts(a.knows) == facts(b.knows) == facts(now.knowledge)


def test_under_a_quorum_a_forgetting_holds_on_its_own_device_until_others_want_it_too() -> None:
    now = first()
    a, b, c = Device("a", now), Device("b", now), Device("c", now)
    a.teach("cat", 1)
    now = one_round(now, [a, b, c])
    b.forget("cat")
    b.push()
    now = merged(now, [a, b, c], quorum=2)
    for device in (a, b, c):
        device.pull(now)
    assert (a.knows.names, b.knows.names, now.knowledge.names) == (["cat"], [], ["cat"])
    b.push()
    assert len(b.sent) == 1  # nothing new to say
    c.forget("cat")
    c.push()
    now = merged(now, [a, b, c], quorum=2)
    for device in (a, b, c):
        device.pull(now)
    assert now.knowledge.names == a.knows.names == b.knows.names == c.knows.names == []


@pytest.mark.parametrize("pushes_before", [False, True])
def test_a_late_forgetting_does_not_take_back_what_was_taught_anew_since(pushes_before: bool) -> None:
    now = first()
    a, b, c = Device("a", now), Device("b", now), Device("c", now)
    a.teach("cat", 1)
    now = one_round(now, [a, b, c])
    a.forget("cat")
    if pushes_before:
        a.push()
    b.forget("cat")
    now = one_round(now, [b, c])
    c.teach("cat", 2, 2)
    now = one_round(now, [b, c])
    a.pull(now)
    assert a.knows.head.counts.tolist() == [2]
    now = one_round(now, [a, b, c])
    assert now.knowledge.head.counts.tolist() == [2]
    assert facts(a.knows) == facts(b.knows) == facts(c.knows) == facts(now.knowledge)


def test_a_label_taught_again_by_who_wanted_it_forgotten_is_wanted_again() -> None:
    now = first()
    a, b = Device("a", now), Device("b", now)
    a.teach("cat", 1, 4)
    now = one_round(now, [a, b])
    b.forget("cat")
    for _ in range(2):
        b.push()
        now = merged(now, [a, b], quorum=2)
        b.pull(now)
        b.teach("cat", 3, 2)
    b.push()
    now = merged(now, [a, b], quorum=2)
    b.pull(now)
    assert b.knows.head.counts.tolist() == now.knowledge.head.counts.tolist() == [8]
    a.forget("cat")
    a.push()
    assert wanted_forgets(now, [("a", now.number, ["cat"])], 2) == []


def test_a_refused_update_stays_on_its_device_and_later_ones_are_merged() -> None:
    now = first()
    a, b = Device("a", now), Device("b", now)
    cat = a.teach("cat", 1)
    a.push()
    dog = a.teach("dog", 2)
    a.push()
    made = merging.merged(now, [Contribution("a", a.sent[1:])], Mean(), [])
    a.refused = {1}
    now = made
    for device in (a, b):
        device.pull(now)
    assert facts(b.knows) == joint({"dog": [dog]})
    assert facts(a.knows) == joint({"cat": [cat], "dog": [dog]})
    a.push()
    assert len(a.sent) == 2


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["teach", "teach", "forget", "undo", "push", "merge", "pull"]),
        st.sampled_from("xyz"),
        st.integers(0, 9),
    ),
    max_size=30,
)


@settings(max_examples=300)
@given(steps)
def test_whatever_happens_all_devices_agree_after_two_rounds_and_every_sum_stays_a_sum_of_pictures(
    history: list[tuple[int, str, str, int]],
) -> None:
    now = first()
    devices = [Device(name, now) for name in "abc"]
    older: dict[str, Knowledge] = {}
    for owner, act, label, seed in history:
        device = devices[owner]
        if act == "teach":
            older[device.name] = device.knows
            device.teach(label, seed, 1 + seed % 3)
        elif act == "forget" and label in device.knows.names:
            older[device.name] = device.knows
            device.forget(label)
        elif act == "undo" and device.name in older:
            device.knows = older.pop(device.name)
        elif act == "push":
            device.push()
        elif act == "merge" and any(d.pending(now) for d in devices):
            now = merged(now, devices)
        elif act == "pull":
            device.pull(now)
            older.pop(device.name, None)
    for _ in range(2):
        now = one_round(now, devices)
    assert [facts(device.knows) for device in devices] == [facts(now.knowledge)] * 3
    head = now.knowledge.head
    assert np.array_equal(head.gram[-1], 1024 * head.sums.sum(axis=1))
    assert np.array_equal(head.sums[-1], 1024 * head.counts)
    assert np.linalg.eigvalsh(head.gram.astype(float)).min() > -1e-6 * max(head.gram.trace(), 1) - FEATURES


def test_pictures_undone_and_forgotten_before_they_were_merged_leave_nothing() -> None:
    now = first()
    a, b = Device("a", now), Device("b", now)
    a.teach("cat", 1, 1)
    a.push()
    before = a.knows
    a.teach("cat", 2, 2)
    a.push()
    a.knows = before
    a.forget("cat")
    now = one_round(now, [a, b])
    assert facts(now.knowledge) == facts(a.knows) == facts(b.knows) == facts(first().knowledge)


def test_a_change_that_takes_back_what_was_never_given_is_an_error() -> None:
    knowledge = taught(first().knowledge, "cat", pictures(1, 2))
    gained = difference(first().knowledge, taught(first().knowledge, "cat", pictures(2, 3)), set())
    with pytest.raises(DamagedError, match="expected at least one picture left or nothing of it, found -1"):
        applied(knowledge, gained)


def test_a_state_of_another_recipe_cannot_be_merged() -> None:
    with pytest.raises(UsageError, match="expected a state taught with --recipe device.*found --recipe paper"):
        change.check_shared(replace(first().knowledge, recipe=PAPER))


@few
@given(st.integers(1, 9), st.integers(0, 4), st.integers(0, 100), st.floats(10, 1e6))
def test_a_trimmed_mean_stays_among_the_good_however_large_the_bad_are(
    good: int, bad: int, seed: int, size: float
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(good, 5))
    if bad >= good:
        return
    found = trimmed_mean(np.concatenate([rows, size * rng.normal(size=(bad, 5))]), bad)
    assert (found >= rows.min(axis=0) - 1e-9).all() and (found <= rows.max(axis=0) + 1e-9).all()


@pytest.mark.parametrize(("cut", "expected"), [(0, 22.0), (1, 3.0), (2, 3.0), (9, 3.0)])
def test_a_trimmed_mean_cuts_as_many_of_each_end_as_are_bad_and_leaves_the_middle(cut: int, expected: float) -> None:
    assert trimmed_mean(np.array([[100.0], [1.0], [2.0], [3.0], [4.0]]), cut).tolist() == [expected]
    assert trimmed_mean(np.array([[7.0], [1.0], [2.0], [3.0]]), cut).tolist() == [3.25 if cut == 0 else 2.5]


def test_the_trimmed_rule_cuts_each_number_of_each_core_by_its_bad_devices_whatever_their_pictures(
    tmp_path: Path,
) -> None:
    rule = Trimmed(1, tmp_path)
    for value, pictures_of in ((1.0, 1), (2.0, 1), (3.0, 90), (-500.0, 1), (500.0, 1)):
        rule.add({"text.0.v": np.full((2, 2), value), "text.0.q": np.array([[-value]])}, pictures_of)
    found = rule.result()
    assert set(found) == {"text.0.v", "text.0.q"}
    assert np.array_equal(found["text.0.v"], np.full((2, 2), 2.0))
    assert found["text.0.q"].tolist() == [[-2.0]]
    assert list(tmp_path.iterdir()) == []


def test_the_trimmed_rule_of_columns_in_pieces_is_that_of_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_nusa.sync.rules.CHUNK_NUMBERS", 7)
    rows = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    rule = Trimmed(1, tmp_path)
    for row in rows:
        rule.add({"text.0.v": row}, 3)
    assert np.array_equal(rule.result()["text.0.v"], np.median(rows.astype(np.float64), axis=0))


def test_a_trimmed_rule_of_nothing_gives_nothing(tmp_path: Path) -> None:
    assert Trimmed(1, tmp_path).result() == {}


def test_the_command_line_offers_the_rules_that_there_are() -> None:
    assert [choice.value for choice in RuleChoice] == list(RULES) == ["mean", "trimmed"]
