"""A lesson that is committed twice: the second generation takes the first one's place, and one undo goes back over
both."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from state_chains import BASIS, chain, contents, exit_status, files_of, in_child

from edge_nusa import kept
from edge_nusa.errors import EdgeNusaError
from edge_nusa.state.state import GENERATIONS_KEPT, Generation, State


def commit_twice(state: State, number: int) -> tuple[Generation, Generation]:
    """A lesson in two commits, the second with the files of `number`."""
    with state.writer():
        first = state.commit(files_of(100 + number), "learn")
        return first, state.commit(files_of(number), "learn", first)


def undone(state: State) -> int:
    with state.writer():
        target = state.undo()
    return target.number if target else 0


def test_one_undo_goes_back_over_both_commits_of_a_lesson(tmp_path: Path) -> None:
    state = chain(tmp_path, 2)
    first, second = commit_twice(state, 3)
    assert ((first.number, first.parent), (second.number, second.parent)) == ((3, 2), (4, 2))
    assert contents(tmp_path) == (4, files_of(3))
    assert [generation.number for generation in state.history()] == [1, 2, 4]
    assert undone(state) == 2


def test_a_first_lesson_in_two_commits_is_undone_to_the_empty_state(tmp_path: Path) -> None:
    state = State(tmp_path, BASIS)
    commit_twice(state, 1)
    assert undone(state) == 0 and state.current() is None


def test_the_last_five_lessons_can_be_undone_though_each_was_committed_twice(tmp_path: Path) -> None:
    state = State(tmp_path, BASIS)
    for number in range(1, GENERATIONS_KEPT + 3):
        commit_twice(state, number)
    assert [generation.number for generation in state.history()] == [6, 8, 10, 12, 14]
    assert [undone(state) for _ in range(GENERATIONS_KEPT - 1)] == [12, 10, 8, 6]


def test_only_the_current_generation_can_be_replaced(tmp_path: Path) -> None:
    state = chain(tmp_path, 2)
    with state.writer():
        old = state.history()[0]
        with pytest.raises(EdgeNusaError, match="expected generation 1 to be current, .* found generation 2; hold one"):
            state.commit(files_of(3), "learn", old)
        while state.undo():
            pass
        with pytest.raises(EdgeNusaError, match="expected generation 1 to be current, .* found none"):
            state.commit(files_of(3), "learn", old)


def test_killed_between_the_two_the_first_stands_and_undo_takes_it_back(tmp_path: Path) -> None:
    state = chain(tmp_path, 2)

    def first_and_killed() -> None:
        other = State(tmp_path, BASIS)
        with other.writer():
            other.commit(files_of(3), "learn")
            os.kill(os.getpid(), signal.SIGKILL)

    assert exit_status(in_child(first_and_killed)) == -signal.SIGKILL
    assert contents(tmp_path) == (3, files_of(3))
    assert undone(state) == 2


def test_a_replaced_generation_that_a_killed_writer_left_is_not_in_the_history_and_goes_with_the_next_commit(
    tmp_path: Path,
) -> None:
    state = chain(tmp_path, 1)

    def killed_before_it_prunes() -> None:
        other = State(tmp_path, BASIS)
        other._prune = lambda current: os.kill(os.getpid(), signal.SIGKILL) if current == 3 else None  # type: ignore[method-assign]
        commit_twice(other, 2)

    assert exit_status(in_child(killed_before_it_prunes)) == -signal.SIGKILL
    assert sorted(path.name for path in (tmp_path / "generations").iterdir()) == ["000001", "000002", "000003"]
    assert [generation.number for generation in state.history()] == [1, 3]
    with state.writer():
        state.commit(files_of(4), "learn")
    assert sorted(path.name for path in (tmp_path / "generations").iterdir()) == ["000001", "000003", "000004"]
    assert [undone(state), undone(state)] == [3, 1]


def test_what_is_kept_is_told_once_for_both_commits(tmp_path: Path) -> None:
    state = State(tmp_path, BASIS)
    with kept.collected() as told:
        kept.part("something else is kept")
        commit_twice(state, 1)
    assert told.clauses == ["something else is kept", "the learn is kept as generation 2: do not run it again"]
    assert told.is_done
