"""Compares a bundle's file with what its manifest records of it."""

from __future__ import annotations

import os
from pathlib import Path

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError
from edge_nusa.files import opening
from edge_nusa.files.file_record import FileRecord
from edge_nusa.files.os_errors import OtherKindError


def not_plain(path: Path, error: OtherKindError) -> EdgeNusaError:
    """The error for a link, which a person made, or a folder or pipe, which was never exported."""
    expected = f"{path}: expected a plain file inside the bundle, found {error.found}"
    if error.found == opening.LINK:
        return InputError(f"{expected}; copy the bundle with `cp -rL`, which copies what links point to")
    return DamagedError(f"{expected}; copy the bundle again")


def verify_file(folder: Path, name: str, record: FileRecord) -> None:
    """Compare a file's size, then its SHA-256, with its record. Raises DamagedError naming the file."""
    path = folder / name
    try:
        if Path(name).name != name:
            raise FileNotFoundError
        with opening.opened(path) as descriptor:
            size = os.fstat(descriptor).st_size
            found = opening.sha256_of(descriptor) if size == record.bytes else ""
    except OtherKindError as error:
        raise not_plain(path, error) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedError(
            f"{path}: expected a plain file inside the bundle, found none; copy the bundle again"
        ) from error
    if size != record.bytes:
        raise DamagedError(f"{path}: expected {record.bytes} bytes, found {size}; copy the bundle again")
    if found != record.sha256:
        raise DamagedError(
            f"{path}: expected SHA-256 {record.sha256[:16]}..., found {found[:16]}...; copy the bundle again"
        )
