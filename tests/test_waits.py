"""Who waits for another process says so at once: for which lock, and for how long at most."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import command, current_of, environment, run_cli
from identities import identity

from edge_nusa.cli import output
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import ResourceError
from edge_nusa.files.lock import Lock
from edge_nusa.state.state import State

HOLDER = (
    "import sys\nfrom pathlib import Path\nfrom edge_nusa.files.lock import Lock\n"
    "assert Lock(Path(sys.argv[1])).acquire()\nprint('held', flush=True)\nsys.stdin.read()"
)


@pytest.fixture
def held(taught: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of `taught` until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(taught / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def words_of(taught: Path, pictures: DemoPictures) -> list[str]:
    return command(
        "learn", "--images", pictures.others["cat"], "--label", "cat", "--state", taught, "--steps", "3", "--force"
    )


def test_a_second_learn_says_at_once_that_it_waits(
    taught: Path, pictures: DemoPictures, held: subprocess.Popen[str]
) -> None:
    second = subprocess.Popen(
        words_of(taught, pictures), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert second.stderr is not None
    assert (
        second.stderr.readline()
        == f"edge-nusa: another process holds {taught / 'lock'}; waiting for it, for at most 600 s\n"
    )
    let_go(held)
    out, err = second.communicate(timeout=120)
    assert (second.returncode, err) == (0, "")
    assert f'"generation": {int(current_of(taught).name)}' in out


def test_quiet_hushes_it(taught: Path, pictures: DemoPictures, held: subprocess.Popen[str]) -> None:
    second = subprocess.Popen(
        [*words_of(taught, pictures), "-q"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(5)
    let_go(held)
    assert second.communicate(timeout=120)[1] == ""
    assert second.returncode == 0


def test_every_other_writer_says_it_too(taught: Path, held: subprocess.Popen[str]) -> None:
    second = subprocess.Popen(
        command("forget", "gravel", "--state", taught),
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert second.stderr is not None
    assert (
        second.stderr.readline()
        == f"edge-nusa: another process holds {taught / 'lock'}; waiting for it, for at most 60 s\n"
    )
    let_go(held)
    assert second.communicate(timeout=60)[1] == ""


def test_who_need_not_wait_says_nothing(taught: Path) -> None:
    done = run_cli("forget", "gravel", "--state", taught)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_wait_ends_when_it_was_said_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = State(tmp_path / "state", identity())
    with state.writer():
        pass
    says = "expected to write within 0.2 s, found another process writing"
    other = Lock(tmp_path / "state" / "lock")
    assert other.acquire()
    with (
        pytest.raises(ResourceError, match=says),
        State(tmp_path / "state", identity()).writer(0.2),
    ):
        pass
    assert "waiting for it, for at most 0.2 s" in caplog.text


def test_notes_are_warnings_of_the_library_and_hushed_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger(output.LIBRARY)
    before = list(logger.handlers)
    try:
        output.listen()
        output.hush(True)
        logging.getLogger("edge_nusa.state.state").warning("hushed")
        output.hush(False)
        logging.getLogger("edge_nusa.state.state").info("not worth a line")
        logging.getLogger("edge_nusa.state.state").warning("told\x1b")
    finally:
        logger.handlers[:], logger.propagate = before, True
    assert capsys.readouterr().err == "edge-nusa: told\\x1b\n"
