"""What TUF's metadata is called in a store, and how large it may be."""

from __future__ import annotations

from edge_nusa.sync.stores.store import Store

LARGEST_METADATA_BYTES = 512_000


def versions(store: Store, role: str) -> list[tuple[int, str]]:
    """(version, key) of what the store lists of a role, oldest first."""
    found = []
    for key in store.list("metadata"):
        number, _, rest = key.removeprefix("metadata/").partition(".")
        if rest == f"{role}.json" and number.isascii() and number.isdecimal() and len(number) < 12:
            found.append((int(number), key))
    return sorted(found)
