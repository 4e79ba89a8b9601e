"""Puts a bundle's files into a store, a part at a time: what lies there already is not sent again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files import durable, opening
from edge_nusa.files.file_record import FileRecord, sha256_hex
from edge_nusa.model.bundle import Bundle, manifest_of
from edge_nusa.sync.bundles import index as indexes
from edge_nusa.sync.bundles.announced import LARGEST_INDEX_BYTES, LONGEST_MODEL, Announced, index_key
from edge_nusa.sync.bundles.index import MANIFEST, PART_BYTES, Entry, Index, part_key
from edge_nusa.sync.bundles.progress import Progress, Told
from edge_nusa.sync.stores.store import Store, put


def put_bundle(store: Store, bundle: Bundle, name: str, told: Told) -> Announced:
    """Put the manifest, the files that it lists and the index; what is to be announced of them, as a first version.

    At most a part is in memory at once. Raises StoreError, DamagedError where a file is not (any more) the one that the
    manifest lists, InputError for a bundle that is too large.
    """
    manifest, folder = bundle.manifest, bundle.folder
    progress = Progress(sum(record.bytes for record in manifest.files.values()), told)
    files = {}
    for file, expected in [*sorted(manifest.files.items()), (MANIFEST, None)]:
        entry = _put_file(store, folder / file, progress if expected else Progress(0, lambda done, total: None))
        if expected is not None and FileRecord(entry.sha256, entry.bytes) != expected:
            raise DamagedError(f"{folder / file}: expected the file that the manifest lists, found it changed; copy it")
        files[file] = entry
    if manifest_of(folder).identity != manifest.identity:
        raise DamagedError(f"{folder / MANIFEST}: expected it to stay as it was, found it changed; publish it again")
    data = indexes.encode(Index(files))
    if len(data) > LARGEST_INDEX_BYTES:
        raise InputError(
            f"{folder}: expected a bundle of at most 46 GiB, found {progress.total} bytes; export a smaller model"
        )
    put(store, index_key(sha256_hex(data)), data)
    return Announced(
        name=name,
        version=1,
        index=sha256_hex(data),
        index_bytes=len(data),
        bytes=Index(files).bytes,
        model=manifest.model[:LONGEST_MODEL],
        precision=manifest.precision,
        identity=manifest.identity.sha256,
    )


def _put_file(store: Store, path: Path, progress: Progress) -> Entry:
    """Put the parts of a file."""
    whole, parts = hashlib.sha256(), []
    with durable.explained(f"read {path}"), opening.opened(path) as descriptor:
        while part := opening.read(descriptor, PART_BYTES):
            whole.update(part)
            parts.append(sha256_hex(part))
            key = part_key(parts[-1])
            if store.head(key) != len(part):
                put(store, key, part)
            progress.add(len(part))
        size = os.lseek(descriptor, 0, os.SEEK_CUR)
    return Entry(size, whole.hexdigest(), tuple(parts))
