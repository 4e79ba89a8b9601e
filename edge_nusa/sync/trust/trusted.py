"""The device's side of trust: the newest round that the fleet's root vouches for, by python-tuf over a store's
verbs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edge_nusa.errors import DamagedError, ResourceError, StoreError, TrustError
from edge_nusa.files import durable, opening
from edge_nusa.files.foreign import why
from edge_nusa.sync.stores.store import MissingObjectError, Store
from edge_nusa.sync.trust import roots, sealed_rounds
from edge_nusa.sync.trust.metadata import LARGEST_METADATA_BYTES, versions
from edge_nusa.sync.trust.sealed_rounds import Announced
from edge_nusa.sync.trust.sealing import TAG_BYTES
from edge_nusa.sync.trust.sealing_keys import SealingKey

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root, TargetFile, Targets
    from tuf.ngclient import FetcherInterface

Result = TypeVar("Result")
BASE = "store:///"
"""What stands before a key in the addresses that python-tuf forms; nothing is ever looked up by it."""
MOST_CANDIDATES = 8
ROOT_HISTORY = "root_history"
"""Where python-tuf keeps the roots that it followed."""
_NO_ROUND = (
    "expected a published round in the store, found none: no round is published yet; one comes with the first lesson: "
    "merge and publish on the hub"
)
_HALF_WRITTEN = re.compile("tmp[a-z0-9_]{8}")
PARTS = "parts"
"""The folder in a device's folder of metadata for what came of a round so far."""


@dataclass(frozen=True)
class Published:
    """A round as it was vouched for: its number, the SHA-256 in hex of the plain round, and that round's bytes, or None
    where it was known; records: the SHA-256 of what the hub keeps beside it, "" for none."""

    number: int
    sha256: str
    data: bytes | None
    records: str = ""


@dataclass(frozen=True)
class Bounds:
    """possible: no round of this bundle is larger, in bytes; asked: what the user allows, None for anything possible;
    known: the SHA-256 in hex of plain rounds that are not fetched."""

    possible: int
    asked: int | None = None
    known: frozenset[str] = frozenset()


def newest_round(store: Store, root: bytes, cache: Path, bounds: Bounds, key: SealingKey) -> Published:
    """Follow roots, timestamp, snapshot and targets, and fetch and open the round that they name.

    root: the first root metadata that this device was given; cache: a folder of this device's for the newest metadata
    seen, which makes going back impossible, and for parts of rounds. What someone put above the newest true timestamp
    is passed over, up to MOST_CANDIDATES of them. key: this device's. Raises TrustError, also for a round that is not
    sealed to it, StoreError where the store does not answer, ResourceError for a larger round than was asked for.
    """

    def opened(targets: Targets) -> Published:
        if sealed_rounds.TARGET not in targets.targets:  # bundles alone were published until now
            raise MissingObjectError(_NO_ROUND)
        announced = sealed_rounds.announced_by(targets.targets[sealed_rounds.TARGET])
        if announced.sha256 in bounds.known:
            return Published(announced.number, announced.sha256, None)
        return opened_round(store, announced, (key,), cache / PARTS, bounds)

    return _newest(store, root, cache, opened, _NO_ROUND)


def newest_targets(store: Store, root: bytes, cache: Path) -> Mapping[str, TargetFile]:
    """All that the fleet's newest targets name, by path. Raises as `newest_round` does."""
    nothing = "expected something published in the store, found nothing; publish a bundle or a round on the hub"
    return _newest(store, root, cache, lambda targets: targets.targets, nothing)


def _newest(store: Store, root: bytes, cache: Path, use: Callable[[Targets], Result], nothing: str) -> Result:
    """What `use` makes of the newest targets; what is forged, also for `use`, is passed over. nothing: what is said of
    a store without a timestamp."""
    found = [name for _, name in reversed(versions(store, "timestamp"))]
    if not found:
        raise MissingObjectError(nothing)
    forged: list[ForgedError] = []
    for timestamp in found[:MOST_CANDIDATES]:
        try:
            return use(_followed(store, root, cache, timestamp))
        except ForgedError as error:
            forged.append(error)
    raise forged[0]


def opened_round(
    store: Store, announced: Announced, keys: Sequence[SealingKey], parts: Path, bounds: Bounds
) -> Published:
    """A round as it was announced, fetched within the bounds and opened. Raises as `newest_round` does."""
    _check_size(announced.number, announced.size - TAG_BYTES, bounds)
    with _forged_or_cut():
        data = sealed_rounds.fetched(store, announced, keys, parts)
    return Published(announced.number, announced.sha256, data, announced.records)


class ForgedError(TrustError):
    """Metadata that the fleet's root does not vouch for."""


def newest_root(root: bytes, cache: Path) -> Metadata[Root]:
    """The newest root that this device has followed from its first one; asks no store. Raises TrustError."""
    found = roots.read_root(root, "root.json")
    while True:
        path = cache / ROOT_HISTORY / f"{found.signed.version + 1}.root.json"
        try:
            data = durable.read_at_most(path, LARGEST_METADATA_BYTES)
            found = roots.successor(found, data, str(path))
        except (OSError, TrustError):  # none, or damaged: the next pull fetches it again
            return found


def _followed(store: Store, root: bytes, cache: Path, timestamp_key: str) -> Targets:
    """What the fleet has published, by this timestamp."""
    from tuf.api.metadata import Metadata, Targets
    from tuf.ngclient import Updater, UpdaterConfig

    fetcher = _fetcher(store, timestamp_key)
    config = UpdaterConfig(
        max_root_rotations=64,
        root_max_length=LARGEST_METADATA_BYTES,
        snapshot_max_length=LARGEST_METADATA_BYTES,
        targets_max_length=LARGEST_METADATA_BYTES,
    )
    with _forged_or_cut(), durable.explained(f"keep metadata in {cache}"):
        durable.make_folder(cache)
        for path in (*cache.glob("*.json"), *cache.glob("root_history/*.json")):
            opening.check_name(path, DamagedError)  # python-tuf opens them by name
        _remove_half_written(cache)
        updater = Updater(
            str(cache), f"{BASE}metadata/", target_base_url=BASE, fetcher=fetcher, config=config, bootstrap=root
        )
        updater.refresh()
        # python-tuf has no call for all targets, and has just written them here
        return Metadata[Targets].from_bytes(durable.read_at_most(cache / "targets.json", LARGEST_METADATA_BYTES)).signed


@contextmanager
def _forged_or_cut() -> Iterator[None]:
    """Turns what python-tuf raises into our errors."""
    from tuf.api.exceptions import DownloadError, ExpiredMetadataError, RepositoryError

    try:
        yield
    except ExpiredMetadataError as error:
        rule = "expected a hub that publishes now and then, and a right clock"
        raise TrustError(
            f"the fleet's metadata has expired ({why(error)}): {rule}; publish on the hub, or set this clock"
        ) from error
    except RepositoryError as error:
        raise ForgedError(
            f"the store's metadata is not what the fleet's root vouches for ({why(error)}); nothing was taken: ask who "
            "writes to this store"
        ) from error
    except DownloadError as error:
        cause = error.__cause__ if isinstance(error.__cause__, StoreError) else error
        raise StoreError(f"pull: expected the store to give the fleet's round, found: {cause}") from error


def _remove_half_written(cache: Path) -> None:
    """What python-tuf was killed over: it writes under a name of `tempfile` and renames. Called under the lock."""
    for folder in (cache, cache / "root_history"):
        for path in folder.glob("tmp*"):
            if _HALF_WRITTEN.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                path.unlink(missing_ok=True)


def _check_size(number: int, size: int, bounds: Bounds) -> None:
    if size > bounds.possible:
        raise TrustError(
            f"round {number}: expected at most {bounds.possible} bytes, found {size} announced; it is of another bundle"
        )
    if bounds.asked is not None and size > bounds.asked:
        rule = f"expected at most {bounds.asked} bytes (--max-bytes), found {size}"
        raise ResourceError(f"round {number}: {rule}; allow more, or wait for a cheaper connection")


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
