"""Undo to a kept generation, and redo: the generation that undo left comes back until something is committed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from state_chains import BASIS, chain, commit, contents, exit_status, files_of, in_child

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.state.generation import GENERATIONS_KEPT, Pointer, folder_name
from edge_nusa.state.state import State


def undone(state: State, to: int | None = None) -> int:
    with state.writer():
        target = state.undo(to)
    return target.number if target else 0


def redone(state: State) -> int:
    with state.writer():
        return state.redo().number


def test_undo_goes_to_any_kept_generation_and_redo_comes_back_at_once(tmp_path: Path) -> None:
    state = chain(tmp_path, 5)
    assert undone(state, 2) == 2 and contents(tmp_path) == (2, files_of(2))
    assert redone(state) == 5 and contents(tmp_path) == (5, files_of(5))
    assert undone(state, 0) == 0 and contents(tmp_path) is None
    assert redone(state) == 5


def test_each_redo_takes_one_undo_back_the_last_one_first(tmp_path: Path) -> None:
    state = chain(tmp_path, 6)
    assert [undone(state), undone(state, 3), undone(state)] == [5, 3, 2]
    assert [redone(state), redone(state), redone(state)] == [3, 5, 6]
    with pytest.raises(InputError, match="expected an undo to take back, found none since generation 6 was made"):
        redone(state)


def test_the_line_of_a_generation_is_read_from_manifests_alone_and_ends_where_one_is_gone(tmp_path: Path) -> None:
    state = chain(tmp_path, 4)
    (tmp_path / "generations" / folder_name(2) / "labels.json").write_bytes(b"x")
    assert [one.number for one in state.line_of(state.current())] == [1, 2, 3, 4]
    assert state.line_of(None) == []
    shutil.rmtree(tmp_path / "generations" / folder_name(2))
    assert [one.number for one in state.line_of(state.current())] == [3, 4]


def test_all_that_is_kept_can_be_undone_one_by_one_and_redone(tmp_path: Path) -> None:
    state = chain(tmp_path, GENERATIONS_KEPT)
    assert [undone(state) for _ in range(GENERATIONS_KEPT)] == [4, 3, 2, 1, 0]
    assert [redone(state) for _ in range(GENERATIONS_KEPT)] == [1, 2, 3, 4, 5]


def test_what_was_undone_goes_with_the_next_commit(tmp_path: Path) -> None:
    state = chain(tmp_path, 3)
    undone(state)
    assert commit(state, 9).number == 4
    assert sorted(path.name for path in (tmp_path / "generations").iterdir()) == ["000001", "000002", "000004"]
    with pytest.raises(InputError, match="expected an undo to take back, found none since generation 4 was made"):
        redone(state)


def test_a_commit_that_could_not_prune_leaves_nothing_to_redo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = chain(tmp_path, 3)
    undone(state)
    monkeypatch.setattr(State, "_prune", lambda state, number: None)
    commit(state, 9)
    assert (tmp_path / "generations" / "000003").is_dir()
    with pytest.raises(InputError, match="found none since generation 4"):
        redone(state)
    assert undone(state) == 2 and redone(state) == 4


def test_a_generation_whose_writer_was_killed_before_it_was_current_is_never_redone(tmp_path: Path) -> None:
    state = chain(tmp_path, 2)

    def killed_before_the_pointer_moves() -> None:
        other = State(tmp_path, BASIS)
        other._point_to = lambda pointer: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        commit(other, 3)

    assert exit_status(in_child(killed_before_the_pointer_moves)) == -signal.SIGKILL
    assert (tmp_path / "generations" / "000003").is_dir() and contents(tmp_path) == (2, files_of(2))
    with pytest.raises(InputError, match="found none since generation 2 was made"):
        redone(state)
    assert undone(state) == 1 and redone(state) == 2


def test_the_history_shows_what_was_redone_and_not_what_a_killed_commit_left_beside_it(tmp_path: Path) -> None:
    state = chain(tmp_path, 3)
    undone(state)

    def killed_before_the_pointer_moves() -> None:
        other = State(tmp_path, BASIS)
        other._point_to = lambda pointer: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        commit(other, 4)

    assert exit_status(in_child(killed_before_the_pointer_moves)) == -signal.SIGKILL
    assert (tmp_path / "generations" / "000004").is_dir()
    assert [one.number for one in state.history()] == [1, 2, 3]  # 3 can still be redone
    assert redone(state) == 3
    assert [one.number for one in state.history()] == [1, 2, 3]
    assert commit(state, 5).parent == 3
    assert [one.number for one in state.history()] == [1, 2, 3, 5]


def test_the_history_shows_the_current_generation_where_the_one_in_its_place_never_was_current(tmp_path: Path) -> None:
    state = chain(tmp_path, 3)

    def killed_before_the_pointer_moves() -> None:
        other = State(tmp_path, BASIS)
        other._point_to = lambda pointer: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        with other.writer():
            other.commit(files_of(4), "learn 4", instead_of=other.current())

    assert exit_status(in_child(killed_before_the_pointer_moves)) == -signal.SIGKILL
    assert [one.number for one in state.history()] == [1, 2, 3]
    (tmp_path / "CURRENT").write_bytes(b"x")
    assert [one.number for one in state.history()] == [1, 2, 4]  # nothing says that 4 never was


@pytest.mark.parametrize("to", [None, 0, 1])
def test_no_undo_with_another_bundle_and_the_state_stays(to: int | None, tmp_path: Path) -> None:
    chain(tmp_path, 2)
    other = State(tmp_path, dataclasses.replace(BASIS, precision="int8"))
    with pytest.raises(DamagedError, match="this state belongs to another bundle"):
        undone(other, to)
    assert contents(tmp_path) == (2, files_of(2))


@pytest.mark.parametrize("to", [4, 5, 7, 1])
def test_undo_to_a_generation_that_is_not_kept_before_the_current_one_says_which_are(tmp_path: Path, to: int) -> None:
    state = chain(tmp_path, 6)
    undone(state, 4)
    with pytest.raises(InputError, match=rf"a kept generation before 4 \(3, 2, 0; .*found {to}; see .*redo"):
        undone(state, to)
    assert contents(tmp_path) == (4, files_of(4))
    assert redone(state) == 6


def test_undo_to_a_damaged_generation_is_refused_and_undo_to_a_sound_one_before_it_is_not(tmp_path: Path) -> None:
    state = chain(tmp_path, 4)
    (tmp_path / "generations" / folder_name(3) / "labels.json").write_bytes(b"x")
    with pytest.raises(InputError, match="found 3"):
        undone(state, 3)
    assert undone(state, 2) == 2


def test_from_a_damaged_current_generation_undo_goes_where_it_is_told_and_notes_nothing_to_redo(tmp_path: Path) -> None:
    state = chain(tmp_path, 4)
    (tmp_path / "generations" / folder_name(4) / "labels.json").write_bytes(b"x")
    assert undone(state, 2) == 2
    with pytest.raises(InputError, match="expected an undo to take back"):
        redone(state)


def test_a_gone_or_damaged_generation_is_not_redone_and_the_current_one_stays(tmp_path: Path) -> None:
    state = chain(tmp_path, 3)
    undone(state)
    (tmp_path / "generations" / folder_name(3) / "labels.json").write_bytes(b"x")
    with pytest.raises(InputError, match="expected generation 3 to go forward to, found it gone or damaged"):
        redone(state)
    shutil.rmtree(tmp_path / "generations" / folder_name(3))
    with pytest.raises(InputError, match="gone or damaged"):
        redone(state)
    assert contents(tmp_path) == (2, files_of(2))


def test_a_generation_that_took_the_name_of_the_undone_one_is_not_redone(tmp_path: Path) -> None:
    state = chain(tmp_path / "a", 3)
    undone(state)
    other = chain(tmp_path / "b", 2)
    with other.writer():
        other.commit(files_of(77), "learn 77")
    shutil.rmtree(tmp_path / "a" / "generations" / folder_name(3))
    shutil.copytree(tmp_path / "b" / "generations" / folder_name(3), tmp_path / "a" / "generations" / folder_name(3))
    with pytest.raises(InputError, match="gone or damaged"):
        redone(state)


def test_the_pointer_says_what_was_undone_and_is_as_before_where_nothing_was(tmp_path: Path) -> None:
    state = chain(tmp_path, 3)
    plain = (tmp_path / "CURRENT").read_bytes()
    assert set(json.loads(plain)) == {"format_version", "generation", "sha256"}
    undone(state, 1)
    record = json.loads((tmp_path / "CURRENT").read_bytes())
    assert record["generation"] == 1
    assert record["undone"] == [{"generation": 3, "sha256": json.loads(plain)["sha256"]}]
    redone(state)
    assert (tmp_path / "CURRENT").read_bytes() == plain


@pytest.mark.parametrize("numbers", [[3], [3, 1], [3, 5, 5], [3, 5, 4], [4, 5, 6, 7, 8, 9, 10]])
def test_a_pointer_with_undone_generations_out_of_order_or_too_many_is_refused(numbers: list[int]) -> None:
    whole = Pointer(numbers[0], "a" * 64, tuple(Pointer(number, "b" * 64) for number in numbers[1:]))
    if numbers == [3]:
        assert Pointer.from_bytes(whole.to_bytes(), Path("CURRENT")) == whole
        return
    with pytest.raises(DamagedError, match="CURRENT"):
        Pointer.from_bytes(whole.to_bytes(), Path("CURRENT"))


def test_undo_and_redo_ask_for_the_lock(tmp_path: Path) -> None:
    state = chain(tmp_path, 2)
    with pytest.raises(Exception, match=r"expected undo\(\) inside"):
        state.undo(1)
    with pytest.raises(Exception, match=r"expected redo\(\) inside"):
        state.redo()
