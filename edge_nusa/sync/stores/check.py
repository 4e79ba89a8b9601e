"""Proves that a store does what a fleet relies on, above all that of several writers of one key only one wins."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from edge_nusa.errors import StoreError
from edge_nusa.sync.stores.store import MissingObjectError, Store

WRITERS = 8
RACES = 8


@dataclass(frozen=True)
class Checked:
    """What was done: races and the writers in each, and the keys that were left in the store, which has no verb to
    remove them."""

    races: int
    writers: int
    keys: tuple[str, ...]


def check(store: Store) -> Checked:
    """Race writers for keys under `check/`, then read, list and look at what won. Raises StoreError naming what is
    wrong."""
    keys = []
    for _ in range(RACES):
        key = f"check/{secrets.token_hex(12)}"
        _race(store, key)
        keys.append(key)
    listed = store.list("check")
    if missing := sorted(set(keys) - set(listed)):
        raise StoreError(
            f"{missing[0]}: expected what was put to be listed at once, found it missing; devices would see rounds "
            "late: use a store that lists what it has"
        )
    try:
        store.get(keys[0], 8)
    except MissingObjectError:
        raise
    except StoreError:
        return Checked(RACES, WRITERS, tuple(keys))
    raise StoreError(f"{keys[0]}: expected reading to stop at 8 bytes, found that it went on")


def _race(store: Store, key: str) -> None:
    bodies = [f"writer {number} of {key}".encode() for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        won = list(pool.map(lambda body: store.put_new(key, body), bodies))
    if sum(won) != 1:
        rule = f"{key}: expected one of {WRITERS} writers at once to create it, found that {sum(won)} did"
        raise StoreError(
            f"{rule}; this store ignores create-only writes and must not be used: updates and rounds could be "
            "overwritten"
        )
    body = bodies[won.index(True)]
    found = store.get(key, len(body))
    if found != body or store.head(key) != len(body):
        raise StoreError(
            f"{key}: expected the bytes of the writer that won, found others; this store overwrites and must not be "
            "used"
        )
    if store.put_new(key, b"again") or store.get(key, len(body)) != body:
        raise StoreError(
            f"{key}: expected a second write to be refused, found that it was not; this store overwrites and must not "
            "be used"
        )
