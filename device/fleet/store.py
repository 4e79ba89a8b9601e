"""A fleet's store as a device asks it: for so long at most."""

from __future__ import annotations

from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import Store, Timed

LONGEST_SECONDS = 25 * 60.0
"""That a push or a pull may ask a store: less than the timer's service may run."""


def asked(place: str) -> Store:
    """The store at a place; it raises StoreError once it was asked for too long."""
    return Timed(open_store(place), LONGEST_SECONDS)
