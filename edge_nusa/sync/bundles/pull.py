"""Pulling a bundle: into a folder beside the one it is to be, proved, and renamed; what is there already stays.

PARENT/.NAME.pull/          of ours, as long as a pull of PARENT/NAME is not done
    lock                    one pull at a time
    SHA256-of-the-index/    the files as far as they came
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_nusa import kept
from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, ResourceError, TrustError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.lock import Lock
from edge_nusa.model.bundle import MAX_MANIFEST_BYTES, Bundle, manifest_of
from edge_nusa.sync.bundles import fetching
from edge_nusa.sync.bundles.announced import Announced
from edge_nusa.sync.bundles.index import MANIFEST, Index
from edge_nusa.sync.bundles.progress import Told
from edge_nusa.sync.bundles.source import Source

SPARE_BYTES = 50 << 20
"""Of disk space that stays free for everything else."""


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A bundle that is here. folder; fetched_bytes: what was missing when this call began, 0 where it was
    here already."""

    name: str
    version: int
    model: str
    precision: str
    folder: str
    bytes: int
    fetched_bytes: int

    def to_json(self) -> dict[str, Any]:
        """What `pull --format json` prints."""
        return asdict(self)


def pull(source: Source, one: Announced, out: Path, told: Told, most_bytes: int | None = None) -> Pulled:
    """Bring a bundle into the folder `out`, which is not there yet, is empty, or holds that very bundle.

    Raises InputError where `out` holds anything else, ResourceError for more than `most_bytes` or the disk has room
    for, StoreError, TrustError, DamagedError; what came so far stays beside `out` for the next call.
    """
    out = Path(os.path.realpath(out))
    index = source.index(one)
    if _is_here(out, index):
        if _place_beside(out).exists():  # killed in the moment after the rename
            durable.discard(_place_beside(out))
        return _pulled(one, out, 0)
    with durable.explained(f"write beside {out}"), _beside(out) as beside:
        if _is_here(out, index):  # another pull was done between the first look and the lock
            return _pulled(one, out, 0)
        folder = beside / one.index
        _remove_others(beside, folder)
        missing = fetching.missing_bytes(index, folder)
        _check_room(one, beside, missing, most_bytes)
        fetching.fetch(source.timed(one.bytes), index, folder, told)
        _prove(folder, index, one)
        os.rename(folder, out)
        durable.sync_folder(out.parent)
        kept.done(f"the bundle {one.name}, version {one.version}, is in {out}")
    return _pulled(one, out, missing)


def _pulled(one: Announced, out: Path, fetched: int) -> Pulled:
    return Pulled(
        name=one.name,
        version=one.version,
        model=one.model,
        precision=one.precision,
        folder=str(out),
        bytes=one.bytes,
        fetched_bytes=fetched,
    )


def _is_here(out: Path, index: Index) -> bool:
    """Whether the folder holds the bundle, whole. Raises InputError where it holds something else, DamagedError."""
    try:
        there = os.listdir(out)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise durable.storage_error(error, f"look into {out}") from error
    if not there:
        return False
    try:
        manifest_of(out)
        with durable.explained(f"read {out / MANIFEST}"):
            sha256 = sha256_hex(durable.read_at_most(out / MANIFEST, MAX_MANIFEST_BYTES))
    except EdgeNusaError as error:
        raise InputError(
            f"{out}: expected an empty folder, or none, found one with other things in it; choose another --out"
        ) from error
    if sha256 != index.files[MANIFEST].sha256:
        raise InputError(
            f"{out}: expected no other bundle there, nor another version of this one, found one, which stays: what was "
            "taught over it needs it; choose another --out"
        )
    Bundle.open(out)
    return True


def _place_beside(out: Path) -> Path:
    return out.parent / f".{out.name}.pull"


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """The folder beside `out` for what is not done; gone at the end where all went well."""
    beside = _place_beside(out)
    durable.make_folder(out.parent, durable.ASKED_FOLDER_MODE)
    durable.make_folder(beside, durable.ASKED_FOLDER_MODE)
    lock = Lock(beside / "lock")
    if not lock.acquire():
        raise ResourceError(f"{out}: expected no other pull into it, found one running; wait for it to end")
    try:
        yield beside
        shutil.rmtree(beside, ignore_errors=True)
    finally:
        lock.release()


def _remove_others(beside: Path, folder: Path) -> None:
    """What is left of pulls of other versions."""
    for other in beside.iterdir():
        if other.is_dir() and not other.is_symlink() and other != folder:
            durable.discard(other)
    durable.remove_leftovers(beside)


def _check_room(one: Announced, beside: Path, missing: int, most_bytes: int | None) -> None:
    """Raises ResourceError where what is missing is more than was allowed, or than the disk has room for."""
    if most_bytes is not None and missing > most_bytes:
        raise ResourceError(
            f"{one.name}: expected at most {most_bytes} bytes (--max-bytes), found {missing} to fetch; allow more, or "
            "wait for a cheaper connection"
        )
    free = shutil.disk_usage(beside).free
    if missing + SPARE_BYTES > free:
        needed = (missing + SPARE_BYTES) >> 20
        raise ResourceError(
            f"{beside.parent}: expected {needed} MiB of free disk space for {one.name}, found {free >> 20}; free some, "
            "or choose another --out"
        )


def _prove(folder: Path, index: Index, one: Announced) -> None:
    """Open it as any bundle from outside. Raises TrustError where the hub announced another one, DamagedError where a
    file is not as exported; it then goes, as fetching it again brings nothing else."""
    try:
        manifest = Bundle.open(folder).manifest
        listed = {name: (record.bytes, record.sha256) for name, record in manifest.files.items()}
        found = {name: (entry.bytes, entry.sha256) for name, entry in index.files.items() if name != MANIFEST}
        if manifest.identity.sha256 != one.identity or listed != found:
            raise TrustError(
                f"{one.name}: expected the bundle that the hub announced, found another in its files; publish it again "
                "on the hub"
            )
    except (DamagedError, InputError, TrustError):
        durable.discard(folder)
        raise
