"""The one way to the bytes of a file that has a name: opened once, without waiting, and only where it is a regular
file.

A name may mean another file at the next look: a pipe that nobody writes to, a device that never ends, a link to a file
elsewhere. So a file is opened by its descriptor, looked at through it, read within a bound, and whatever is done with
it later (decoded, digested, copied, deleted) is done with what was opened (`Node`). Who may give which name:
- `opened` of a `Below` follows no link in any part below its folder: of a folder that others write to, and the state.
- `opened` of any other path follows no link in its last part: of our own folders, which may be reached by a link.
- `opened_named` follows links: of a file that a person named on the command line, which may be a link of theirs.
Where a system cannot open by a folder's descriptor (Windows), names are compared before and after instead.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError
from edge_nusa.files.node import Node
from edge_nusa.files.os_errors import OtherKindError

if sys.platform == "win32":
    from pathlib import WindowsPath as _OwnPath
else:
    from pathlib import PosixPath as _OwnPath

READ_BYTES = 1 << 20
LINK, LINKED_FOLDER = "a link", "a link in the place of a folder"
_HAS_DIR_FD = {os.open, os.stat, os.unlink, os.mkdir, os.link} <= os.supports_dir_fd and os.scandir in os.supports_fd
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_READS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Opening a pipe or a device must not wait, should one have taken the name since it was looked at."""
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_ON_THE_WAY = getattr(os, "O_PATH", 0)
"""A folder that may be entered and not listed can be passed through."""


class Below(_OwnPath):
    """A path with the folder that it was found in, from which it is opened without following a link. Paths made from
    it (its parent and so on) are plain ones."""

    folder: Path | None = None

    @classmethod
    def of(cls, path: Path, folder: Path) -> Self:
        """`path`, which starts with `folder`."""
        made = cls(path)
        made.folder = folder
        return made


def kind_of(mode: int) -> str | None:
    """None for a regular file's mode, else what it is, in words."""
    if stat.S_ISREG(mode):
        return None
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISLNK, LINK))
    return next((kind for test, kind in kinds if test(mode)), "a device")


def mode_of(path: Path) -> int | None:
    """The mode of what a name is of, links followed; None where it is of nothing."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def check_name(path: Path, meant: type[EdgeNusaError] = InputError) -> None:
    """For a library that opens by name: raises OtherKindError where the name is of something else than a regular file
    or nothing."""
    mode = mode_of(path)
    if mode is not None:
        _check_kind(mode, path, meant)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of a regular file, for reading; the module's docstring says which links are followed.

    Raises OtherKindError where it is something else, OSError or ValueError where it cannot be opened.
    """
    with holder(path) as (folder, name):
        looked = os.stat(name, dir_fd=folder, follow_symlinks=False)
        descriptor = _open(path, name, folder, _NO_LINK, looked)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_named(path: Path) -> Iterator[int]:
    """The same of a file that a person named, whose name may be a link. Raises what `opened` raises."""
    _check_kind(os.stat(path).st_mode, path, InputError)
    with _regular(os.open(path, _READS | _AT_ONCE), path) as descriptor:
        yield descriptor


@contextmanager
def _regular(descriptor: int, path: Path) -> Iterator[int]:
    """A descriptor that is closed at the end. Raises OtherKindError where it is no regular file's."""
    try:
        _check_kind(os.fstat(descriptor).st_mode, path, InputError)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_to_change(path: Path, flags: int, mode: int) -> Iterator[int]:
    """The descriptor of a regular file, to be written to with these flags of `os.open` and made with this mode where
    they say so. Its name may be a link. Raises what `opened` raises."""
    check_name(path)
    with _regular(os.open(path, flags | _AT_ONCE | getattr(os, "O_CLOEXEC", 0), mode), path) as descriptor:
        yield descriptor


@contextmanager
def listing(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    """What is in a folder; of one that is `Below` another, reached without following a link. Only the entries' names
    and kinds mean anything, not their paths. Raises OSError."""
    with holder(folder) as (within, name), ExitStack() as stack:
        place: str | int = name
        if within is not None:
            place = stack.enter_context(_folder(name, within, _READS | _NO_LINK))
        yield stack.enter_context(os.scandir(place))


def read(descriptor: int, limit: int) -> bytes:
    """The next `limit` bytes of an opened file, or all there are; no more memory than they take."""
    parts = []
    while limit > 0 and (part := os.read(descriptor, min(limit, READ_BYTES))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def sha256_of(descriptor: int) -> str:
    """SHA-256 in lower-case hex of an opened file from its beginning, which is never in memory as a whole."""
    digest = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while part := os.read(descriptor, READ_BYTES):
        digest.update(part)
    return digest.hexdigest()


def remove(path: Path, node: Node) -> bool:
    """Delete the name of a file, where that is still the file that was opened, or a link to it; whether it was.

    Raises OSError where the folder does not let go of it.
    """
    try:
        with holder(path) as (folder, name):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                status = os.stat(name, dir_fd=folder)
            if not Node.of(status).is_like(node):
                return False
            os.unlink(name, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError, OtherKindError):
        return False
    return True


@contextmanager
def holder(path: Path) -> Iterator[tuple[int | None, str]]:
    """The descriptor of the folder that holds a file, and its name there, for calls that take `dir_fd`; of a path that
    is not `Below` a folder, or where the system has no such descriptors, None and the whole path."""
    root = path.folder if isinstance(path, Below) else None
    if root is None:
        yield None, os.fspath(path)
        return
    *folders, name = path.relative_to(root).parts
    if ".." in folders:
        raise OtherKindError("a path that leaves its folder", path)
    if not _HAS_DIR_FD:
        if Path(os.path.realpath(path.parent)) != Path(os.path.realpath(root), *folders):
            raise OtherKindError(LINKED_FOLDER, path)
        yield None, os.fspath(path)
        return
    with ExitStack() as stack:
        at = stack.enter_context(_folder(os.fspath(root), None, _ON_THE_WAY))
        for folder in folders:
            at = stack.enter_context(_folder(folder, at, _ON_THE_WAY | _NO_LINK))
        yield at, name


@contextmanager
def _folder(name: str, within: int | None, flags: int) -> Iterator[int]:
    try:
        descriptor = os.open(name, flags | _FOLDER, dir_fd=within)
    except NotADirectoryError:
        if within is not None and stat.S_ISLNK(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode):
            raise OtherKindError(LINKED_FOLDER, name) from None
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: Path, name: str, folder: int | None, flags: int, looked: os.stat_result) -> int:
    """A descriptor of a regular file that was looked at before, as opening alone may start a device."""
    _check_kind(looked.st_mode, path)
    descriptor = os.open(name, _READS | _AT_ONCE | flags, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        _check_kind(found.st_mode, path)
        if not _NO_LINK and not os.path.samestat(looked, found):
            raise OtherKindError("another file than a moment before", path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_kind(mode: int, path: Path, meant: type[EdgeNusaError] = DamagedError) -> None:
    found = kind_of(mode)
    if found is not None:
        raise OtherKindError(found, path, meant)
