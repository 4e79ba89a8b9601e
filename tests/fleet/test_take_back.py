"""What is taken back: a device's share, exactly; a round, whose content its devices keep and show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_fleets import FEATURES, facts, first, pictures, small_shapes

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.knowledge.knowledge import Label
from edge_nusa.sync import round_file
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub import given as givens
from edge_nusa.sync.hub.given import Given
from edge_nusa.sync.hub.shares import Shares
from edge_nusa.sync.hub.take_back import TAKEN_BACK, undone, without
from edge_nusa.sync.merging import Contribution, Fold, Step
from edge_nusa.sync.round_file import Received, Refusal, Round

DEVICES = "abc"
few = settings(max_examples=150, deadline=None)
acts = st.lists(
    st.tuples(st.sampled_from(DEVICES), st.sampled_from("xy"), st.sampled_from(["give", "give", "late", "back"])),
    min_size=1,
    max_size=6,
)
history = st.lists(st.tuples(acts, st.sampled_from(["", "", "x", "y"])), min_size=1, max_size=5)


class SmallHub:
    """Rounds folded in memory, with what each device gave beside them."""

    def __init__(self) -> None:
        self.now, self.given, self.shares = first(), dict[str, Given](), Shares()
        self.lessons: dict[tuple[str, str], list[np.ndarray]] = {}

    def merge(self, changes: dict[str, list[tuple[int, Change]]], forgets: str) -> None:
        wanted = [key for key in forgets if key in self.now.knowledge.columns]
        fold = Fold(self.now, wanted)
        self.shares = self.shares.forgetting(wanted, fold.number)
        for device, rows in sorted(changes.items()):
            one = Contribution(device, [Step(place + 1, base, change) for place, (base, change) in enumerate(rows)])
            self.given[device] = self.settled(device).after(fold.settled(one), fold.number)
            self.given[device].check()
            fold.add(one)
        self.now = fold.made({})

    def settled(self, device: str) -> Given:
        return self.given.get(device, givens.nothing(FEATURES)).settled(self.shares.forgettings)

    def without(self, device: str) -> Round:
        others = [self.settled(other) for other in self.given if other != device]
        return without(self.now, device, self.settled(device), others)


def change(label: str, rows: np.ndarray, sign: int = 1) -> Change:
    wide = rows.astype(np.float64)
    one = LabelChange(Label(label, 0), sign * len(rows), sign * rows.sum(axis=0))
    return Change(cores={}, gram=sign * (wide.T @ wide).astype(np.int64), labels={label: one}, tasks=sign)


def played(rounds: list[tuple[list[tuple[str, str, str]], str]], left_out: str = "") -> SmallHub:
    """The rounds; `left_out` never says anything."""
    hub, kept = SmallHub(), dict[tuple[str, str], list[tuple[int, np.ndarray]]]()
    for number, (deeds, forgets) in enumerate(rounds):
        changes: dict[str, list[tuple[int, Change]]] = {}
        gone = hub.now.forgotten
        for place, (device, label, deed) in enumerate(deeds):
            own = kept.setdefault((device, label), [])
            base = number if deed != "late" else max(gone.get(label, 0) - 1, 0)
            if deed == "back":
                if not own or gone.get(label, 0) > own[-1][0] or label in forgets:
                    continue  # its scatter alone is left, and who takes it back was based on an earlier round
                rows, sign = own.pop()[1], -1
            else:
                rows, sign = pictures(100 * number + place, 1 + place % 4), 1
                if deed == "give" and label not in forgets:
                    own.append((number, rows))
            if device != left_out:
                changes.setdefault(device, []).append((base, change(label, rows, sign)))
        hub.merge(changes, forgets)
    return hub


@few
@given(history)
def test_a_round_from_which_a_device_was_taken_back_is_that_of_a_hub_that_never_knew_it(
    rounds: list[tuple[list[tuple[str, str, str]], str]],
) -> None:
    # the label that is taken back is one that others had too, or the two hubs do not forget the same
    full, never = played(rounds), played(rounds, left_out="b")
    if full.shares.forgettings != never.shares.forgettings:
        return
    made = full.without("b")
    assert facts(made.knowledge) == facts(never.now.knowledge)
    assert made.number == full.now.number + 1 and "b" not in made.received
    round_file.decode(round_file.encode(made), small_shapes(), "here")


def test_two_devices_taken_back_one_after_another_leave_nothing_of_a_label_that_was_forgotten() -> None:
    hub = SmallHub()
    hub.merge({d: [(0, change("x", pictures(place, 3)))] for place, d in enumerate(DEVICES)}, "")
    hub.merge({"c": [(1, change("y", pictures(9, 2)))]}, "x")
    for device in "ab":
        hub.now = hub.without(device)
        hub.given.pop(device)
    alone = SmallHub()
    alone.merge({"c": [(0, change("x", pictures(2, 3)))]}, "")
    alone.merge({"c": [(1, change("y", pictures(9, 2)))]}, "x")
    assert facts(hub.now.knowledge) == facts(alone.now.knowledge)


def test_labels_that_only_that_device_taught_are_told_as_withdrawn() -> None:
    hub = SmallHub()
    hub.merge({"a": [(0, change("x", pictures(1, 3)))], "b": [(0, change("y", pictures(2, 2)))]}, "")
    made = hub.without("b")
    assert made.knowledge.names == ["x"] and made.withdrawn == {"y": 2} and made.knowledge.labels[0].images == 3


def test_what_is_not_in_the_round_cannot_be_taken_out_of_it() -> None:
    hub = SmallHub()
    hub.merge({"a": [(0, change("x", pictures(1, 3)))]}, "")
    with pytest.raises(DamagedError, match="the device b: expected its pictures to be in the round, found fewer"):
        without(hub.now, "b", givens.nothing(FEATURES).after([Step(1, 0, change("x", pictures(3, 4)))], 1), [])


def test_an_undone_round_says_that_what_it_took_is_taken_back_and_keeps_what_was_said_before() -> None:
    old = replace(first(), number=1, received={"a": Received(1, "1" * 64)}, withdrawn={"old": 1})
    told = Refusal(2, "for the test", "refused", 2)
    hub = SmallHub()
    hub.merge({"a": [(0, change("x", pictures(1, 3)))]}, "")
    now = replace(hub.now, number=2, received={"a": Received(3, "3" * 64, {"2" * 16: told})}, withdrawn={})
    made = undone(now, old, {"a": {"3" * 16: 3}}, {"a": {"round": 1}})
    assert (made.number, made.knowledge.names, made.withdrawn) == (3, [], {"x": 3})
    received = made.received["a"]
    assert (received.through, received.last) == (3, "3" * 64)
    assert received.refused == {"2" * 16: told, "3" * 16: Refusal(3, TAKEN_BACK, "refused", 3)}


@pytest.mark.parametrize(("seen", "is_told"), [(1, False), (2, True)])
def test_a_round_is_not_undone_where_a_device_would_not_hear_of_all_that_was_refused(seen: int, is_told: bool) -> None:
    refused = {f"{place:016x}": Refusal(place, "for the test", "refused", 2) for place in range(20)}
    now = replace(first(), number=2, received={"a": Received(21, "3" * 64, refused)})
    taken, records = {"a": {"3" * 16: 21}}, {"a": {"round": seen}}
    if is_told:
        assert "3" * 16 in undone(now, first(), taken, records).received["a"].refused
        return
    with pytest.raises(InputError, match="round 2: expected a to have seen what was refused of it before, found that"):
        undone(now, first(), taken, records)
