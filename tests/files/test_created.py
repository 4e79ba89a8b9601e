"""A file that whoever comes first makes: one of many succeeds, and readers find all of it or nothing."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from edge_nusa.files.created import create_file


def test_of_many_writers_at_once_one_makes_the_file(tmp_path: Path) -> None:
    path, start, made = tmp_path / "one", threading.Barrier(8), list[int]()

    def write(number: int) -> None:
        start.wait(20)
        if create_file(path, str(number).encode() * 1000):
            made.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == 1 and path.read_bytes() == str(made[0]).encode() * 1000
    assert os.listdir(tmp_path) == ["one"]


def test_a_link_whose_first_answer_was_lost_is_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def lost(*given: Path) -> None:
        link(*given)
        raise FileExistsError

    monkeypatch.setattr(os, "link", lost)
    assert create_file(tmp_path / "one", b"a") and (tmp_path / "one").read_bytes() == b"a"
    monkeypatch.undo()
    assert not create_file(tmp_path / "one", b"b") and (tmp_path / "one").read_bytes() == b"a"


def test_without_hard_links_the_first_still_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*given: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", none)
    assert create_file(tmp_path / "one", b"a") and not create_file(tmp_path / "one", b"b")
    assert (tmp_path / "one").read_bytes() == b"a" and os.listdir(tmp_path) == ["one"]


def test_another_failure_is_the_callers_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="full"):
        create_file(tmp_path / "one", b"a")
    assert os.listdir(tmp_path) == []
