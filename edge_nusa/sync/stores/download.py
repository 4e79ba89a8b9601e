"""Fetches a large object in parts that are kept, so that a cut line or a killed process costs one part and not all.

    FOLDER/SHA256.part    the first bytes of the object of that SHA-256, as far as they came

Nothing here is synced to disk or trusted: what the parts make is checked as a whole against the SHA-256 that was
vouched for.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_nusa.errors import StoreError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.sync.stores.store import Store

PART_BYTES = 1 << 18
"""What a line of two KB a second brings before a store's request is given up."""


@dataclass(frozen=True)
class Wanted:
    """An object by its key, its SHA-256 in hex and its size in bytes, as they were vouched for."""

    key: str
    sha256: str
    size: int


def fetch(store: Store, wanted: Wanted, folder: Path) -> bytes:
    """The object's bytes, some of them perhaps from an earlier try, or others where the store holds others.

    Small objects come at once. Raises StoreError where the store does not answer or has fewer or more bytes; what came
    is kept.
    """
    if wanted.size <= PART_BYTES:
        return store.get(wanted.key, wanted.size)
    path = folder / f"{wanted.sha256}.part"
    with durable.explained(f"keep parts in {folder}"):
        durable.make_folder(folder)
        _remove_others(path)
        kept = _kept(path, wanted.size)
    data = _fetched(store, wanted, path, kept)
    if kept and sha256_hex(data) != wanted.sha256:  # what was kept never was whole on the disk, or was another's
        _remove(path)
        data = _fetched(store, wanted, path, b"")
    if sha256_hex(data) != wanted.sha256:
        _remove(path)
    return data


def discard(folder: Path) -> None:
    """Remove, as far as the disk allows, all parts: the object is kept elsewhere now."""
    _remove_others(folder / "none")


def _fetched(store: Store, wanted: Wanted, path: Path, kept: bytes) -> bytes:
    parts, size = [kept], len(kept)
    while size < wanted.size:
        # a byte more than is wanted is asked for at the end, to see that there is none
        part = store.get_part(wanted.key, size, min(PART_BYTES, wanted.size + 1 - size))
        size += len(part)
        if not part or size > wanted.size:
            raise StoreError(
                f"{wanted.key}: expected {wanted.size} bytes, found {'more' if part else size}; someone else writes to "
                "this store, or it is not synchronised"
            )
        with durable.explained(f"write {path}"):
            durable.append_file(path, part)
        parts.append(part)
    return b"".join(parts)


def _kept(path: Path, size: int) -> bytes:
    try:
        found = durable.read_at_most(path, size + 1)
    except FileNotFoundError:
        return b""
    if len(found) <= size:
        return found
    _remove(path)
    return b""


def _remove_others(path: Path) -> None:
    with suppress(OSError):
        for other in path.parent.iterdir():
            if other != path:
                _remove(other)


def _remove(path: Path) -> None:
    with suppress(OSError):
        os.unlink(path)
