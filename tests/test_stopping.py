"""A signal ends any command within two seconds, whatever it waits for, and leaves the state whole."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import bytes_of, command, environment, run_cli

from edge_nusa.cli import signals
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.files.lock import Lock

SECONDS = 2.0
BUSY = """
import hashlib, sys
def busy(*_, **__):
    print("busy", file=sys.stderr, flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""
"""A call that computes for many minutes without letting Python run a signal's handler."""
PATCHES = {
    "a picture": "from edge_nusa.device.asking import ahead\nahead.decode = busy",
    "the model": "import onnxruntime\nonnxruntime.InferenceSession.run = busy",
    "a library being loaded": "from edge_nusa.model import bundle\nbundle.tensor_file.decode = busy",
}
ASKS = """
import sqlite3
real = sqlite3.connect
def connect(path, timeout):
    print("asks", file=sys.stderr, flush=True)
    return real(path, timeout=600)
sqlite3.connect = connect
"""
SLEEPS = """
import time
real = time.sleep
def sleep(seconds):
    if seconds == 9000:
        print("sleeps", file=sys.stderr, flush=True)
    real(seconds)
time.sleep = sleep
"""
NO_THREAD = """
import threading
real = threading.Thread.start
def start(self):
    if self.name == "edge-nusa-signals":
        raise RuntimeError("can't start new thread")
    real(self)
threading.Thread.start = start
"""


@contextmanager
def started(*arguments: str | Path, patch: str | None = None, **env: str) -> Iterator[subprocess.Popen[str]]:
    words = command(*arguments)
    if patch is not None:
        words = [sys.executable, "-c", f"{BUSY}\n{patch}\nfrom edge_nusa.cli.main import run\nrun()", *words[3:]]
    process = subprocess.Popen(
        words, env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ends(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> None:
    """Within the time, with its code, and saying so in one line."""
    assert process.stderr is not None and process.poll() is None
    began = time.monotonic()
    process.send_signal(number)
    code = process.wait(30)
    seconds = time.monotonic() - began
    assert code == 128 + number
    said = process.stderr.read()
    assert said.endswith(
        "edge-nusa: stopped by a signal; the state is whole: what was committed stays, what was not is gone\n"
    )
    assert "Traceback" not in said
    assert seconds < SECONDS


def says(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert word in line, line


def test_the_grace_leaves_a_second_for_ending() -> None:
    assert 0.5 <= signals.GRACE_SECONDS <= SECONDS - 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("what", PATCHES)
def test_while_it_computes(what: str, number: int, taught: Path, pictures: DemoPictures) -> None:
    folder = pictures.asked["gravel"]
    before = bytes_of(taught)
    with started("predict", folder, "--label", "cat", "--state", taught, patch=PATCHES[what]) as process:
        says(process, "busy")
        ends(process, number)
    assert bytes_of(taught) == before


@pytest.mark.parametrize("count", [1, 8])
def test_a_lesson_while_a_picture_is_decoded(count: int, taught: Path, pictures: DemoPictures, tmp_path: Path) -> None:
    before = bytes_of(taught)
    (tmp_path / "cats").mkdir()
    for path in sorted(pictures.asked["gravel"].iterdir())[:count]:
        (tmp_path / "cats" / path.name).write_bytes(path.read_bytes())
    words = ("learn", "--images", tmp_path / "cats", "--label", "cat", "--state", taught)
    with started(*words, patch=PATCHES["a picture"]) as process:
        says(process, "busy")
        ends(process)
    assert bytes_of(taught) == before
    assert run_cli("forget", "gravel", "--state", taught).returncode == 0, "the lock is free"


def test_while_it_waits_for_a_lock(taught: Path) -> None:
    lock = Lock(taught / "lock")
    assert lock.acquire()
    with started("forget", "gravel", "--state", taught) as process:
        says(process, "waiting for another edge-nusa")
        ends(process)
    lock.release()


def test_while_it_waits_for_another_watch(taught: Path, tmp_path: Path) -> None:
    held = sqlite3.connect(tmp_path / "ledger", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    patch = ASKS
    words = ("watch", tmp_path, "--state", taught, "--ledger", tmp_path / "ledger")
    with started(*words, patch=patch) as process:
        says(process, "asks")
        time.sleep(0.5)
        ends(process)


def test_while_a_watch_sleeps(taught: Path, tmp_path: Path) -> None:
    patch = SLEEPS
    with started("watch", tmp_path, "--every", "9000", "--state", taught, patch=patch) as process:
        says(process, "sleeps")
        ends(process)


def test_while_a_store_is_silent(tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    with socket.create_server(("127.0.0.1", 0)) as server:
        env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.getsockname()[1]}"}
        env |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
        with started("hub", "check", "s3://fleet/a", **env) as process:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(10)
                ends(process)


def test_while_nobody_reads_its_answer(taught: Path) -> None:
    with started("report", "--out", "/dev/stdout", "--state", taught) as process:
        assert process.stdout is not None
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        assert os.read(process.stdout.fileno(), 1) == b"<"
        time.sleep(0.5)
        ends(process)


def test_while_it_waits_for_names(taught: Path) -> None:
    with started(
        "predict", "-", "--state", taught, patch="import sys\nprint('reads', file=sys.stderr, flush=True)"
    ) as process:
        says(process, "reads")
        time.sleep(3)
        ends(process)


def test_without_a_thread_to_have_a_command_works_as_before(taught: Path) -> None:
    patch = NO_THREAD
    with started("labels", "--state", taught, patch=patch) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "gravel" in out
