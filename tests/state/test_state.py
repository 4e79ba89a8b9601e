"""The state's behaviour: commit, read back, prune, undo, many processes at once, and what is refused."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from identities import identity
from state_chains import BASIS, chain, commit, files_of

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, UnreadableError
from edge_nusa.state.state import GENERATIONS_KEPT, State


def test_a_missing_or_empty_folder_is_the_empty_state_and_reading_creates_nothing(tmp_path: Path) -> None:
    state = State(tmp_path / "state", BASIS)
    assert state.current() is None
    assert state.snapshot(["labels.json"]) is None
    assert state.history() == []
    assert state.damaged() == []
    assert not state.folder.exists()
    state.folder.mkdir()
    assert state.current() is None


def test_what_is_committed_is_what_current_reads_back(tmp_path: Path) -> None:
    state = State(tmp_path / "deep" / "state", BASIS)
    made = commit(state, 1)
    current = State(state.folder, BASIS).current()
    assert current == made
    assert current is not None
    assert (current.number, current.parent, current.operation, current.identity) == (1, 0, "learn 1", BASIS)
    assert {name: current.read(name) for name in current.files} == files_of(1)
    assert state.snapshot(files_of(1)) == (made, files_of(1))
    with pytest.raises(InputError, match=r"expected one of the files .*labels\.json.*found '\.\./CURRENT'"):
        current.read("../CURRENT")


def test_folders_and_files_belong_to_the_user_alone_and_hold_no_path(tmp_path: Path) -> None:
    state = chain(tmp_path / "state", 2)
    for path in [state.folder, *state.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes()
    assert sorted(path.name for path in state.folder.iterdir()) == ["CURRENT", "generations", "lock"]


def test_nothing_is_renamed_before_it_is_synced_and_every_rename_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = chain(tmp_path, 1)
    trace: list[str] = []

    def record(name: str) -> None:
        real = getattr(os, name)

        def call(first: Any, *rest: Any) -> Any:
            trace.append(name if isinstance(first, int) else f"{name} {Path(first).name[:4]} to {Path(rest[0]).name}")
            return real(first, *rest)

        monkeypatch.setattr(os, name, call)

    for name in ["write", "fsync", "rename", "replace"]:
        record(name)
    commit(state, 2)
    written = ["write", "fsync"]
    generation = [*written * 3, "fsync", "rename .tmp to 000002", "fsync"]
    assert trace == [*generation, *written, "replace .tmp to CURRENT", "fsync"]


def test_the_newest_five_generations_are_kept(tmp_path: Path) -> None:
    state = chain(tmp_path, GENERATIONS_KEPT + 3)
    assert [generation.number for generation in state.history()] == [4, 5, 6, 7, 8]


def test_undo_goes_back_to_the_empty_state_and_then_says_there_is_nothing(tmp_path: Path) -> None:
    state = chain(tmp_path, 2)
    with state.writer():
        undone = state.undo()
        assert undone is not None
        assert undone.number == 1
        assert state.current() == undone
        assert state.undo() is None
        assert state.current() is None
        with pytest.raises(InputError, match="nothing to undo"):
            state.undo()
    assert commit(state, 3).parent == 0
    assert [generation.number for generation in state.history()] == [3]


def test_a_commit_after_undo_gets_a_new_number_and_drops_the_undone_one(tmp_path: Path) -> None:
    state = chain(tmp_path, 3)
    with state.writer():
        state.undo()
    assert [generation.number for generation in state.history()] == [1, 2, 3]
    made = commit(state, 4)
    assert (made.number, made.parent) == (4, 2)
    assert [generation.number for generation in state.history()] == [1, 2, 4]


def test_undo_past_the_kept_generations_says_how_many_are_kept(tmp_path: Path) -> None:
    state = chain(tmp_path, 7)
    with state.writer():
        for expected in [6, 5, 4, 3]:
            undone = state.undo()
            assert undone is not None
            assert undone.number == expected
        with pytest.raises(InputError, match="generation 2 .* last 5 generations are kept"):
            state.undo()


def test_undo_of_a_single_lost_generation_goes_to_the_empty_state(tmp_path: Path) -> None:
    state = chain(tmp_path, 1)
    shutil.rmtree(tmp_path / "generations" / "000001")
    with state.writer():
        assert state.undo() is None
    assert state.current() is None


def test_a_state_of_another_bundle_is_refused_and_left_alone(tmp_path: Path) -> None:
    state = chain(tmp_path, 2)
    other = State(tmp_path, identity(precision="int8", graphs="c" * 64))
    words = (
        "another bundle: .*000002: expected none int8 .*, found none fp32 .*, the same weights at another precision: "
        "fp32, not int8; .*--bundle"
    )
    with pytest.raises(DamagedError, match=words):
        other.current()
    with other.writer():
        with pytest.raises(DamagedError, match="another bundle"):
            other.commit(files_of(3), "learn 3")
        with pytest.raises(DamagedError, match="another bundle"):
            other.undo()
    assert state.snapshot(files_of(2)) == (state.history()[-1], files_of(2))


@pytest.mark.parametrize("name", ["manifest.json", "../x", "a/b", "", ".", "..", "Core", "é"])
def test_a_file_name_that_a_generation_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    state = State(tmp_path, BASIS)
    with state.writer(), pytest.raises(InputError, match="expected a name of small letters"):
        state.commit({name: b""}, "learn")
    assert state.current() is None


def test_writing_without_the_lock_or_with_two_is_refused(tmp_path: Path) -> None:
    state = State(tmp_path, BASIS)
    with pytest.raises(EdgeNusaError, match=r"expected commit\(\) inside `with state.writer\(\):`"):
        state.commit({}, "learn")
    with pytest.raises(EdgeNusaError, match=r"expected undo\(\) inside"):
        state.undo()
    with state.writer(), pytest.raises(EdgeNusaError, match="one inside another"), state.writer():
        pass


@pytest.mark.parametrize(
    "seconds", [0.0, 10 * 365 * 86400.0 + time.time(), 4_000_000_000.0], ids=["1970", "in ten years", "2096"]
)
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    state = chain(tmp_path, 2)
    monkeypatch.setattr(time, "time", lambda: seconds)
    made = commit(state, 3)
    monkeypatch.undo()
    assert state.current() == made
    assert commit(state, 4).parent == 3
    assert [generation.number for generation in state.history()] == [1, 2, 3, 4]
    with state.writer():
        assert state.undo() == made


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain(tmp_path_factory.mktemp("twenty") / "state", 20).folder


@pytest.mark.parametrize("lost", range(1, 21))
def test_any_one_of_twenty_generations_can_be_lost(
    twenty: Path, tmp_path: Path, lost: int, caplog: pytest.LogCaptureFixture
) -> None:
    state = State(shutil.copytree(twenty, tmp_path / "state"), BASIS)
    shutil.rmtree(state.folder / "generations" / f"{lost:06d}", ignore_errors=True)
    if lost == 20:
        with pytest.raises(UnreadableError, match=r"000020/manifest\.json: expected a file.*edge-nusa undo"):
            state.current()
        with state.writer(), pytest.raises(UnreadableError):
            state.commit(files_of(21), "learn 21")
        with state.writer():
            state.undo()
        assert "undo went to generation 19, the newest readable one" in caplog.text
    expected = 19 if lost == 20 else 20
    found = state.snapshot(files_of(0))
    assert found is not None
    assert (found[0].number, found[1]) == (expected, files_of(expected))
    assert commit(state, 21).parent == expected
    assert len(state.history()) == GENERATIONS_KEPT
