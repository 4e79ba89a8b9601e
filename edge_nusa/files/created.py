"""A file that whoever comes first makes, whole at once: of several machines that write to one shared folder at the same
moment exactly one succeeds, without a lock."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from edge_nusa.files import durable

NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


def create_file(path: Path, data: bytes) -> bool:
    """Writes `path` where there is none; whether it was made here. Readers find all of it or nothing. File systems
    without hard links (exFAT) look first and rename. Raises OSError."""
    temporary = path.parent / durable.temporary_name()
    try:
        durable.write_file(temporary, data)
        is_new = _is_linked(temporary, path)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
    durable.sync_folder(path.parent)
    return is_new


def _is_linked(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        # a network file system asks again where the first answer was lost, and then meets its own link
        return os.stat(temporary).st_nlink > 1
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        if path.exists():
            return False
        os.rename(temporary, path)
    return True
