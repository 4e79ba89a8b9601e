"""A store in a plain folder: a shared mount, a synchronised folder, a USB stick. Objects appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_nusa.errors import StoreError
from edge_nusa.files import durable
from edge_nusa.sync.stores.store import MissingObjectError, check_key

FILE_MODE, FOLDER_MODE = 0o644, 0o755
"""Less what the umask takes away: other users of a shared folder read what is in it."""
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class FolderStore:
    """The objects under `folder`. A missing folder is an error, so that nothing is written below a mount point
    without its mount."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def create(self) -> None:
        """Makes the folder; only a hub's `init` does."""
        try:
            _make_folder(self.folder)
        except OSError as error:
            raise _store_error(error, f"make {self.folder}") from error

    def list(self, prefix: str) -> list[str]:
        """`Store.list`; links and what is half-written are left out."""
        self._check_there()
        return sorted(_walk(self.folder / check_key(prefix), prefix))

    def get(self, key: str, most_bytes: int) -> bytes:
        """`Store.get`; only plain files are read, so nothing can block."""
        data = self.get_part(key, 0, most_bytes + 1)
        if len(data) > most_bytes:
            raise StoreError(
                f"{self.folder / key}: expected at most {most_bytes} bytes, found more; someone else writes to this "
                "store"
            )
        return data

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        """`Store.get_part`."""
        path = self.folder / check_key(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MissingObjectError(
                f"{path}: expected an object of the store, found none; wait until the folder is synchronised, or push "
                "again"
            ) from error
        except OSError as error:
            raise _store_error(error, f"read {path}") from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"{path}: expected a plain file, found something else; remove it from the store")
            return _read(descriptor, start, most_bytes)
        except OSError as error:
            raise _store_error(error, f"read {path}") from error
        finally:
            os.close(descriptor)

    def put_new(self, key: str, data: bytes) -> bool:
        """`Store.put_new`: written under a temporary name, synced, linked to its name, and the folder synced."""
        self._check_there()
        path = self.folder / check_key(key)
        temporary = path.parent / durable.temporary_name()
        try:
            _make_folder(path.parent)
            if path.exists():
                return False
            try:
                durable.write_file(temporary, data, FILE_MODE)
                is_new = _link(temporary, path)
            finally:
                with suppress(OSError):
                    os.unlink(temporary)
            durable.sync_folder(path.parent)
            return is_new
        except OSError as error:
            raise _store_error(error, f"write {path}") from error

    def head(self, key: str) -> int | None:
        """`Store.head`."""
        try:
            found = os.lstat(self.folder / check_key(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _store_error(error, f"look at {key}") from error
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _check_there(self) -> None:
        if not self.folder.is_dir():
            raise StoreError(
                f"{self.folder}: expected the folder of a fleet's store, found none; mount it, or make one with "
                "`edge-nusa hub init`"
            )


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    """The keys of the plain files under a folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                key = f"{prefix}/{entry.name}"
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(folder / entry.name, key)
                elif entry.is_file(follow_symlinks=False):
                    yield key
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _store_error(error, f"list {folder}") from error


def _store_error(error: OSError, doing: str) -> StoreError:
    found = f"{doing}: expected the store to do it, found {error.strerror or error!s}"
    return StoreError(f"{found}; check that the folder is mounted, has room and may be written to, and run it again")


def _read(descriptor: int, start: int, most_bytes: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    parts = []
    while most_bytes > 0 and (part := os.read(descriptor, min(most_bytes, 1 << 20))):
        parts.append(part)
        most_bytes -= len(part)
    return b"".join(parts)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make_folder(folder.parent)
    with suppress(FileExistsError):
        os.mkdir(folder, FOLDER_MODE)
    durable.sync_folder(folder.parent)


def _link(temporary: Path, path: Path) -> bool:
    """Gives the file its name if that is free. File systems without hard links (exFAT) look first and rename: two
    writers of one key at the same moment could both believe that they were first, so keys are named after what is in
    them."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if path.exists():
            return False
        os.rename(temporary, path)
    return True
