"""Files that a user asks for by `--out` follow the umask; what is edge-nusa's own is this user's alone."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import run_cli
from processes import run_shell

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import InputError, ResourceError
from edge_nusa.files import durable, opening
from edge_nusa.files.json_lines import JsonLines


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(taken: int) -> Iterator[None]:
    before = os.umask(taken)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("taken", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)]
)
def test_report_and_lines_follow_the_umask(
    taken: int, file: int, folder: int, taught: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    first = f"umask {taken:03o}; "
    done = run_shell("", "report", "--out", tmp_path / "page.html", "--state", taught, first=first)
    assert done.returncode == 0, done.stderr
    assert mode(tmp_path / "page.html") == file
    lines = tmp_path / "new" / "answers.jsonl"
    done = run_shell(
        "",
        "watch",
        pictures.asked["gravel"],
        "--once",
        "--every",
        "0.05",
        "--out",
        lines,
        "--state",
        taught,
        first=first,
    )
    assert done.returncode == 0, done.stderr
    assert (mode(lines), mode(lines.parent)) == (file, folder)
    assert lines.read_text().count("\n") == 8


def test_state_and_ledger_stay_this_users_alone(taught: Path, pictures: DemoPictures) -> None:
    words = ("watch", pictures.asked["gravel"], "--once", "--every", "0.05", "--state", taught)
    assert run_shell("", *words, first="umask 000; ").returncode == 0
    assert run_shell("", "forget", "gravel", "--state", taught, first="umask 000; ").returncode == 0
    assert {mode(path) for path in taught.rglob("*") if path.is_file()} == {0o600}


def test_a_page_is_written_through_a_link_and_straight_into_what_is_no_file(taught: Path, tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "page.html").symlink_to("real.html")
    durable.write_asked(tmp_path / "page.html", b"new")
    assert (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "real.html").read_bytes() == b"new"
    done = run_cli("report", "--out", "/dev/stdout", "--state", taught)
    assert done.stdout.startswith("<!DOCTYPE html>")
    durable.write_asked(Path(os.devnull), b"gone")
    assert not Path(os.devnull).is_file()


def test_a_folder_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="page: expected its folder to be there, found none; make it with `mkdir -p`"):
        durable.write_asked(tmp_path / "no" / "page", b"")
    with pytest.raises(InputError, match="expected a regular file, found a folder; name another"):
        durable.write_asked(tmp_path, b"")


def test_a_line_and_its_sync_make_the_same_file(tmp_path: Path) -> None:
    with umask(0o027):
        JsonLines(tmp_path / "a").sync()
        JsonLines(tmp_path / "b").write({})
    assert mode(tmp_path / "a") == mode(tmp_path / "b") == 0o640


def test_a_pipe_is_written_into_where_someone_reads_it_and_is_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="pipe: expected someone to read from it, found nobody; start its reader"):
        durable.write_asked(pipe, b"page")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    durable.write_asked(pipe, b"page")
    assert os.read(reader, 10) == b"page"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_socket_or_a_disk_is_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    socket.socket(socket.AF_UNIX).bind("socket")
    with pytest.raises(InputError, match="expected a regular file, found a socket; name another"):
        durable.write_asked(Path("socket"), b"page")
    (tmp_path / "disk").touch()
    monkeypatch.setattr(opening, "mode_of", lambda path: stat.S_IFBLK | 0o600)
    monkeypatch.setattr(os, "open", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(InputError, match="expected a regular file, found a device; name another"):
        durable.write_asked(tmp_path / "disk", b"page")


@pytest.mark.parametrize("kind", ["a FIFO", "a device", "a folder"])
def test_lines_are_added_to_a_regular_file_alone(kind: str, tmp_path: Path) -> None:
    path = Path(os.devnull) if kind == "a device" else tmp_path / "out"
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    with pytest.raises(InputError, match=f"expected a regular file, found {kind}; name another"):
        JsonLines(path)
    lines = JsonLines(tmp_path / "lines")
    lines.path = path
    for act in (lines.sync, lambda: lines.write({})):
        with pytest.raises(InputError, match=f"expected a regular file, found {kind}; name another"):
            act()


def test_lines_are_added_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"{}\ncut")
    (tmp_path / "link").symlink_to("real")
    JsonLines(tmp_path / "link").write({})
    assert (tmp_path / "real").read_bytes() == b"{}\n{}\n"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["ENOENT", "EACCES", "EROFS", "ESTALE", "ENOTCONN", "EHOSTDOWN", "EIO", "ENOSPC"])
def test_a_share_of_lines_that_goes_away_is_a_resource_so_that_a_watch_is_started_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = JsonLines(tmp_path / "share" / "lines")
    lines.write({"first": 1})
    number = getattr(errno, name)
    if name == "ENOENT":
        os.rename(tmp_path / "share", tmp_path / "gone")
    else:

        def refused(*words: object, **options: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "open", refused)
    for act in (lambda: lines.write({"second": 2}), lines.sync):
        with pytest.raises(ResourceError) as raised:
            act()
        assert raised.value.exit_code == 5
    monkeypatch.undo()
    assert not (tmp_path / "share").exists() or name != "ENOENT"
