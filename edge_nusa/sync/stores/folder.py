"""A store in a plain folder: a shared mount, a synchronised folder, a USB stick. Objects appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_nusa.errors import StoreError
from edge_nusa.files import durable, opening
from edge_nusa.files.opening import Below
from edge_nusa.files.os_errors import OtherKindError
from edge_nusa.sync.stores.store import MissingObjectError, check_key

FILE_MODE, FOLDER_MODE = 0o644, 0o755
"""Less what the umask takes away: other users of a shared folder read what is in it."""
LEFT_SECONDS = 86_400
"""A half-written file that is older is nobody's any more: the slowest line sends the largest update in less."""
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
        return sorted(self._walk(check_key(prefix)))

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
        path = self._place(key)
        try:
            with opening.opened(path) as descriptor:
                os.lseek(descriptor, start, os.SEEK_SET)
                return opening.read(descriptor, most_bytes)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MissingObjectError(
                f"{path}: expected an object of the store, found none; wait until the folder is synchronised, or push "
                "again"
            ) from error
        except OtherKindError as error:
            raise StoreError(f"{path}: expected a plain file, found {error.found}; remove it from the store") from error
        except OSError as error:
            raise _store_error(error, f"read {path}") from error

    def put_new(self, key: str, data: bytes) -> bool:
        """`Store.put_new`: written under a temporary name, synced, linked to its name, and the folder synced."""
        self._check_there()
        path = self._place(key)
        try:
            durable.make_folders_below(path, FOLDER_MODE)
            with opening.holder(path) as (folder, name):
                return _put(name, data, folder)
        except OSError as error:
            raise _store_error(error, f"write {path}") from error

    def head(self, key: str) -> int | None:
        """`Store.head`."""
        try:
            with opening.holder(self._place(key)) as (folder, name):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError, OtherKindError):
            return None
        except OSError as error:
            raise _store_error(error, f"look at {key}") from error
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _place(self, key: str) -> Below:
        return Below.of(self.folder / check_key(key), self.folder)

    def _walk(self, prefix: str) -> Iterator[str]:
        """The keys of the plain files under a folder of the store."""
        try:
            with opening.listing(Below.of(self.folder / prefix, self.folder)) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._walk(f"{prefix}/{entry.name}")
                    elif entry.is_file(follow_symlinks=False):
                        yield f"{prefix}/{entry.name}"
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _store_error(error, f"list {self.folder / prefix}") from error

    def _check_there(self) -> None:
        if not self.folder.is_dir():
            raise StoreError(
                f"{self.folder}: expected the folder of a fleet's store, found none; mount it, or name where it is now "
                "(`edge-nusa sync set-store`, on a hub `edge-nusa hub set-store`)"
            )


def _store_error(error: OSError, doing: str) -> StoreError:
    found = f"{doing}: expected the store to do it, found {error.strerror or error!s}"
    return StoreError(f"{found}; check that the folder is mounted, has room and may be written to, and run it again")


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make_folder(folder.parent)
    with suppress(FileExistsError):
        os.mkdir(folder, FOLDER_MODE)
    durable.sync_folder(folder.parent)


def _put(name: str, data: bytes, folder: int | None) -> bool:
    """Writes a new file in an opened folder; False where there is one of that name."""
    if _is_there(name, folder):
        return False
    temporary = os.path.join(os.path.dirname(name), durable.temporary_name())
    try:
        durable.write_file(temporary, data, FILE_MODE, folder)
        _sweep(folder, os.path.dirname(name), os.stat(temporary, dir_fd=folder).st_mtime)
        is_new = _link(temporary, name, folder)
    finally:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
    durable.sync_folder(os.path.dirname(name) or ".", folder)
    return is_new


def _sweep(folder: int | None, place: str, now: float) -> None:
    """Remove, as far as the store allows, what killed writers left half-written beside it; now: the store's own
    clock."""
    with suppress(OSError):
        opened = os.open(place or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            for name in os.listdir(opened):
                with suppress(OSError):
                    found = os.stat(name, dir_fd=opened, follow_symlinks=False)
                    is_left = name.startswith(durable.TEMPORARY_PREFIX) and stat.S_ISREG(found.st_mode)
                    if is_left and now - found.st_mtime > LEFT_SECONDS:
                        os.unlink(name, dir_fd=opened)
        finally:
            os.close(opened)


def _is_there(name: str, folder: int | None) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _link(temporary: str, name: str, folder: int | None) -> bool:
    """Gives the file its name if that is free. File systems without hard links (exFAT) look first and rename: two
    writers of one key at the same moment could both believe that they were first, so keys are named after what is in
    them."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if _is_there(name, folder):
            return False
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    return True
