"""The state with several processes at once: one writer waits for another, readers never lock and never fail."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from state_chains import BASIS, chain, commit, exit_status, files_of, in_child

from edge_nusa.errors import ResourceError
from edge_nusa.files import durable
from edge_nusa.state.state import State


def test_a_writer_waits_for_another_process_and_then_says_so(tmp_path: Path) -> None:
    state = State(tmp_path, BASIS)
    with state.writer():

        def work() -> None:
            with (
                pytest.raises(ResourceError, match=r"found another edge-nusa(, pid \d+)? writing; wait"),
                State(tmp_path, BASIS).writer(0.1),
            ):
                pass

        assert exit_status(in_child(work)) == 0


def test_four_writers_of_ten_commits_make_forty_generations(tmp_path: Path) -> None:
    def work() -> None:
        state = State(tmp_path, BASIS)
        for _ in range(10):
            with state.writer():
                current = state.current()
                known = json.loads(current.read("labels.json")) if current else []
                made = state.commit({"labels.json": json.dumps([*known, os.getpid()]).encode()}, "learn")
                assert made.number == len(known) + 1

    children = [in_child(work) for _ in range(4)]
    assert [exit_status(child) for child in children] == [0] * 4
    found = State(tmp_path, BASIS).snapshot(["labels.json"])
    assert found is not None
    assert found[0].number == 40
    assert sorted(json.loads(found[1]["labels.json"])) == sorted(children * 10)


def test_a_reader_never_fails_while_a_writer_commits_and_undoes(tmp_path: Path) -> None:
    def write() -> None:
        state = State(tmp_path, BASIS)
        for step in range(60):
            commit(state, step)
            if step % 7 == 6:
                with state.writer():
                    state.undo()

    child = in_child(write)
    reader = State(tmp_path, BASIS)
    reads = 0
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        reader.current()
        assert reader.damaged() == []
        if (found := reader.snapshot(files_of(0))) is not None:
            assert found[1] == files_of(json.loads(found[1]["labels.json"])["number"])
            reads += 1
    assert reads > 0
    assert reader.current() is not None


def test_a_snapshot_starts_again_when_its_generation_is_pruned_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = chain(tmp_path, 1)
    real = durable.read_at_most

    def slow(path: Path, limit: int) -> bytes:
        if path.name == "labels.json":
            monkeypatch.undo()
            for number in range(2, 8):
                commit(State(tmp_path, BASIS), number)
        return real(path, limit)

    monkeypatch.setattr(durable, "read_at_most", slow)
    found = state.snapshot(files_of(0))
    assert found is not None
    assert (found[0].number, found[1]) == (7, files_of(7))
