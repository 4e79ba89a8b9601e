"""Copies what a hub has published to another store, from which devices pull: a registry, S3, or a folder that a web
server shows."""

from __future__ import annotations

from collections.abc import Mapping

from edge_nusa.errors import StoreError, TrustError
from edge_nusa.sync.bundles import index as indexes
from edge_nusa.sync.bundles.announced import LARGEST_INDEX_BYTES, Announced, offered
from edge_nusa.sync.bundles.index import PART_BYTES, part_key
from edge_nusa.sync.stores import mirror_index
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import Store, copy_new, put

LARGEST_MIRRORED_BYTES = 1 << 30


def mirror(source: Store, place: str, bundles: Mapping[str, Announced]) -> int:
    """Copy the rounds, what belongs to these bundles but the withdrawn ones, and then the metadata, as far as they are
    not there; how many objects were copied. A bundle that the source has lost a part of keeps no round back. Raises
    StoreError."""
    target = open_store(place)
    if isinstance(target, FolderStore):
        target.create()
    count = copy_new(source, target, "rounds", LARGEST_MIRRORED_BYTES)
    failed = None
    for one in offered(bundles).values():
        try:
            count += _copy_bundle(source, target, one)
        except (StoreError, TrustError) as error:
            failed = failed or error
    count += copy_new(source, target, "metadata", LARGEST_MIRRORED_BYTES)
    if isinstance(target, FolderStore):
        mirror_index.write(target)
    if failed is not None:
        raise failed
    return count


def _copy_bundle(source: Store, target: Store, one: Announced) -> int:
    """The parts, then the index: one that is there says that its parts are. Returns how many objects were copied."""
    if target.head(one.key) is not None:
        return 0
    data = source.get(one.key, LARGEST_INDEX_BYTES)
    missing = [key for key in map(part_key, indexes.decode(data, one.key).parts) if target.head(key) is None]
    for key in missing:
        put(target, key, source.get(key, PART_BYTES))
    put(target, one.key, data)
    return len(missing) + 1
