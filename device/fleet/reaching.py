"""Proves that a store answers and is this fleet's: its first root is read there and compared with the device's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_nusa.errors import StoreError, TrustError
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import MissingObjectError, Store, Timed
from edge_nusa.sync.trust import roots
from edge_nusa.sync.trust.roots import FIRST_ROOT, LARGEST_ROOT_BYTES

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root

MOST_ROOTS = 64
"""That are followed from the first one."""
LONGEST_SECONDS = 60.0
"""That a store may take to answer here."""


def prove_store(place: str, root: bytes) -> None:
    """Raises StoreError where the store does not answer or holds no fleet, TrustError where it holds another one."""
    if not _has_root(place, root):
        raise _no_fleet(place)


def first_root(place: str) -> bytes:
    """The first root in a store, which is trusted with nothing: the caller compares it. Raises StoreError."""
    try:
        return Timed(open_store(place), LONGEST_SECONDS).get(FIRST_ROOT, LARGEST_ROOT_BYTES)
    except MissingObjectError as error:
        raise _no_fleet(place) from error


def _no_fleet(place: str) -> StoreError:
    return StoreError(
        f"{place}: expected the fleet's store, found no {FIRST_ROOT} in it; give the place that `edge-nusa hub "
        "init` was given"
    )


def newest_root(store: Store, first: bytes) -> Metadata[Root]:
    """The newest root in a store that the first one vouches for, as far as the store tells."""
    found = roots.read_root(first, FIRST_ROOT)
    for number in range(2, MOST_ROOTS + 2):
        key = f"metadata/{number}.root.json"
        try:
            found = roots.successor(found, store.get(key, LARGEST_ROOT_BYTES), key)
        except (StoreError, TrustError):  # none, or nobody's: what an older key seals the hub still opens
            break
    return found


def prove_mirror(place: str, root: bytes) -> None:
    """The same of a mirror, which may hold nothing before the first publication."""
    _has_root(place, root)


def _has_root(place: str, root: bytes) -> bool:
    """Whether the store has the fleet's first root."""
    store = Timed(open_store(place), LONGEST_SECONDS)
    try:
        # listing tells a store that is not there, or shut, from one that is empty
        if FIRST_ROOT not in store.list("metadata"):
            return False
        found = store.get(FIRST_ROOT, LARGEST_ROOT_BYTES)
    except MissingObjectError:
        return False
    except StoreError as error:
        raise StoreError(f"the store does not answer: {error}") from error
    if found != root:
        raise TrustError(
            f"{place}: expected the store of the fleet whose root this device trusts, found another fleet's; ask who "
            "runs the hub"
        )
    return True
