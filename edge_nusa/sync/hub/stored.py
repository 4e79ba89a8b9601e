"""What a hub keeps of itself in the store, sealed to itself alone: so that its folder can be restored from an old
backup, or made anew from its keys, without forgetting what it has published.

    hub/SHA256.records   devices.json, shares.json and the lists of devices and of join tokens as of a published round,
                         a line each; TUF's targets name it
    hub/SHA256.base      the round of a larger fleet that a round of this one holds (`edge_nusa.sync.hub.above`)
    hub/SHA256.given     what one device had given (`given_file.packed`); the records name it

SHA256 is that of what is inside, so nothing that somebody else sealed is taken for it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge_nusa.errors import DamagedError, StoreError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.sync.hub import given_file
from edge_nusa.sync.packed import inflated
from edge_nusa.sync.stores.store import MissingObjectError, Store, put
from edge_nusa.sync.trust import sealing
from edge_nusa.sync.trust.sealing_keys import SealingKey

LARGEST_RECORDS = 1 << 30


@dataclass(frozen=True)
class OwnStore:
    """A store, and the hub's sealing keys: to the first it seals, and any may open."""

    store: Store
    keys: Sequence[SealingKey]

    def keep(self, lines: Sequence[bytes], given: Mapping[str, Callable[[], bytes]]) -> str:
        """Put what stands beside a round, as far as it is not there; the SHA-256 of the records. lines: of the records,
        each without a line feed; given: by SHA-256 what each device gave."""
        for sha256, content in given.items():
            if self.store.head(f"hub/{sha256}.given") is None:
                self._put(f"hub/{sha256}.given", given_file.packed(content()))
        records, name = b"\n".join(lines), name_of(lines)
        if self.store.head(f"hub/{name}.records") is None:
            self._put(f"hub/{name}.records", zlib.compress(records, 6))
        return name

    def records(self, name: str) -> list[bytes]:
        """The lines that `keep` gave that name. Raises StoreError where the store has lost them, TrustError."""
        if not name:
            raise TrustError(
                "expected a published round that names the hub's own records, found none named; use the edge-nusa that "
                "published it"
            )
        key = f"hub/{name}.records"
        return _same(inflated(self._get(key), LARGEST_RECORDS, key), key).split(b"\n")

    def given(self, sha256: str) -> bytes:
        """What a device gave. Raises StoreError where the store has lost it, TrustError."""
        key = f"hub/{sha256}.given"
        return _same(given_file.unpacked(self._get(key), key), key)

    def keep_base(self, sha256: str, content: Callable[[], bytes]) -> None:
        """Put the larger fleet's round of that SHA-256, where it is not there."""
        if self.store.head(f"hub/{sha256}.base") is None:
            self._put(f"hub/{sha256}.base", content())

    def base(self, sha256: str) -> bytes:
        """The larger fleet's round. Raises StoreError where the store has lost it, TrustError."""
        key = f"hub/{sha256}.base"
        return _same(self._get(key), key)

    def _put(self, key: str, content: bytes) -> None:
        put(self.store, key, sealing.sealed(content, [self.keys[0].public], key.encode()))

    def _get(self, key: str) -> bytes:
        try:
            sealed = self.store.get(key, LARGEST_RECORDS)
        except MissingObjectError as error:
            raise StoreError(
                f"{key}: expected what this hub kept in the store, found none; restore the store, or a newer backup of "
                "the hub"
            ) from error
        return sealing.opened_by_any(sealed, self.keys, key.encode(), key)


def name_of(lines: Sequence[bytes]) -> str:
    """What records are named by: the SHA-256 of their lines."""
    return sha256_hex(b"\n".join(lines))


def _same(data: bytes, key: str) -> bytes:
    """The data, of which an object is named. Raises DamagedError."""
    if sha256_hex(data) != key.partition("/")[2].partition(".")[0]:
        raise DamagedError(f"{key}: expected what this hub kept in the store, found something else; restore it")
    return data
