"""A store whose bundles somebody trusts: by a fleet's first root, and by the newest metadata seen, which is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_nusa.errors import ResourceError, StoreError, TrustError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.lock import Lock
from edge_nusa.model import manifest as manifests
from edge_nusa.model.manifest import Manifest
from edge_nusa.sync.bundles import announced, index
from edge_nusa.sync.bundles.announced import Announced
from edge_nusa.sync.bundles.index import MANIFEST, Index, part_key
from edge_nusa.sync.stores.store import MissingObjectError, Store, Timed
from edge_nusa.sync.trust import trusted

METADATA = "metadata"
LONGEST_SECONDS = 25 * 60.0
"""That a store may take to say what it has, and beside what its bytes need."""
SLOWEST_BYTES_A_SECOND = 2048
"""Of a line by which a bundle still comes in."""
WAIT_SECONDS = 30.0
"""For another sync that follows the same metadata."""


@dataclass(frozen=True)
class Source:
    """store: where the bundles lie; root: the first root metadata of the fleet that is trusted; folder: of ours, where
    `metadata/` keeps the newest seen, which makes going back impossible, and `lock` has one reader at a time."""

    store: Store
    root: bytes
    folder: Path

    def bundles(self) -> dict[str, Announced]:
        """The bundles that the fleet's hub announces now, by name. Raises StoreError, TrustError, ResourceError."""
        with self._locked():
            store = Timed(self.store, LONGEST_SECONDS)
            targets = trusted.newest_targets(store, self.root, self.folder / METADATA)
        return announced.offered(announced.bundles_in(targets))

    def index(self, one: Announced) -> Index:
        """The files of a bundle. Raises StoreError, TrustError where the store has another index than was signed."""
        data = self._signed(one.key, one.index_bytes, one.index)
        found = index.decode(data, one.key)
        if found.bytes != one.bytes:
            raise TrustError(
                f"{one.key}: expected files of {one.bytes} bytes, found {found.bytes} of them; publish the bundle again"
            )
        return found

    def manifest(self, one: Announced) -> Manifest:
        """What a bundle says of itself; nothing else of it is fetched. Raises as `index`, DamagedError."""
        entry = self.index(one).files[MANIFEST]
        parts = [
            self._signed(part_key(sha256), entry.size_of(place), sha256) for place, sha256 in enumerate(entry.parts)
        ]
        return manifests.decode(b"".join(parts), f"{one.name}: {MANIFEST}")

    def timed(self, size: int) -> Store:
        """The store, for as long as so many bytes may take."""
        return Timed(self.store, LONGEST_SECONDS + size / SLOWEST_BYTES_A_SECOND)

    def _signed(self, key: str, size: int, sha256: str) -> bytes:
        try:
            data = self.timed(size).get(key, size)
        except MissingObjectError as error:
            raise StoreError(
                f"{key}: expected what the hub announced, found no such object; wait until the store is synchronised, "
                "or publish the bundle again on the hub"
            ) from error
        if sha256_hex(data) != sha256:
            raise TrustError(
                f"{key}: expected the {size} bytes that the hub signed, found others; nothing was taken: ask who "
                "writes to this store"
            )
        return data

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = Lock(self.folder / "lock")
        with durable.explained(f"lock {self.folder}"):
            durable.make_folder(self.folder)
            if not lock.acquire(WAIT_SECONDS):
                raise ResourceError(
                    f"{self.folder}: expected no other sync of this fleet, found one running; wait for it to end"
                )
        try:
            yield
        finally:
            lock.release()
