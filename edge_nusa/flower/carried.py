"""A store that comes and goes by messages: it has what the last one brought, remembers what is to be sent, and what was
asked for and not brought.

A device pushes and pulls over it as over any other store. What it asks for and does not find is a wish, which the next
message fulfils; whoever asked starts again then, as after a line that was cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edge_nusa.errors import StoreError
from edge_nusa.flower.freight import Freight
from edge_nusa.sync import parcel
from edge_nusa.sync.stores.store import MissingObjectError, NotBroughtError, check_key

MOST_WISHES = 1024
Verb = Literal["list", "get", "part"]


@dataclass(frozen=True)
class Wish:
    """What a store was asked for: the keys under a prefix, an object of at most so many bytes, or so many of its bytes
    from `start` on."""

    verb: Verb
    key: str
    start: int = 0
    size: int = 0


class CarriedStore:
    """The objects that a message brought. puts: what is to be sent, by its key; wishes: what was not brought, each
    once."""

    def __init__(self, brought: Freight) -> None:
        self._brought = brought
        self.puts: dict[str, bytes] = {}
        self._wishes: dict[Wish, None] = {}

    @property
    def wishes(self) -> list[Wish]:
        """In the order in which they were asked for."""
        return list(self._wishes)

    def list(self, prefix: str) -> list[str]:
        """`Store.list`. Raises NotBroughtError."""
        found = self._brought.lists.get(check_key(prefix))
        if found is None:
            raise self._wished(Wish("list", prefix))
        return list(found)

    def get(self, key: str, most_bytes: int) -> bytes:
        """`Store.get`. Raises NotBroughtError."""
        data = self._there(key)
        if data is None:
            raise self._wished(Wish("get", key, 0, most_bytes))
        if len(data) > most_bytes:
            raise StoreError(f"{key}: expected at most {most_bytes} bytes, found {len(data)}; ask who runs the hub")
        return data

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        """`Store.get_part`. Raises NotBroughtError."""
        data = self._there(key)
        if data is not None:
            return data[start : start + most_bytes]
        for part in self._brought.parts:
            if (part.key, part.start) == (key, start) and len(part.data) <= most_bytes:
                return part.data
        raise self._wished(Wish("part", key, start, most_bytes))

    def put_new(self, key: str, data: bytes) -> bool:
        """Remembers that it is to be sent; whether the hub took it is known by the lists of a later message."""
        self.puts[check_key(key)] = data
        return True

    def head(self, key: str) -> int | None:
        """The bytes of what was brought, None for everything else, so that it is sent (again)."""
        data = self._brought.wholes.get(check_key(key))
        return None if data is None else len(data)

    def _there(self, key: str) -> bytes | None:
        """What was brought, None where it was not. Raises MissingObjectError where the store does not have it."""
        if check_key(key) in self._brought.missing:
            raise MissingObjectError(f"{key}: expected an object of the store, found none; wait for the next round")
        return self._brought.wholes.get(key)

    def _wished(self, wish: Wish) -> NotBroughtError:
        """Remember a wish; with an update's envelope all of its device's later ones, which are asked for one by one."""
        for one in (wish, *self._later_envelopes(wish)):
            if len(self._wishes) < MOST_WISHES:
                self._wishes[one] = None
        return NotBroughtError(
            f"{wish.key}: expected it in the hub's message, found it left out; it comes with the next"
        )

    def _later_envelopes(self, wish: Wish) -> Iterator[Wish]:
        prefix = wish.key.rpartition("/")[0]
        if wish.verb == "get" and prefix.startswith("updates/") and parcel.read_key(wish.key) is not None:
            for key in self._brought.lists.get(prefix, ()):
                if key > wish.key and parcel.read_key(key) is not None and key not in self._brought.wholes:
                    yield Wish("get", key, 0, wish.size)
