"""The head first, as the command line does it: what a person reads at once, a real kill in between, and a board
without torch."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import answer_of, command, environment, run_cli
from processes import one_line, run_patched

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import MissingPackageError

WITHOUT_TORCH = "import sys\nsys.modules['torch'] = None"
LONG = ("--steps", "100000", "--threads", "1")


def wait_for(found: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if found():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    pytest.fail("it did not happen within a minute")


def is_current(state: Path, number: int) -> bool:
    pointer = state / "CURRENT"
    return pointer.exists() and json.loads(pointer.read_text())["generation"] == number


def started(state: Path, three: Path, *words: str) -> subprocess.Popen[str]:
    """A learn that trains for hours."""
    asked = command("learn", "--dataset", three, "--state", state, *LONG, *words)
    return subprocess.Popen(
        asked,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], sign: signal.Signals) -> tuple[str, str]:
    """What it said until the signal ended it; its training process goes with it."""
    os.kill(process.pid, sign)
    return process.communicate(timeout=60)


@pytest.mark.slow
def test_killed_while_the_text_is_trained_the_heads_lesson_answers_and_undo_takes_it_back(
    three: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    process = started(state, three, "--format", "human")
    wait_for(lambda: is_current(state, 1), process)
    picture = next(pictures.asked["gravel"].iterdir())
    assert answer_of("predict", picture, "--state", state)["labels"][0]["label"] == "gravel", "while it is trained"
    said, _ = ended(process, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    first, *rest = said.splitlines()
    assert first.startswith("knows brick wall, gravel, lawn grass now (24 pictures, ")
    assert first.endswith(" s); training the text ...") and rest == []
    (row,) = answer_of("history", "--state", state)["generations"]
    assert (row["generation"], row["current"], row["report"]["text"]) == (1, True, "not trained")
    assert answer_of("predict", picture, "--state", state)["labels"][0]["label"] == "gravel"
    assert answer_of("undo", "--state", state)["generation"] == 0
    assert answer_of("labels", "--state", state)["labels"] == []


@pytest.mark.slow
def test_stopped_while_the_text_is_trained_one_line_says_that_the_lesson_is_kept(three: Path, tmp_path: Path) -> None:
    process = started(tmp_path / "state", three)
    wait_for(lambda: is_current(tmp_path / "state", 1), process)
    said, told = ended(process, signal.SIGTERM)
    assert (said, process.returncode) == ("", 143)
    assert told == "edge-nusa: the learn is kept as generation 1: do not run it again; stopped by a signal\n"


def test_a_person_reads_at_once_what_is_known_and_at_the_end_what_became_of_the_text(
    three: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    shutil.copytree(three, tmp_path / "four")
    shutil.copytree(pictures.others["cat"], tmp_path / "four" / "cat")
    words = (
        "learn",
        "--dataset",
        tmp_path / "four",
        "--state",
        tmp_path / "state",
        "--steps",
        "2",
        "--force",
        "--again",
    )
    done = run_cli(*words, "--format", "human")
    assert (done.returncode, done.stderr) == (0, "")
    first, second, *rest = done.stdout.splitlines()
    assert first.startswith("knows 4 labels now (25 pictures, ") and first.endswith("; training the text ...")
    assert second.startswith("brick wall: ") and " when left out (about " in second
    (text,) = [line for line in rest if line.startswith("text ")]
    assert text.startswith(("text kept: of 3 pictures asked ", "text dropped: of 3 pictures asked "))
    quiet = run_cli(*words, "--format", "human", "--quiet", "--dry-run").stdout
    assert "knows" not in quiet and "\ntext " in quiet


def test_learning_without_torch_teaches_the_head_and_says_what_it_left_out(three: Path, tmp_path: Path) -> None:
    words = ("learn", "--dataset", three, "--state", tmp_path / "state")
    done = run_patched(WITHOUT_TORCH, *words, "--format", "human")
    assert (done.returncode, done.stderr) == (0, "")
    line = 'text not trained: torch is not installed; `pip install "edge-nusa[learn]"` adds it'
    assert line in done.stdout.splitlines()
    assert "knows" not in done.stdout, "all is said at once"
    again = run_patched(WITHOUT_TORCH, *words, "--again", "--format", "json")
    report = json.loads(again.stdout)
    assert (again.returncode, report["text"], report["generation"]) == (0, "not trained", 2)


def test_the_published_recipe_without_torch_says_what_is_missing(three: Path, tmp_path: Path) -> None:
    words = ("learn", "--dataset", three, "--state", tmp_path / "state", "--recipe", "paper")
    line = one_line(run_patched(WITHOUT_TORCH, *words), MissingPackageError.exit_code)
    assert line == (
        "edge-nusa: --recipe paper is nothing but training: torch is not installed; "
        '`pip install "edge-nusa[learn]"` adds it'
    )


def test_one_picture_is_told_as_one() -> None:
    from edge_nusa.cli.learned import known_now
    from edge_nusa.device.learning.report import LabelReport

    row = LabelReport(
        label="cat",
        images=1,
        right=0,
        asked=0,
        interval=None,
        right_before=0,
        accuracy_before=None,
        accuracy_after=None,
        taken_for=(),
        closest=None,
        told_apart_errors=None,
    )

    class Report:
        labels, head_seconds = (row,), 0.44

    assert known_now(Report) == "knows cat now (1 picture, 0.4 s); training the text ..."  # type: ignore[arg-type]
