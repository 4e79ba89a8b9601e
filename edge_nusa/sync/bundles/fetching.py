"""Fetches a bundle's files out of a store into a folder, in pieces that stay there when it is cut off.

What is there of a file is looked at part by part before it goes on; a part that is not what was signed is fetched once
more where something old was in it, and refused otherwise. At most a part is in memory at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_nusa.errors import StoreError, TrustError
from edge_nusa.files import durable, opening
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.sync.bundles.index import PART_BYTES, Entry, Index, part_key
from edge_nusa.sync.bundles.progress import Progress, Told
from edge_nusa.sync.stores.store import Store

FIRST_PIECE_BYTES = 1 << 18
"""What a line of two KB a second brings before a store's request is given up."""
QUICK_SECONDS = 4.0
"""Of a piece after which the next one is twice as large: far from the 120 s in which a request is given up."""


class Pace:
    """How many bytes are asked for at once: little at first, more where they come quickly."""

    def __init__(self) -> None:
        self.bytes = FIRST_PIECE_BYTES

    def took(self, seconds: float) -> None:
        """A piece came in so long."""
        if seconds < QUICK_SECONDS:
            self.bytes = min(2 * self.bytes, PART_BYTES)


def fetch(store: Store, index: Index, folder: Path, told: Told) -> None:
    """All files of a bundle into a folder of ours, where some of them may be in part; each synced. Raises StoreError,
    TrustError for bytes that were not signed, ResourceError for the disk."""
    pace, progress = Pace(), Progress(index.bytes, told)
    with durable.explained(f"write {folder}"):
        durable.make_folder(folder, durable.ASKED_FOLDER_MODE)
        for name, entry in index.files.items():
            with _opened(folder / name) as descriptor:
                _File(store, name, entry, descriptor, pace, progress).fetch()
        durable.sync_folder(folder)


def missing_bytes(index: Index, folder: Path) -> int:
    """How many bytes of a bundle are not in a folder yet, by the sizes of what is there."""
    there = 0
    for name, entry in index.files.items():
        try:
            there += min(os.stat(folder / name, follow_symlinks=False).st_size, entry.bytes)
        except OSError:
            continue
    return index.bytes - there


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with opening.opened_to_change(path, flags, durable.ASKED_FILE_MODE) as descriptor:
        yield descriptor


class _File:
    """One file on its way: parts that are whole stay, what follows them is fetched."""

    def __init__(self, store: Store, name: str, entry: Entry, descriptor: int, pace: Pace, progress: Progress) -> None:
        self.store, self.name, self.entry, self.descriptor = store, name, entry, descriptor
        self.pace, self.progress = pace, progress

    def fetch(self) -> None:
        """Bring what is missing, and sync it."""
        for place, sha256 in enumerate(self.entry.parts):
            start, size = place * PART_BYTES, self.entry.size_of(place)
            os.lseek(self.descriptor, start, os.SEEK_SET)
            here = opening.read(self.descriptor, size)
            self.progress.add(len(here))
            if sha256_hex(here) != sha256:
                self._part(start, size, sha256, here)
        os.ftruncate(self.descriptor, self.entry.bytes)
        os.fsync(self.descriptor)

    def _part(self, start: int, size: int, sha256: str, here: bytes) -> None:
        """A part of which the first bytes may be here."""
        if len(here) == size:  # whole, and wrong: what was kept never was whole on the disk
            self.progress.add(-size)
            here = b""
        found = self._rest(start, size, sha256, here)
        if here and sha256_hex(found) != sha256:
            self.progress.add(-size)
            found = self._rest(start, size, sha256, b"")
        if sha256_hex(found) != sha256:
            self.progress.add(-size)
            os.ftruncate(self.descriptor, start)
            raise TrustError(
                f"{self.name}: {part_key(sha256)}: expected the bytes that the hub signed, found others; nothing was "
                "taken: ask who writes to this store"
            )

    def _rest(self, start: int, size: int, sha256: str, here: bytes) -> bytes:
        """The part's bytes, of which those beyond `here` are fetched and written."""
        os.ftruncate(self.descriptor, start + len(here))
        pieces, have = [here], len(here)
        while have < size:
            began = time.monotonic()
            piece = self.store.get_part(part_key(sha256), have, min(self.pace.bytes, size - have))
            if not piece or have + len(piece) > size:
                raise StoreError(
                    f"{part_key(sha256)}: expected {size} bytes, found {'more' if piece else have}; someone else "
                    "writes to this store, or it is not synchronised"
                )
            durable.write_at(self.descriptor, piece, start + have)
            self.pace.took(time.monotonic() - began)
            pieces.append(piece)
            have += len(piece)
            self.progress.add(len(piece))
        return b"".join(pieces)
