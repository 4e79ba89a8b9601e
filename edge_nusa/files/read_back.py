"""Small files that are kept only once their own reader has taken them: what a writer puts down and no reader takes
would end whoever needs it, later and for good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files import durable


def keep_file(path: Path, data: bytes, read: Callable[[bytes], object]) -> None:
    """Replaces `path` as `durable.replace_file` does, for this user only. read: the file's own reader, given what is
    on the disk.

    Raises InputError where that raises DamagedError; what was there stays.
    """

    def check(written: Path) -> None:
        try:
            read(durable.read_at_most(written, len(data) + 1))
        except DamagedError as error:
            raise InputError(
                f"write {path}: expected to write what can be read again, found that it cannot; nothing is changed: "
                f"{error}"
            ) from error

    durable.replace_file(path, data, check=check)
