"""Reading the device's folder of generations, without a lock: what is current, its history, what is damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from edge_nusa.errors import DamagedError, OtherFormatError, ResourceError, UsageError
from edge_nusa.files import durable
from edge_nusa.files.identity import Identity, another, mismatch, way_out
from edge_nusa.files.os_errors import OtherKindError
from edge_nusa.state.generation import (
    LARGEST_POINTER_BYTES,
    MANIFEST_NAME,
    NO_USE,
    Generation,
    Pointer,
    damaged,
    folder_name,
    load_generation,
    missing,
    pointer_to,
)

_READ_TRIES = 20
_Answer = TypeVar("_Answer")


class StateReader:
    """The generations in `folder`, all made with a bundle of this identity (None: whichever it is)."""

    def __init__(self, folder: Path, identity: Identity | None) -> None:
        self.folder = Path(folder)
        self.identity = identity
        self._generations = self.folder / "generations"
        self._pointer_path = self.folder / "CURRENT"

    def pointer(self) -> bytes | None:
        """What `CURRENT` holds, which changes with every commit and undo; None where nothing was learned. Raises
        DamagedError, ResourceError."""
        return self._pointer_bytes()

    def current(self) -> Generation | None:
        """The current generation, or None where nothing was learned. Raises DamagedError."""
        return self._read_current(lambda generation: generation)

    def snapshot(self, names: Iterable[str]) -> tuple[Generation, dict[str, bytes]] | None:
        """The current generation and these of its files, read together, whatever a writer does. Raises DamagedError."""
        wanted = list(names)
        return self._read_current(lambda generation: (generation, {name: generation.read(name) for name in wanted}))

    def snapshot_of_any_format(self, names: Iterable[str]) -> tuple[Generation, dict[str, bytes]] | None:
        """The same of a state that may be of another format: a file that its generation does not have is left out."""
        wanted = set(names)
        return self._read_current(
            lambda generation: (generation, {name: generation.read(name) for name in wanted & set(generation.files)})
        )

    def history(self) -> list[Generation]:
        """The readable generations, oldest first; those after the current one were undone.

        One that a later one took the place of, and a killed writer did not remove, is not among them. Nor is one that
        was to follow what CURRENT names, or to take its place, and of which a killed writer left the folder alone.
        """
        named = self._named()
        return _without_replaced([one for number in self._numbers() if (one := self._readable(number))], named)

    def line_of(self, newest: Generation | None) -> list[Generation]:
        """A generation and those before it that are kept, oldest first; reads their manifests alone."""
        found = []
        while newest is not None:
            found.append(newest)
            parent, newest = newest.parent, None
            with suppress(*NO_USE):
                newest = load_generation(self._generations / folder_name(parent)) if parent else None
        return found[::-1]

    def damaged(self) -> list[str]:
        """The folder names of the damaged generations."""
        bad = [number for number in self._numbers() if self._is_damaged(number)]
        still_there = set(self._numbers())
        return [folder_name(number) for number in bad if number in still_there]

    def made_with(self) -> Identity | None:
        """The identity of the current generation, else of the newest one that says it; None of a state that holds
        nothing, or of which that cannot be told."""
        with suppress(UsageError):  # a place where no state can be: who opens it says so, with what to do
            return self._made_with()
        return None

    def _made_with(self) -> Identity | None:
        with suppress(*NO_USE):
            if (current := self._load(self._pointer_bytes())) is not None:
                return current.identity
        for number in reversed(self._numbers()):
            with suppress(*NO_USE):
                return load_generation(self._generations / folder_name(number)).identity
        return None

    def _read_current(self, read: Callable[[Generation], _Answer]) -> _Answer | None:
        for _ in range(_READ_TRIES):
            before = self._pointer_bytes()
            try:
                generation = self._load(before)
                if generation is None:
                    return None
                self._check_identity(generation)
                return read(generation)
            except NO_USE:
                # A generation is pruned only when the pointer has left it: an unchanged pointer means damage or loss.
                if self._pointer_bytes() == before:
                    raise
        raise ResourceError(
            f"{self.folder}: expected a pause between writers, found {_READ_TRIES} changes while reading; run it again"
        )

    def _load(self, pointer_bytes: bytes | None) -> Generation | None:
        if pointer_bytes is None:
            if numbers := self._numbers():
                raise missing(self._pointer_path, f"a pointer to one of {len(numbers)} generations")
            return None
        pointer = Pointer.from_bytes(pointer_bytes, self._pointer_path)
        if pointer.generation == 0:
            return None
        generation = load_generation(self._generations / folder_name(pointer.generation))
        if pointer_to(generation).sha256 != pointer.sha256:
            raise damaged(generation.folder / MANIFEST_NAME, f"SHA-256 {pointer.sha256}", pointer_to(generation).sha256)
        return generation

    def _check_identity(self, generation: Generation) -> None:
        if self.identity is not None and generation.identity != self.identity:
            found = mismatch(self.identity, generation.identity)
            what = another(self.identity, generation.identity)
            raise DamagedError(
                f"this state belongs to {what}: {generation.folder}: {found}; "
                f"{way_out(self.identity, generation.identity)}"
            )

    def _named(self) -> set[int]:
        """The generations that CURRENT names, the current one and those that were undone; none where it is damaged."""
        with suppress(*NO_USE):
            if (found := self._pointer_bytes()) is not None:
                pointer = Pointer.from_bytes(found, self._pointer_path)
                return {pointer.generation, *(one.generation for one in pointer.undone)}
        return set()

    def _pointer_bytes(self) -> bytes | None:
        try:
            return durable.read_at_most(self._pointer_path, LARGEST_POINTER_BYTES + 1)
        except FileNotFoundError:
            return None
        except OtherKindError as error:
            raise damaged(self._pointer_path, "a file", error.found) from error
        except OSError as error:
            raise durable.storage_error(error, f"read {self._pointer_path}") from error

    def _is_damaged(self, number: int) -> bool:
        """Not so for a generation of another format, which is whole."""
        try:
            load_generation(self._generations / folder_name(number)).verify()
        except OtherFormatError:
            return False
        except NO_USE:
            return True
        return False

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self._generations)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise durable.storage_error(error, f"list {self._generations}") from error
        return sorted(
            int(name) for name in names if name.isdecimal() and name == folder_name(int(name)) and int(name) > 0
        )

    def _readable(self, number: int) -> Generation | None:
        try:
            generation = load_generation(self._generations / folder_name(number))
            generation.verify()
        except NO_USE:
            return None
        return generation

    def _lineage(self, start: int) -> Iterator[int]:
        """`start` and its ancestors that have a folder, newest first; a gap is bridged by the next older folder."""
        numbers = self._numbers()
        number = start
        while number > 0:
            if number in numbers:
                yield number
            number = self._next_older(number, numbers)

    def _next_older(self, number: int, numbers: list[int]) -> int:
        with suppress(*NO_USE):
            parent = load_generation(self._generations / folder_name(number)).parent
            if parent == 0 or parent in numbers:
                return parent
        return max((other for other in numbers if other < number), default=0)


def _without_replaced(found: list[Generation], named: set[int]) -> list[Generation]:
    """What CURRENT names stays. Another goes where it passes over one of these, or one that stays passes over it."""
    were = [one for one in found if one.number in named or not any(one.parent < name < one.number for name in named)]
    spans = [(later.parent, later.number) for later in were]
    return [one for one in were if one.number in named or not any(first < one.number < last for first, last in spans)]
