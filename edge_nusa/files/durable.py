"""Files that survive a killed process and a power cut: written, synced, renamed; the disk's errors said in words.

Every call that changes the disk is written `os.x(...)`, so that the tests can kill or fail each of them.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.files import opening, os_errors
from edge_nusa.files.opening import Below
from edge_nusa.files.os_errors import OtherKindError

TEMPORARY_PREFIX = ".tmp-"
FOLDER_MODE = 0o700
FILE_MODE = 0o600
ASKED_FOLDER_MODE, ASKED_FILE_MODE = 0o777, 0o666
"""Of what a user asked for by `--out`: the system takes away what the umask says. State and keys are this user's
alone."""

_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP}


def storage_error(error: OSError, doing: str) -> EdgeNusaError:
    """The error of ours that says what the system refused while `doing`, and what to do next (`os_errors`)."""
    return os_errors.explain(error, doing)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns an OSError of the block into an EdgeNusaError. Raises ResourceError, InputError or DamagedError."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, doing) from error


def temporary_name() -> str:
    """A new name that `remove_leftovers` recognises if this process is killed."""
    return f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


def sync_folder(folder: Path | str, within: int | None = None) -> None:
    """Makes the names in `folder` durable; file systems that cannot sync a folder (some FUSE, exFAT) are left at
    that. within: the descriptor of the folder that a relative name is below."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=within)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int = FOLDER_MODE) -> None:
    """Creates `folder` and its missing parents, by itself for this user only, each synced into its parent."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent, mode)
    try:
        os.mkdir(folder, mode)
    except FileExistsError:
        if not folder.is_dir():
            raise
    sync_folder(folder.parent)


def read_at_most(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file of ours; ask for one more than expected to see that a file is too long.

    Raises OSError, also for what is no regular file (`opening.opened`).
    """
    with opening.opened(path) as descriptor:
        return opening.read(descriptor, limit)


def read_named(path: Path, limit: int) -> bytes:
    """The same of a file that a person named, whose name may be a link."""
    with opening.opened_named(path) as descriptor:
        return opening.read(descriptor, limit)


def make_folders_below(path: Below, mode: int) -> None:
    """Creates what is missing of the folders that hold `path`, each synced into its own; no link is followed."""
    root = path.folder
    assert root is not None
    for folder in reversed(path.relative_to(root).parents[:-1]):
        with opening.holder(Below.of(root / folder, root)) as (within, name):
            try:
                os.stat(name, dir_fd=within, follow_symlinks=False)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.mkdir(name, mode, dir_fd=within)
                sync_folder(os.path.dirname(name) or ".", within)


def write_file(path: Path | str, data: bytes, mode: int = FILE_MODE, within: int | None = None) -> None:
    """Writes and syncs a new file, for this user only by itself. The name is durable once its folder is synced.
    within: the descriptor of the folder that a relative name is below."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=within)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_file(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Adds to the end of a regular file, which is made where it is not there; not synced."""
    with opening.opened_to_change(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, mode) as descriptor:
        _write_all(descriptor, data)


def write_at(descriptor: int, data: bytes, place: int) -> None:
    """Writes into an opened file from a byte on; not synced."""
    os.lseek(descriptor, place, os.SEEK_SET)
    _write_all(descriptor, data)


def _write_all(descriptor: int, data: bytes) -> None:
    """A system may take less than it was given at once."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes a new folder with these files, all synced."""
    os.mkdir(folder, FOLDER_MODE)
    for name, data in files.items():
        write_file(folder / name, data)
    sync_folder(folder)


def replace_file(path: Path, data: bytes, mode: int = FILE_MODE, check: Callable[[Path], None] | None = None) -> None:
    """Replaces `path`: whoever reads it, even after a power cut, finds the old bytes or the new ones. check: asked of
    the file that is about to take the name; what it raises leaves the old one."""
    temporary = path.parent / temporary_name()
    try:
        write_file(temporary, data, mode)
        if check is not None:
            check(temporary)
        os.replace(temporary, path)
    except (OSError, EdgeNusaError):
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def write_asked(path: Path, data: bytes) -> None:
    """Writes the file that a user asked for: by the umask, through a link, and straight into a pipe or a terminal
    (`/dev/stdout`), which stays what it is.

    Raises InputError where its folder is missing or may not be written, where it is a folder, a socket or a disk, or a
    pipe that nobody reads, ResourceError or DamagedError where the disk refuses.
    """
    with explained(f"write {path}"):
        target = Path(os.path.realpath(path))
        found = opening.mode_of(path)
        if found is not None and not stat.S_ISREG(found):
            _write_through(path, found, data)
            return
        if not target.parent.is_dir():
            raise InputError(
                f"write {path}: expected its folder to be there, found none; make it with `mkdir -p`, or choose "
                "another place"
            )
        replace_file(target, data, ASKED_FILE_MODE)


def _write_through(path: Path, mode: int, data: bytes) -> None:
    """Into a pipe that someone reads, or a device of characters; a disk's content is never written over."""
    if not stat.S_ISFIFO(mode) and not stat.S_ISCHR(mode):
        raise OtherKindError(opening.kind_of(mode) or "", path, InputError)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise InputError(
            f"write {path}: expected someone to read from it, found nobody; start its reader first, or name a file"
        ) from error
    try:
        if stat.S_IFMT(os.fstat(descriptor).st_mode) != stat.S_IFMT(mode):
            raise OtherKindError("another file than a moment before", path, InputError)
        os.set_blocking(descriptor, True)
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def discard(folder: Path) -> None:
    """Removes a folder as far as the disk allows; its name goes at once, so no reader meets half of it."""
    doomed = folder.parent / temporary_name()
    with suppress(OSError):
        os.rename(folder, doomed)
        _remove_tree(doomed)


def remove_leftovers(folder: Path) -> None:
    """Removes, as far as the disk allows, what killed processes left half-written in `folder`. Call it under the
    lock."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(TEMPORARY_PREFIX):
                _remove(folder / name)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            _remove_tree(path)
        else:
            os.unlink(path)


def _remove_tree(folder: Path) -> None:
    """Removes a folder as far as the disk allows. Folders inside it are first moved beside it, under names that
    `remove_leftovers` recognises: however deep they are nested, nothing recurses and no path grows too long."""
    waiting = [folder]
    while waiting:
        doomed = waiting.pop()
        with suppress(OSError):
            for name in os.listdir(doomed):
                _empty(doomed / name, folder.parent / temporary_name(), waiting)
            os.rmdir(doomed)


def _empty(entry: Path, beside: Path, waiting: list[Path]) -> None:
    with suppress(OSError):
        if entry.is_dir() and not entry.is_symlink():
            os.rename(entry, beside)
            waiting.append(beside)
        else:
            os.unlink(entry)
