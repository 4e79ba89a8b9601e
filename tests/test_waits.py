"""Who waits for another process says so, once and after a second: for whom, and for how long at most."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
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


def test_a_second_learn_says_for_whom_it_waits(
    taught: Path, pictures: DemoPictures, held: subprocess.Popen[str]
) -> None:
    second = subprocess.Popen(
        words_of(taught, pictures), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert second.stderr is not None
    assert (
        second.stderr.readline()
        == f"edge-nusa: waiting for another edge-nusa, pid {held.pid}, which changes {taught}; for at most 600 s\n"
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


def test_quiet_hushes_who_waits_for_a_cache_of_features(tmp_path: Path) -> None:
    for quiet, said in [((), "waiting for another edge-nusa"), (("-q",), "")]:
        program = (
            "import logging, sys\nfrom edge_nusa.cli import eval\n"
            "warn = logging.getLogger('edge_nusa.research').warning\n"
            "eval._list = lambda *rest: warn('waiting for another edge-nusa')\n"
            "from edge_nusa.cli.main import run\nrun()"
        )
        words = [sys.executable, "-c", program, "eval", "--list", *quiet]
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60)
        assert (done.returncode, said in done.stderr, bool(said)) == (0, True, bool(done.stderr))


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
        == f"edge-nusa: waiting for another edge-nusa, pid {held.pid}, which changes {taught}; for at most 60 s\n"
    )
    let_go(held)
    assert second.communicate(timeout=60)[1] == ""


def test_who_need_not_wait_says_nothing(taught: Path) -> None:
    done = run_cli("forget", "gravel", "--state", taught)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("seconds", "lines"), [(0.2, 0), (0.95, 0), (1.2, 1), (2.5, 1)])
def test_the_wait_ends_when_it_was_said_to_and_is_told_once_after_a_second(
    seconds: float, lines: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda pause: clock.__setitem__(0, clock[0] + pause))
    state = State(tmp_path / "state", identity())
    with state.writer():
        pass
    other = Lock(tmp_path / "state" / "lock")
    assert other.acquire()
    says = f"expected to write within {seconds:g} s, found another task of this edge-nusa writing"
    with pytest.raises(ResourceError, match=says), State(tmp_path / "state", identity()).writer(seconds):
        pass
    assert clock[0] == pytest.approx(100 + seconds, abs=0.06)
    told = f"waiting for another task of this edge-nusa, which changes {tmp_path / 'state'}; for at most {seconds:g} s"
    assert [record.getMessage() for record in caplog.records] == [told] * lines


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
