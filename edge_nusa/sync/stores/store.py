"""What a store is: five verbs over immutable objects.

Nothing that is in a store is ever overwritten or trusted: names say what is inside, and signatures say who put it
there.
A key is a path of small letters, digits, `.`, `_` and `-`, with `/` between its parts.
"""

from __future__ import annotations

import re
import time
from typing import Protocol

from edge_nusa.errors import StoreError
from edge_nusa.files.foreign import shown

_KEY = re.compile(r"[a-z0-9_][a-z0-9._-]*(/[a-z0-9_][a-z0-9._-]*)*")


class Store(Protocol):
    """The verbs. Each raises StoreError where the store does not do it."""

    def list(self, prefix: str) -> list[str]:
        """The keys under the folder `prefix`, sorted; empty where there is none. It may be stale."""

    def get(self, key: str, most_bytes: int) -> bytes:
        """The object. Raises StoreError where it is larger, MissingObjectError where it is not there."""

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        """The object's bytes from `start` on, at most `most_bytes` of them; fewer only at its end. Raises as `get`."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Creates the object, durable when this returns; False where the key is taken, whatever is there."""

    def head(self, key: str) -> int | None:
        """The object's bytes, None where it is not there."""


class MissingObjectError(StoreError):
    """The store has no such object (or not yet)."""


class NotBroughtError(StoreError):
    """A store that is carried by messages: what was asked for was not in the last one, and comes with the next."""


def check_key(key: str) -> str:
    """The key itself. Raises StoreError for what a store may not hold."""
    if not _KEY.fullmatch(key) or len(key) > 400:
        raise StoreError(
            f"expected a key of small letters, digits, '.', '_', '-' and '/', found {shown(key)}; nothing was read or "
            "written there"
        )
    return key


def put(store: Store, key: str, data: bytes) -> bool:
    """`put_new`, where an object of the same bytes counts as done (False) and another one is an error."""
    if store.put_new(key, data):
        return True
    found = store.get(key, len(data))
    if found != data:
        raise StoreError(
            f"{key}: expected the {len(data)} bytes put there, found others; someone else writes to this store, see "
            "`edge-nusa hub check`"
        )
    return False


class Timed:
    """A store of which all verbs together may take so many seconds: what a store delays may not hold a command for
    ever."""

    def __init__(self, store: Store, seconds: float) -> None:
        self._store, self._seconds = store, seconds
        self._end = time.monotonic() + seconds

    def list(self, prefix: str) -> list[str]:
        """`Store.list`."""
        return self._in_time().list(prefix)

    def get(self, key: str, most_bytes: int) -> bytes:
        """`Store.get`."""
        return self._in_time().get(key, most_bytes)

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        """`Store.get_part`."""
        return self._in_time().get_part(key, start, most_bytes)

    def put_new(self, key: str, data: bytes) -> bool:
        """`Store.put_new`."""
        return self._in_time().put_new(key, data)

    def head(self, key: str) -> int | None:
        """`Store.head`."""
        return self._in_time().head(key)

    @property
    def is_over(self) -> bool:
        """Whether the time is up: whatever is asked now raises StoreError."""
        return time.monotonic() > self._end

    def _in_time(self) -> Store:
        if self.is_over:
            raise StoreError(
                f"expected the store to be done within {self._seconds:.0f} s, found it still at it; run it again on a "
                "better line: what was fetched is kept"
            )
        return self._store


def copy_new(source: Store, target: Store, prefix: str, most_bytes: int) -> int:
    """Copy what the target lacks of the keys under a prefix, in the order of the versions or names; how many were
    copied."""
    there = set(target.list(prefix))
    missing = [key for key in source.list(prefix) if key not in there]
    for key in missing:
        put(target, key, source.get(key, most_bytes))
    return len(missing)
