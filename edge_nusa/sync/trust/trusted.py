"""The device's side of trust: the newest round that the fleet's root vouches for, by python-tuf over a store's
verbs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nusa.errors import ResourceError, StoreError, TrustError
from edge_nusa.files import durable
from edge_nusa.sync.stores import download
from edge_nusa.sync.stores.store import MissingObjectError, Store
from edge_nusa.sync.trust import repository

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile
    from tuf.ngclient import FetcherInterface, Updater

BASE = "store:///"
"""What stands before a key in the addresses that python-tuf forms; nothing is ever looked up by it."""
LARGEST_METADATA_BYTES = 512_000
MOST_CANDIDATES = 8
PARTS = "parts"
"""The folder in a device's folder of metadata for what came of a round so far."""
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Published:
    """A round as it was vouched for: number, SHA-256 in hex, the file's bytes, or None where it was known."""

    number: int
    sha256: str
    data: bytes | None


@dataclass(frozen=True)
class Bounds:
    """possible: no round of this bundle is larger, in bytes; asked: what the user allows, None for anything possible;
    known: the SHA-256 in hex of rounds that are not fetched."""

    possible: int
    asked: int | None = None
    known: frozenset[str] = frozenset()


def newest_round(store: Store, root: bytes, cache: Path, bounds: Bounds) -> Published:
    """Follow roots, timestamp, snapshot and targets, and fetch the round that they name.

    root: the first root metadata that this device was given; cache: a folder of this device's for the newest metadata
    seen, which makes going back impossible, and for parts of rounds. What someone put above the newest true timestamp
    is passed over, up to MOST_CANDIDATES of them. Raises TrustError, StoreError where the store does not answer,
    ResourceError for a larger round than was asked for.
    """
    found = [key for _, key in reversed(repository.versions(store, "timestamp"))]
    if not found:
        raise MissingObjectError("expected a published round in the store, found none; merge and publish on the hub")
    forged: list[ForgedError] = []
    for key in found[:MOST_CANDIDATES]:
        try:
            return _followed(store, root, cache, bounds, key)
        except ForgedError as error:
            forged.append(error)
    raise forged[0]


class ForgedError(TrustError):
    """Metadata that the fleet's root does not vouch for."""


def _followed(store: Store, root: bytes, cache: Path, bounds: Bounds, timestamp_key: str) -> Published:
    from tuf.api.exceptions import DownloadError, ExpiredMetadataError, RepositoryError
    from tuf.ngclient import Updater, UpdaterConfig

    fetcher = _fetcher(store, timestamp_key)
    config = UpdaterConfig(
        max_root_rotations=64,
        root_max_length=LARGEST_METADATA_BYTES,
        snapshot_max_length=LARGEST_METADATA_BYTES,
        targets_max_length=LARGEST_METADATA_BYTES,
    )
    try:
        with durable.explained(f"keep metadata in {cache}"):
            durable.make_folder(cache)
            updater = Updater(
                str(cache), f"{BASE}metadata/", target_base_url=BASE, fetcher=fetcher, config=config, bootstrap=root
            )
            updater.refresh()
            number, info = _current(updater)
            sha256 = info.hashes["sha256"]
            if sha256 in bounds.known:
                return Published(number, sha256, None)
            _check_size(number, info.length, bounds)
            wanted = download.Wanted(f"rounds/{sha256}.{repository.TARGET.rpartition('/')[2]}", sha256, info.length)
            data = download.fetch(store, wanted, cache / PARTS)
            info.verify_length_and_hashes(data)
    except ExpiredMetadataError as error:
        rule = "expected a hub that publishes now and then, and a right clock"
        raise TrustError(
            f"the fleet's metadata has expired ({error}): {rule}; publish on the hub, or set this clock"
        ) from error
    except RepositoryError as error:
        raise ForgedError(
            f"the store's metadata is not what the fleet's root vouches for ({error}); nothing was taken: ask who "
            "writes to this store"
        ) from error
    except DownloadError as error:
        cause = error.__cause__ if isinstance(error.__cause__, StoreError) else error
        raise StoreError(f"pull: expected the store to give the fleet's round, found: {cause}") from error
    return Published(number, sha256, data)


def _check_size(number: int, size: int, bounds: Bounds) -> None:
    if size > bounds.possible:
        raise TrustError(
            f"round {number}: expected at most {bounds.possible} bytes, found {size} announced; it is of another bundle"
        )
    if bounds.asked is not None and size > bounds.asked:
        rule = f"expected at most {bounds.asked} bytes (--max-bytes), found {size}"
        raise ResourceError(f"round {number}: {rule}; allow more, or wait for a cheaper connection")


def _current(updater: Updater) -> tuple[int, TargetFile]:
    """The round that targets name, and its number as the hub signed it."""
    info = updater.get_targetinfo(repository.TARGET)
    number = info.custom.get("round") if info is not None and isinstance(info.custom, dict) else None
    if info is None or type(number) is not int or not _SHA256.fullmatch(info.hashes.get("sha256", "")):
        raise TrustError(
            f"expected targets that name {repository.TARGET} with its number, found none; publish again on the hub"
        )
    return number, info


def _fetcher(store: Store, timestamp_key: str) -> FetcherInterface:
    """python-tuf's way to bytes, over a store in which `timestamp.json` is one of its N.timestamp.json."""
    from tuf.api.exceptions import DownloadError, DownloadHTTPError
    from tuf.ngclient import FetcherInterface

    class StoreFetcher(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            key = url.removeprefix(BASE)
            try:
                if key == "metadata/timestamp.json":
                    key = timestamp_key
                yield store.get(key, LARGEST_METADATA_BYTES)
            except MissingObjectError as error:
                raise DownloadHTTPError(str(error), 404) from error
            except StoreError as error:
                raise DownloadError(str(error)) from error

    return StoreFetcher()
