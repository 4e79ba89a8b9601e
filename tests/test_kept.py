"""Whatever fails after a commit says first what is kept, and nobody is told to do it twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import answer_of, run_cli
from processes import one_line, run_patched, run_shell

from edge_nusa import kept
from edge_nusa.device.demo.pictures import DemoPictures

FULL = ">/dev/full"
NO_UNLOCK = (
    "from edge_nusa.files.lock import Lock\n"
    "def refuse(self, force=False):\n    raise OSError(5, 'Input/output error')\n"
    "Lock.release = refuse"
)


def number_of(state: Path) -> int:
    """The generation that is current."""
    return int(answer_of("status", "--state", state)["generation"])


def generations(state: Path) -> list[str]:
    return [row["operation"] for row in answer_of("history", "--state", state)["generations"]]


@pytest.mark.parametrize(
    ("redirection", "says"),
    [(FULL, "No space left on device"), (">&-", "found it closed"), ("1</dev/null", "Bad file descriptor")],
)
def test_a_learn_that_cannot_print_says_that_it_is_kept(
    redirection: str, says: str, taught: Path, pictures: DemoPictures
) -> None:
    words = (
        "learn",
        "--images",
        pictures.others["cat"],
        "--label",
        "cat",
        "--steps",
        "3",
        "--state",
        taught,
        "--force",
    )
    line = one_line(run_shell(redirection, *words), 7)
    assert line.startswith(
        f"edge-nusa: the learn is kept as generation {number_of(taught)}: do not run it again; print the answer: "
        "expected stdout to "
    )
    assert says in line
    assert generations(taught) == ["learn", "learn"]


def test_a_reader_that_has_gone_is_no_error_and_what_is_kept_is_said(taught: Path) -> None:
    line = one_line(run_shell("| true", "undo", "--state", taught), 0)
    kept = "edge-nusa: the undo is kept, generation 0 is current: do not run it again"
    assert line == f"{kept}; nobody read the answer to its end"
    assert run_shell("| true", "labels", "--state", taught).stderr == ""


def test_with_every_stream_closed_the_exit_code_tells_it_and_no_file_is_written_over(taught: Path) -> None:
    done = run_shell("<&- >&- 2>&-", "forget", "gravel", "--state", taught)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
    assert run_shell("2>/dev/full", "undo", "--state", taught).returncode == 0
    assert generations(taught) == ["learn"]


@pytest.mark.parametrize("format", ["json", "human"])
def test_forget_and_undo_say_it_too(format: str, taught: Path) -> None:
    number = number_of(taught)
    line = one_line(run_shell(FULL, "forget", "gravel", "--state", taught, "--format", format), 7)
    assert f"the forget is kept as generation {number + 1}: do not run it again; print the answer" in line
    line = one_line(run_shell(FULL, "undo", "--state", taught, "--format", format), 7)
    assert f"the undo is kept, generation {number} is current: do not run it again; print the answer" in line


def test_what_changes_nothing_is_a_plain_error_of_output(taught: Path) -> None:
    for words in (("labels",), ("history",), ("status",), ("report",)):
        assert one_line(run_shell(FULL, *words, "--state", taught), 5).startswith("edge-nusa: print the answer: ")
    assert one_line(run_shell(FULL, "--help"), 5)


def test_a_report_that_was_written_is_said_to_be_there(taught: Path, tmp_path: Path) -> None:
    line = one_line(run_shell(FULL, "report", "--out", tmp_path / "page.html", "--state", taught), 7)
    assert f"the report is in {tmp_path / 'page.html'}; print the answer" in line


def test_a_lock_that_cannot_be_given_back_does_not_hide_the_commit(taught: Path) -> None:
    line = one_line(run_patched(NO_UNLOCK, "forget", "gravel", "--state", taught), 7)
    assert line.startswith(
        f"edge-nusa: the forget is kept as generation {number_of(taught)}: do not run it again; unlock "
    )
    assert "check the card or disk" in line


def test_an_error_that_nobody_foresaw_after_a_commit_asks_for_no_second_run(taught: Path) -> None:
    broken = "import edge_nusa.cli.output as o\ndef emit_json(value):\n    raise KeyError('x')\no.emit_json = emit_json"
    line = one_line(run_patched(broken, "forget", "gravel", "--state", taught), 7)
    assert f"the forget is kept as generation {number_of(taught)}: do not run it again; unforeseen KeyError" in line
    assert line.endswith("please report this line")


def test_a_signal_after_a_commit_says_what_is_kept(taught: Path) -> None:
    stopped = (
        "import os, signal\nimport edge_nusa.cli.output as o\no.emit_json = lambda value: os.kill(os.getpid(), "
        "signal.SIGTERM)"
    )
    line = one_line(run_patched(stopped, "forget", "gravel", "--state", taught), 143)
    kept = f"the forget is kept as generation {number_of(taught)}: do not run it again"
    assert line == f"edge-nusa: {kept}; stopped by a signal"


def test_an_error_before_the_commit_says_nothing_of_the_kind(taught: Path) -> None:
    assert "kept" not in one_line(run_cli("forget", "unicorn", "--state", taught), 1)


@pytest.fixture(scope="module")
def gained(pictures: DemoPictures, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a state that learned one label."""
    folder = tmp_path_factory.mktemp("gained")
    answer_of(
        "learn", "--images", pictures.taught["gravel"], "--label", "gravel", "--state", folder / "state", "--steps", "3"
    )
    yield folder


def test_each_step_of_a_fleet_says_what_is_kept(gained: Path) -> None:
    hub, state = ("--hub", gained / "hub"), ("--state", gained / "state")
    steps: list[tuple[tuple[str | Path, ...], str]] = [
        (("hub", "init", gained / "store", *hub), "is made; print the answer"),
        (("sync", "init", gained / "store", "--root", gained / "hub" / "root.json", *state), "this device is "),
        (("hub", "enroll", gained / "state" / "sync" / "device.pub", "--name", "one", *hub), "one is enrolled; "),
        (("sync", "push", *state), "update 1 is sent; "),
        (("hub", "merge", *hub), "the merge is kept as generation 1: do not run it again; "),
        (("hub", "publish", *hub), "round 1 is published; "),
        (("sync", "pull", *state), "the pull of round 1 is kept as generation 2: do not run it again; "),
        (("hub", "rotate", "--root-keys", gained / "hub" / "root-keys", *hub), "root 2 is in the store; "),
        (("hub", "revoke", "one", *hub), "one is revoked; "),
    ]
    for words, says in steps:
        line = one_line(run_shell(FULL, *words), 7)
        assert says in line
        assert "print the answer: expected stdout to take it, found No space left on device" in line


def test_a_sync_that_pushed_and_cannot_pull_says_both_and_may_run_again(pictures: DemoPictures, tmp_path: Path) -> None:
    answer_of(
        "learn",
        "--images",
        pictures.taught["gravel"],
        "--label",
        "gravel",
        "--state",
        tmp_path / "state",
        "--steps",
        "3",
    )
    answer_of("hub", "init", tmp_path / "store", "--hub", tmp_path / "hub")
    answer_of(
        "sync", "init", tmp_path / "store", "--root", tmp_path / "hub" / "root.json", "--state", tmp_path / "state"
    )
    done = run_cli("sync", "run", "--state", tmp_path / "state")
    assert json.loads(done.stdout)["push"]["sent"] == [1]
    line = one_line(done, 6)
    assert line.startswith("edge-nusa: pull: ") and "do not run it again" not in line


def test_of_collections_inside_each_other_the_innermost_has_it_and_outside_nothing_is_kept() -> None:
    with kept.collected() as outer:
        kept.part("one")
        with kept.collected() as inner:
            kept.done("two")
    assert (outer.clauses, outer.is_done, inner.clauses, inner.is_done) == (["one"], False, ["two"], True)
    assert outer.before("the end") == "one; the end"
    kept.done("three")
    assert kept.so_far() == kept.Kept()


def test_the_demonstrations_own_commits_are_not_told(tmp_path: Path) -> None:
    """They are made anew by the next run."""
    broken = (
        "import edge_nusa.device.demo.demo as d\ndef fail(*words):\n    raise MemoryError\nd.html_report = "
        "fail\nimport edge_nusa.device.learning.learn as l"
    )
    done = run_patched(broken, "demo", "--out", tmp_path / "demo", "-q", "--format", "json")
    assert "is kept" not in one_line(done, 5)
    assert json.loads((tmp_path / "demo" / "state" / "CURRENT").read_text())["generation"] > 0
