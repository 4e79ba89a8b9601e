"""The chain of a device's updates: what a round holds of it, what stands beside it, and what comes next."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_nusa.sync import chain
from edge_nusa.sync.chain import Link
from edge_nusa.sync.round_file import Received, Refusal, RefusalKind, short


def sha(word: str) -> str:
    """A hash that one can read: the word, then zeros."""
    return word.ljust(64, "0")


def links(*words: str, after: str = "", start: int = 1) -> list[Link]:
    """Links that follow one another."""
    before, found = sha(after) if after else "", []
    for sequence, word in enumerate(words, start):
        found.append(Link(sequence, sha(word), before))
        before = sha(word)
    return found


def refusal(kind: RefusalKind, number: int = 1) -> Refusal:
    return Refusal(number, "for the test", kind, 1)


def at(sequence: int, word: str, **refused: RefusalKind) -> Received:
    return Received(sequence, sha(word), {short(sha(key)): refusal(kind) for key, kind in refused.items()})


def test_a_round_holds_the_links_back_from_its_last_one() -> None:
    own = links("a", "b", "c")
    assert chain.held(own, Received()) == set()
    assert chain.held(own, at(2, "b")) == {sha("a"), sha("b")}
    assert chain.held(own, at(3, "c")) == {sha("a"), sha("b"), sha("c")}
    # earlier links were removed, since every round here holds them
    assert chain.held(own[2:], at(2, "b")) == set()
    assert chain.held(own[1:], at(2, "b")) == {sha("b")}


def test_what_is_refused_is_not_held_but_for_what_another_update_brought() -> None:
    own = links("a", "b", "c")
    assert chain.held(own, at(3, "c", b="refused")) == {sha("a"), sha("c")}
    assert chain.held(own, at(3, "c", b="known")) == {sha("a"), sha("b"), sha("c")}
    assert chain.held(own, at(1, "a", b="known")) == {sha("a"), sha("b")}
    assert chain.held(own, at(3, "c", b="fork")) == {sha("a"), sha("c")}


def test_a_link_beside_the_chain_is_not_held_whatever_its_number() -> None:
    own = [*links("a", "b"), *links("x", "y", after="a", start=2)]
    assert chain.held(own, at(2, "b")) == {sha("a"), sha("b")}
    assert chain.forks(own, at(2, "b")) == {sha("x"), sha("y")}
    assert chain.forks(own, at(1, "a")) == set()
    assert chain.forks(own, at(3, "y")) == {sha("b")}
    assert chain.forks(own, at(1, "a", x="fork")) == {sha("x"), sha("y")}
    assert chain.forks(own, at(1, "a", x="refused", b="known")) == set()


def test_a_last_link_that_is_not_known_here_is_of_another_life() -> None:
    own = links("a", "b")
    assert chain.is_known(own, Received()) and chain.is_known([], Received())
    assert chain.is_known(own, at(2, "b"))
    assert chain.is_known(own[1:], at(1, "a"))
    assert not chain.is_known(own, at(3, "z"))
    assert not chain.is_known([], at(1, "a"))
    # where nothing is to be learned of it, what came into the store counts, but for what the round says of it
    both = {sha("a"), sha("b")}
    assert chain.held(own, at(3, "z"), both) == both
    assert chain.held(own, at(3, "z"), {sha("b")}) == {sha("b")}
    assert chain.held(own, at(2, "z"), both) == {sha("a")}
    assert chain.held(own, at(3, "z", a="refused"), both) == {sha("b")}


def test_where_a_link_in_between_is_lost_what_is_older_and_was_sent_is_held() -> None:
    own = [*links("a"), Link(3, sha("c"), sha("b"))]
    assert chain.held(own, at(3, "c"), {sha("a"), sha("c")}) == {sha("a"), sha("c")}
    assert chain.held(own, at(3, "c"), {sha("c")}) == {sha("c")}
    assert chain.held(own, at(2, "b"), {sha("a")}) == {sha("a")}
    assert chain.held(own, at(3, "c", a="fork"), {sha("a"), sha("c")}) == {sha("c")}


def test_the_next_update_follows_the_longest_way_on_from_the_round_by_smaller_hashes() -> None:
    own = links("a", "b", "c")
    assert chain.tip([], Received()) == (0, "")
    assert chain.tip([], at(4, "d")) == (4, sha("d"))
    assert chain.tip(own, Received()) == (3, sha("c"))
    assert chain.tip(own, at(2, "b")) == (3, sha("c"))
    forked = [*own, *links("x", "y", "z", after="a", start=2)]
    assert chain.tip(forked, Received()) == (3, sha("c"))
    assert chain.tip(forked, at(1, "a", b="fork")) == (4, sha("z"))
    gap = [own[0], own[2]]
    assert chain.tip(gap, Received()) == (1, sha("a"))
    assert chain.tip([Link(3, sha("e"), sha("a"))], at(1, "a")) == (1, sha("a"))


def test_own_links_that_never_left_give_way_to_what_another_life_sent() -> None:
    own, other = links("a", "b", "c"), links("x", after="a", start=2)
    both = [*own, *other]
    assert chain.unsent_beside(both, {sha("x")}, {short(sha("a"))}) == {sha("b"), sha("c")}
    assert chain.unsent_beside(both, {sha("x")}, {short(sha("a")), short(sha("b"))}) == set()
    assert chain.unsent_beside(both, set(), set()) == set()


@given(st.integers(1, 6), st.integers(0, 6), st.randoms(use_true_random=False))
def test_connected_links_are_those_with_a_way_back_in_whatever_order_they_come(
    length: int, cut: int, order: random.Random
) -> None:
    own = links(*"abcdef"[:length])
    rest = [link for link in own if link.sequence != cut]
    order.shuffle(rest)
    found = [link.sequence for link in chain.connected(rest, {""})]
    assert found == [sequence for sequence in range(1, length + 1) if not 0 < cut <= sequence]
