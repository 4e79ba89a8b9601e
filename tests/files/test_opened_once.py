"""A file is opened once, at once, without links, and only where it is a regular one; what is deleted is what was
opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files import durable, opening
from edge_nusa.files.node import FileBytes, Node
from edge_nusa.files.opening import Below
from edge_nusa.files.os_errors import OtherKindError


def read(path: Path, limit: int = 100) -> bytes:
    with opening.opened(path) as descriptor:
        return opening.read(descriptor, limit)


def read_named(path: Path) -> bytes:
    with opening.opened_named(path) as descriptor:
        return opening.read(descriptor, 100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file in it and below it, beside a secret."""
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "a").write_bytes(b"in the folder")
    (tmp_path / "folder" / "sub" / "b").write_bytes(b"below it")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b").write_bytes(b"a secret")
    return tmp_path / "folder"


def put(kind: str, path: Path) -> None:
    """Something else under the name."""
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a link":
        path.symlink_to(path.parent.parent / "elsewhere" / "b")
    elif kind == "a socket":
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket may have 107 bytes
        try:
            socket.socket(socket.AF_UNIX).bind(path.name)
        finally:
            os.chdir(here)


KINDS = ["a FIFO", "a folder", "a link", "a socket"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_refused_at_once_by_its_kind(kind: str, folder: Path) -> None:
    put(kind, folder / "x")
    for path in (folder / "x", Below.of(folder / "x", folder)):
        with pytest.raises(OtherKindError) as caught:
            read(path)
        assert caught.value.found == kind
    told = f"expected a regular file, found {kind}; "
    with pytest.raises(DamagedError, match=f"{told}put the file itself in its place"), durable.explained("read x"):
        read(folder / "x")
    with pytest.raises(OtherKindError):
        durable.read_at_most(folder / "x", 10)
    if kind == "a link":
        assert durable.read_named(folder / "x", 100) == b"a secret"
    else:
        with pytest.raises(InputError, match=f"{told}name another"), durable.explained("read x"):
            read_named(folder / "x")


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full"])
def test_a_device_is_never_opened(device: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "x").symlink_to(device)
    monkeypatch.setattr(os, "open", lambda *_, **__: pytest.fail("it was opened"))
    for path in (Path(device), folder / "x"):
        with pytest.raises(OtherKindError, match="a device"):
            read_named(path)


@pytest.mark.parametrize("kind", ["a FIFO", "a socket"])
def test_what_takes_a_name_between_the_look_and_the_opening_is_refused_too(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(kind, folder / "aside")
    look = os.stat

    def looked(path: Any, **options: Any) -> os.stat_result:
        found: os.stat_result = look(path, **options)
        if path == os.fspath(folder / "a") and "aside" in os.listdir(folder):
            os.rename(folder / "aside", folder / "a")
        return found

    monkeypatch.setattr(os, "stat", looked)
    with pytest.raises(OSError, match=f"{kind}|No such device"):
        read(folder / "a")


def test_nothing_below_a_folder_is_reached_by_a_link_but_the_folder_itself(folder: Path) -> None:
    listed = Below.of(folder / "sub" / "b", folder)
    assert read(listed) == b"below it"
    os.rename(folder / "sub", folder / "old")
    (folder / "sub").symlink_to(folder.parent / "elsewhere")
    assert Path(listed).read_bytes() == b"a secret", "that is what the name means now"
    with pytest.raises(OSError, match="a link in the place of a folder"):
        read(listed)
    (folder.parent / "link").symlink_to(folder)
    assert read(Below.of(folder.parent / "link" / "a", folder.parent / "link")) == b"in the folder"
    for path in (folder / ".." / "elsewhere" / "b", folder / "old" / ".." / ".." / "elsewhere" / "b"):
        with pytest.raises(OtherKindError, match="a path that leaves its folder"):
            read(Below.of(path, folder))


def test_a_link_in_the_last_part_is_refused_and_one_before_it_is_not_where_no_folder_was_listed(folder: Path) -> None:
    (folder / "link").symlink_to("sub")
    (folder / "c").symlink_to("a")
    assert read(folder / "link" / "b") == b"below it"
    with pytest.raises(OtherKindError, match="a link"):
        read(folder / "c")


def test_without_folders_descriptors_links_are_refused_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_HAS_DIR_FD", False)
    listed, top = Below.of(folder / "sub" / "b", folder), Below.of(folder / "a", folder)
    assert (read(listed), read(top)) == (b"below it", b"in the folder")
    node = Node.of(os.stat(top))
    os.rename(folder / "sub", folder / "old")
    (folder / "sub").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(OtherKindError, match="a link in the place of a folder"):
        read(listed)
    assert opening.remove(top, node) and not top.exists()


def test_where_the_system_has_no_flag_against_links_the_file_is_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_NO_LINK", 0)
    assert read(folder / "a") == b"in the folder"
    real = os.open

    def swapped(name: str, flags: int, dir_fd: int | None = None) -> int:
        os.rename(folder / "sub" / "b", folder / "a")
        return real(name, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(OtherKindError, match="another file than a moment before"):
        read(folder / "a")


def test_no_more_is_read_than_was_asked_for(folder: Path) -> None:
    os.truncate(folder / "a", 20 << 30)
    assert len(read(folder / "a", (1 << 20) + 1)) == (1 << 20) + 1
    assert read(folder / "a", 0) == b""


def test_descriptors_are_closed_whatever_happens(folder: Path) -> None:
    os.mkfifo(folder / "sub" / "pipe")
    before = os.listdir("/proc/self/fd")
    assert read(Below.of(folder / "sub" / "b", folder)) == b"below it"
    for name in ("pipe", "none"):
        with pytest.raises(OSError):
            read(Below.of(folder / "sub" / name, folder))
    assert os.listdir("/proc/self/fd") == before


def test_a_digest_is_of_all_bytes_and_of_what_was_read(folder: Path) -> None:
    with opening.opened(folder / "a") as descriptor:
        opening.read(descriptor, 3)
        found = opening.sha256_of(descriptor)
    assert FileBytes(folder / "a", b"in the folder", Node(0, 0, 0, 0, 0)).sha256 == found


def test_only_the_file_that_was_opened_is_deleted(folder: Path) -> None:
    listed = Below.of(folder / "sub" / "b", folder)
    node = Node.of(os.stat(listed))
    for name in ("number", "device", "bytes", "changed_ns"):
        assert not opening.remove(listed, node._replace(**{name: 1}))
    assert opening.remove(listed, node._replace(touched_ns=0)), "a second name changes that"
    assert not listed.exists()
    assert not opening.remove(listed, node)


def test_a_file_outside_is_not_deleted_by_a_folder_that_became_a_link(folder: Path) -> None:
    listed = Below.of(folder / "sub" / "b", folder)
    secret = folder.parent / "elsewhere" / "b"
    os.rename(folder / "sub", folder / "old")
    (folder / "sub").symlink_to(secret.parent)
    assert not opening.remove(listed, Node.of(os.stat(secret))), "not even were it the file that was opened"
    assert secret.read_bytes() == b"a secret"


def test_a_link_to_what_was_opened_goes_and_its_target_stays(folder: Path) -> None:
    (folder / "link").symlink_to("a")
    node = Node.of(os.stat(folder / "a"))
    assert not opening.remove(Below.of(folder / "link", folder), Node.of(os.stat(folder / "sub" / "b")))
    assert opening.remove(Below.of(folder / "link", folder), node)
    assert not (folder / "link").is_symlink()
    assert (folder / "a").exists()


def test_paths_made_from_one_below_a_folder_are_plain(folder: Path) -> None:
    listed = Below.of(folder / "sub" / "b", folder)
    assert listed == folder / "sub" / "b" and hash(listed) == hash(folder / "sub" / "b")
    for made in (listed.parent, listed.parent / "c", listed.with_name("d")):
        assert getattr(made, "folder", None) is None
