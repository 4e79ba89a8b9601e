"""The lock of a folder: one holder at a time, gone with its process, and where a file system has none that is said."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_nusa.errors import ResourceError, UsageError
from edge_nusa.files import lock
from edge_nusa.files.durable import explained
from edge_nusa.files.lock import Lock

HOLDER = (
    "import sys\nfrom pathlib import Path\nfrom edge_nusa.files.lock import Lock\n"
    "assert Lock(Path(sys.argv[1])).acquire()\nprint('held', flush=True)\nsys.stdin.read()"
)


def test_one_holds_it_at_a_time_and_what_is_written_in_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("someone's words")
    first, second = Lock(path), Lock(path)
    assert first.acquire() and not second.acquire()
    first.release()
    assert second.acquire()
    second.release()
    second.release()
    assert path.read_text() == "someone's words"


def test_a_new_lock_is_for_this_user_alone(tmp_path: Path) -> None:
    assert Lock(tmp_path / "lock").acquire()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_it_goes_with_a_killed_process(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert not Lock(tmp_path / "lock").acquire()
    process.kill()
    assert Lock(tmp_path / "lock").acquire(10)
    process.communicate()


def test_who_waits_takes_it_as_soon_as_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, slept = Lock(tmp_path / "lock"), Lock(tmp_path / "lock"), []

    def sleeps(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            first.release()

    monkeypatch.setattr(time, "sleep", sleeps)
    assert first.acquire() and second.acquire(60)
    assert slept == [0.05, 0.05]


def test_who_holds_it_is_known_by_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    words = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert Lock(path).holder() == process.pid
    process.communicate("")
    assert Lock(path).holder() is None and Lock(tmp_path / "gone").holder() is None
    assert Lock(path).acquire() and Lock(path).holder() == os.getpid()

    row, said = "1: FLOCK  ADVISORY  WRITE {} fe:00:{} 0 EOF\n", tmp_path / "locks"
    monkeypatch.setattr(lock, "LOCKS", said)
    assert Lock(path).holder() is None
    ours = path.stat().st_ino
    for text, pid in [
        (row.format(7, ours), 7),
        (row.format(8, ours + 1) + row.format(7, ours), 7),
        (row.format(7, ours) + row.format(8, ours), None),  # two devices have this inode: which one it is is not known
        (row.format(0, ours), None),  # of a container that is not seen from here
        (row.format(7, ours).replace("FLOCK", "POSIX"), None),
        (row.format(7, ours) + f"1: -> FLOCK  ADVISORY  WRITE 9 fe:00:{ours} 0 EOF\n", 7),  # who waits holds nothing
    ]:
        said.write_text(text)
        assert Lock(path).holder() == pid, text


def test_who_waits_is_named_as_people_know_it() -> None:
    assert lock.waited_for(None) == "another edge-nusa"
    assert lock.waited_for(os.getpid() + 1) == f"another edge-nusa, pid {os.getpid() + 1}"
    assert lock.waited_for(os.getpid()) == "another task of this edge-nusa"


def test_a_lock_of_a_file_that_was_replaced_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real, opened = tmp_path / "lock", fcntl.flock, []

    def replaced(descriptor: int, how: int) -> None:
        real(descriptor, how)
        opened.append(descriptor)
        if len(opened) == 1:
            (tmp_path / "new").touch()
            os.replace(tmp_path / "new", path)

    monkeypatch.setattr(fcntl, "flock", replaced)
    assert not Lock(path).acquire()
    assert Lock(path).acquire()


@pytest.mark.parametrize("name", ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EIO", "ESTALE", "EPERM"])
def test_a_file_system_without_locks_is_a_resource_and_no_marker_takes_the_place_of_a_lock(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    number = getattr(errno, name)

    def refused(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ResourceError) as raised, explained("lock it"):
        Lock(tmp_path / "lock").acquire(60)
    assert raised.value.exit_code == 5
    assert os.strerror(number) in str(raised.value)
    assert (os.listdir(tmp_path), len(recwarn)) == (["lock"], 0)
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_link_a_pipe_and_a_folder_are_no_locks(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("full")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder"):
        with pytest.raises(UsageError, match="check the path"), explained("lock it"):
            Lock(tmp_path / name).acquire()
    assert (tmp_path / "target").read_text() == "full"
