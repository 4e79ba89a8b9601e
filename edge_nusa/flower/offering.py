"""What the hub brings its nodes: what each turn always asks for, and what a node wished for, within bounds.

A wish reaches the objects that are for everybody or for that device: metadata, rounds, and its own updates.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from edge_nusa.errors import StoreError
from edge_nusa.flower.carried import Wish
from edge_nusa.flower.freight import MOST_NAMES, Freight, Part
from edge_nusa.sync import parcel
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.stores.store import MissingObjectError, Store
from edge_nusa.sync.trust import own_rounds, sealing
from edge_nusa.sync.trust.metadata import LARGEST_METADATA_BYTES, versions
from edge_nusa.sync.trust.roots import FIRST_ROOT
from edge_nusa.sync.trust.sealed_rounds import Announced
from edge_nusa.sync.trust.sealing_keys import NAME_BYTES, SealingPublic

MOST_ROOTS = 8
"""The newest roots are brought unasked; who has been away for longer wishes for the others."""
MOST_LISTED = 1000
"""Updates of a device that are listed, the newest: as many as a device looks at."""
MOST_WISHED_BYTES = 64 << 20
"""Of one message; what is beyond it comes with the next."""


def own_updates(store: Store, device: str) -> Freight:
    """The list of a device's updates, the newest MOST_LISTED. Raises StoreError."""
    prefix = f"updates/{device}"
    envelopes = [key for key in store.list(prefix) if parcel.read_key(key) is not None]
    return Freight(lists={prefix: envelopes[-MOST_LISTED:]})


@dataclass(frozen=True)
class Newest:
    """The newest publication. common: metadata, content and names, for every node; announced: the round."""

    common: Freight
    announced: Announced

    def own_wrap(self, store: Store, key: SealingPublic) -> Freight:
        """What opens the round for the holder of a key; nothing where it is not sealed to it. Raises StoreError."""
        names = self.common.parts[0].data
        place = sealing.place_of(names, key, self.announced.keys_key)
        if place is None:
            return Freight()
        start = sealing.wrap_start(self.announced.recipients, place)
        wrap = store.get_part(self.announced.keys_key, start, sealing.WRAP_BYTES)
        return Freight(parts=(Part(self.announced.keys_key, start, wrap),))


def newest(hub: Hub) -> Newest | None:
    """What the hub published last; None before its first publication. Raises StoreError, TrustError."""
    store = hub.store
    found = own_rounds.published(hub.repository())
    if found is None:
        return None
    roots = versions(store, "root")
    wholes = {key: store.get(key, LARGEST_METADATA_BYTES) for _, key in roots[1:][-MOST_ROOTS:]}
    wholes |= {key: store.get(key, LARGEST_METADATA_BYTES) for key in found.keys}
    announced = found.announced
    wholes[announced.content_key] = store.get(announced.content_key, announced.size)
    count = announced.recipients * NAME_BYTES
    names = Part(
        announced.keys_key, sealing.START_BYTES, store.get_part(announced.keys_key, sealing.START_BYTES, count)
    )
    listed = sorted([*(key for _, key in roots), *found.keys])
    after = f"metadata/{roots[-1][0] + 1}.root.json" if roots else FIRST_ROOT
    return Newest(Freight({"metadata": listed}, frozenset({after}), wholes, (names,)), announced)


def wished(store: Store, device: str, wishes: Iterable[Wish]) -> Freight:
    """What a node wished for, as far as the store gives it, this device may have it, and there is room: one node's
    wishes never hold up the others."""
    found = Freight()
    for wish in wishes:
        room = MOST_WISHED_BYTES - found.size
        if _is_for(device, wish.key) and (wish.size <= room or not found.size):
            with suppress(StoreError):
                found = found.with_other(_fulfilled(store, device, wish))
    return found


def _is_for(device: str, key: str) -> bool:
    """Whether it is for everybody, or among a device's own updates."""
    return f"{key}/".startswith(("metadata/", "rounds/", f"updates/{device}/"))


def _fulfilled(store: Store, device: str, wish: Wish) -> Freight:
    """One wish. Raises StoreError where the store does not do it."""
    most = min(wish.size, MOST_WISHED_BYTES)
    try:
        if wish.verb == "list":
            is_own = wish.key == f"updates/{device}"
            return (
                own_updates(store, device) if is_own else Freight(lists={wish.key: store.list(wish.key)[:MOST_NAMES]})
            )
        if wish.verb == "get":
            return Freight(wholes={wish.key: store.get(wish.key, most)})
        return Freight(parts=(Part(wish.key, wish.start, store.get_part(wish.key, wish.start, most)),))
    except MissingObjectError:
        return Freight(missing=frozenset({wish.key}))
