"""Bars of progress: on a terminal alone, with the time that is left, and ended before anything else is said."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import command, environment

from edge_nusa.cli import bar, output


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, as its one entry."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """stdout and stderr, as one terminal that takes escapes; made in the test itself, as pytest sets its own streams
    before."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def last(stream: Terminal) -> str:
    return stream.getvalue().rpartition("\r")[2]


def test_a_bar_says_how_long_it_takes_yet_and_ends_its_line(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    terminal = terminal_of(monkeypatch)
    draw = output.progress_bar(False)
    draw("training", 0, 200)
    assert last(terminal) == f"training  [{'.' * 30}]   0 %"
    clock[0] += 3
    draw("training", 20, 200)
    assert last(terminal) == f"training  [{'#' * 3}{'.' * 27}]  10 %, about 27 s left"
    clock[0] += 27
    draw("training", 200, 200)
    assert last(terminal) == f"training  [{'#' * 30}] 100 %" + " " * len(", about 27 s left") + "\n"
    before = terminal.getvalue()
    draw("training", 200, 200)
    assert terminal.getvalue() == before, "the end is told once"
    draw("training", 0, 100)
    assert last(terminal) == f"training  [{'.' * 30}]   0 %", "a second lesson has a bar of its own"
    bar.end()


def test_a_line_is_drawn_anew_where_a_percent_or_a_second_has_passed(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    terminal = terminal_of(monkeypatch)
    draw = output.progress_bar(False)
    draws = []
    for done, after in [(0, 0.0), (1, 0.4), (2, 0.4), (3, 0.3), (1000, 0.0), (1001, 0.9)]:
        clock[0] += after
        before = terminal.getvalue().count("\r")
        draw("looking", done, 100_000)
        draws.append(terminal.getvalue().count("\r") - before)
    bar.end()
    assert draws == [1, 0, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("seconds", "done", "total", "said"),
    [
        (1.9, 1, 2, ""),
        (2.0, 1, 2, ", about 2 s left"),
        (5.0, 0, 2, ""),
        (5.0, 2, 2, ""),
        (2.0, 199, 200, ", about 1 s left"),
        (59.4, 1, 2, ", about 59 s left"),
        (60.0, 1, 2, ", about 1 min left"),
        (90.0, 1, 3, ", about 3 min left"),
        (3590.0, 1, 2, ", about 1 h 0 min left"),
        (7500.0, 1, 2, ", about 2 h 5 min left"),
    ],
)
def test_the_time_that_is_left_is_in_a_persons_units(seconds: float, done: int, total: int, said: str) -> None:
    assert bar.left(seconds, done, total) == said


@pytest.mark.parametrize("say", [output.note, output.emit, output.note_lines])
def test_whatever_is_said_has_a_line_of_its_own(say: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    output.progress_bar(False)("judging", 0, 1)
    say("refused")
    say("twice")
    assert terminal.getvalue().endswith("  0 %\nrefused\ntwice\n")


@pytest.mark.parametrize(("term", "is_quiet"), [("dumb", False), ("xterm", True)])
def test_a_terminal_that_is_dumb_or_a_person_who_wants_quiet_gets_no_bar(
    term: str, is_quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = terminal_of(monkeypatch)
    monkeypatch.setenv("TERM", term)
    output.progress_bar(is_quiet)("judging", 0, 1)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("settings", "is_coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_a_terminal_that_takes_them_and_a_person_who_wants_them(
    settings: dict[str, str], is_coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = terminal_of(monkeypatch)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    output.emit("found", "ok")
    assert terminal.getvalue() == ("\x1b[32mok      \x1b[0mfound\n" if is_coloured else "ok      found\n")


def test_a_refusal_on_a_real_terminal_begins_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.jpg").write_bytes(b"no picture")
    ours, theirs = pty.openpty()
    words = command("learn", "--images", tmp_path / "x", "--label", "x", "--state", tmp_path / "state")
    with subprocess.Popen(
        words, env=environment({"TERM": "xterm"}), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 4096):
                seen += piece
        except OSError:  # the terminal's other end has gone
            pass
    os.close(ours)
    assert process.returncode == 1
    lines = seen.decode().replace("\r\n", "\n").splitlines()
    assert lines[-1].startswith("edge-nusa: ") and "\r" not in lines[-1]
    assert any(line.rpartition("\r")[2].startswith("looking   [") for line in lines[:-1]), lines
