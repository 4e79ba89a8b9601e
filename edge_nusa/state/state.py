"""The device's folder of generations: committing a new one, going back and forward; reading it is in
`reader.py`, where `undo` and `redo` lead to in `moves.py`.

    STATE/generations/000001/{files, manifest.json}   written whole under a temporary name, synced, then renamed
    STATE/CURRENT                                     the pointer; a generation is current once this names it
    STATE/lock                                        held by the one writer; readers never lock

Generation 0 is the empty state and has no folder. Numbers order generations; clocks never do. A lesson may be committed
twice: the second generation takes the place of the first, has its parent, and the first goes with the next pruning.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from edge_nusa import kept
from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError
from edge_nusa.files import durable
from edge_nusa.files.identity import Identity
from edge_nusa.files.lock import Lock, waited_for
from edge_nusa.state.generation import (
    EMPTY_POINTER,
    FORMAT_VERSION,
    GENERATIONS_KEPT,
    MANIFEST_NAME,
    Generation,
    Pointer,
    damaged,
    describe,
    folder_name,
    load_generation,
    pointer_to,
)
from edge_nusa.state.moves import Move, Moves

__all__ = ["FORMAT_VERSION", "GENERATIONS_KEPT", "Generation", "State"]

_log = logging.getLogger(__name__)


class State(Moves):
    """A state that can also be written: take `writer()`, then `commit`, `undo` or `redo`."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        super().__init__(folder, identity)
        self.identity: Identity = identity
        self._writer_thread: int | None = None

    @contextmanager
    def writer(self, timeout_seconds: float = 60) -> Iterator[None]:
        """Holds the state for writing; removes what killed writers left. Raises ResourceError when another keeps it."""
        if self._writer_thread == threading.get_ident():
            raise EdgeNusaError(
                f"{self.folder}: expected one writer() at a time, found one inside another; use the outer one"
            )
        with durable.explained(f"open {self.folder} for writing"):
            durable.make_folder(self._generations)
            lock = self._lock(timeout_seconds)
        try:
            self._writer_thread = threading.get_ident()
            durable.remove_leftovers(self.folder)
            durable.remove_leftovers(self._generations)
            yield
        finally:
            self._writer_thread = None
            with durable.explained(f"unlock {self.folder}"):
                lock.release()

    def commit(self, files: Mapping[str, bytes], operation: str, instead_of: Generation | None = None) -> Generation:
        """Makes these files the new current generation, then prunes. Call it inside writer().

        instead_of: the current generation, which the new one takes the place of, so that one `undo` goes back over
        both. An error leaves the old generation current. Raises InputError, DamagedError, ResourceError, EdgeNusaError.
        """
        self._require_writer("commit")
        records = describe(files)
        current = self.current()
        parent = self._parent_of_new(current, instead_of)
        number = max([current.number if current else 0, *self._numbers()]) + 1
        created = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
        folder = self._generations / folder_name(number)
        generation = Generation(
            number=number,
            folder=folder,
            parent=parent,
            operation=operation,
            created=created,
            identity=self.identity,
            files=records,
        )
        with durable.explained(f"commit generation {number}"):
            self._install(generation, files)
            clause = f"the {operation} is kept as generation {number}: do not run it again"
            (kept.done if instead_of is None else kept.done_instead)(clause)
        self._prune(number)
        return generation

    def _parent_of_new(self, current: Generation | None, instead_of: Generation | None) -> int:
        """The number that `undo` goes back to from the next generation."""
        if instead_of is None:
            return current.number if current else 0
        if current != instead_of:
            found = f"generation {current.number}" if current else "none"
            raise EdgeNusaError(
                f"{self.folder}: expected generation {instead_of.number} to be current, which is to be replaced, found "
                f"{found}; hold one writer() over both commits"
            )
        return instead_of.parent

    def undo(self, to: int | None = None) -> Generation | None:
        """Goes back to the parent of the current generation, or to the kept generation `to`; None (0) is the empty
        state. The one that it leaves stays until the next commit (`redo`). Call it inside writer().

        Where the current generation is damaged or cannot be read, goes to the newest readable older one and logs a
        warning that says so.
        Raises InputError (nothing to undo, or no such generation is kept), DamagedError (another bundle),
        OtherFormatError (another edge-nusa's state, which stays), ResourceError.
        """
        self._require_writer("undo")
        return self._moved(self._back(to), "undo")

    def redo(self) -> Generation:
        """Goes to the generation that the last undo left, where nothing was committed since. Call it inside writer().

        Raises InputError (nothing was undone, or it is gone or damaged), DamagedError, ResourceError.
        """
        self._require_writer("redo")
        found = self._moved(self._forward(), "redo")
        assert found is not None  # the empty state is left by no undo
        return found

    def _moved(self, move: Move, verb: str) -> Generation | None:
        number = move.pointer.generation
        with durable.explained(f"{verb} in {self.folder}"):
            self._point_to(move.pointer)
            kept.done(f"the {verb} is kept, generation {number} is current: do not run it again")
        if move.damage is not None:
            _log.warning("%s; undo went to generation %d, the newest readable one", move.damage, number)
        return move.target

    def _require_writer(self, verb: str) -> None:
        if self._writer_thread != threading.get_ident():
            raise EdgeNusaError(
                f"{self.folder}: expected {verb}() inside `with state.writer():`, found no lock held; take the lock "
                "first"
            )

    def _lock(self, timeout_seconds: float) -> Lock:
        lock = Lock(self.folder / "lock")

        def tell(holder: int | None) -> None:
            _log.warning(
                "waiting for %s, which changes %s; for at most %g s", waited_for(holder), self.folder, timeout_seconds
            )

        if not lock.acquire(timeout_seconds, tell):
            found = f"expected to write within {timeout_seconds:g} s, found {waited_for(lock.holder())} writing"
            raise ResourceError(f"{self.folder}: {found}; wait for it to end and run it again")
        return lock

    def _install(self, generation: Generation, files: Mapping[str, bytes]) -> None:
        temporary = self._generations / durable.temporary_name()
        try:
            durable.write_folder(temporary, {**files, MANIFEST_NAME: generation.manifest()})
            if self._pointer_bytes() is None:
                # Killed after the rename, a first commit would otherwise leave a generation without a pointer: damage.
                self._point_to(EMPTY_POINTER)
            os.rename(temporary, generation.folder)
            durable.sync_folder(self._generations)
            _check_written(generation)
            self._point_to(pointer_to(generation))
        except (OSError, EdgeNusaError):
            self._abandon(temporary, generation)
            raise

    def _abandon(self, temporary: Path, generation: Generation) -> None:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError, EdgeNusaError):
            if self._pointer_bytes() != pointer_to(generation).to_bytes():
                durable.discard(generation.folder)

    def _point_to(self, pointer: Pointer) -> None:
        before = None
        with suppress(DamagedError):  # a pipe or a link has taken its name: there is nothing to go back to
            before = self._pointer_bytes()
        try:
            durable.replace_file(self._pointer_path, pointer.to_bytes())
        except OSError:
            # Replaced but not synced: what the caller is told failed must not be current.
            with suppress(OSError, EdgeNusaError):
                if before is not None and self._pointer_bytes() != before:
                    durable.replace_file(self._pointer_path, before)
            raise

    def _prune(self, current: int) -> None:
        """Keeps the newest generations up to `current`; what the disk will not let go waits for the next commit."""
        with suppress(OSError, EdgeNusaError):
            kept = set(islice(self._lineage(current), GENERATIONS_KEPT))
            for number in self._numbers():
                if number not in kept:
                    durable.discard(self._generations / folder_name(number))


def _check_written(generation: Generation) -> None:
    """What was written is read back, byte for byte, before the pointer names it. Raises DamagedError."""
    found = load_generation(generation.folder)
    if found != generation:
        raise damaged(generation.folder, "the generation that was just written", "another")
    found.verify()
