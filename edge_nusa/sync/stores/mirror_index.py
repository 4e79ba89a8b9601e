"""MIRROR/index.json: the newest timestamps in a folder that a plain web server shows, since such a server lists
nothing.

    {"format_version": 1, "metadata": ["metadata/7.timestamp.json", ...]}

It is the one object that is replaced. Nobody signs it and nobody trusts it: who writes another one hides what is new,
as whoever holds the server can anyway, and every timestamp it leads to is followed from the fleet's root.
"""

from __future__ import annotations

from edge_nusa.errors import StoreError
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync.stores.folder import FILE_MODE, FolderStore
from edge_nusa.sync.stores.store import check_key

FORMAT_VERSION = 1
NAME = "index.json"
PREFIX, SUFFIX = "metadata", ".timestamp.json"
MOST_KEYS = 64
"""More than a device looks at; the newest."""
LARGEST_BYTES = 1 << 16


def write(mirror: FolderStore) -> None:
    """Write the list of a folder anew, whole or not at all. Raises StoreError."""
    keys = [key for key in mirror.list(PREFIX) if key.endswith(SUFFIX)]
    newest = sorted(keys, key=_version)[-MOST_KEYS:]
    path = mirror.folder / NAME
    with durable.explained(f"write {path}"):
        durable.replace_file(path, canonical({"format_version": FORMAT_VERSION, PREFIX: newest}), FILE_MODE)


def _version(key: str) -> tuple[int, str]:
    """Numbers by their value: what else stands there comes first."""
    number = key.removeprefix(f"{PREFIX}/").removesuffix(SUFFIX)
    return (int(number) if number.isascii() and number.isdecimal() and len(number) < 12 else -1, key)


def read(data: bytes, where: str) -> list[str]:
    """The keys that a list has, sorted. Raises StoreError for bytes that are none."""
    step = "give the address of a folder that `edge-nusa hub publish --mirror` writes"
    record = parse(data, Origin(where, step, StoreError), LARGEST_BYTES)
    record.version(FORMAT_VERSION, "use an edge-nusa of the hub's version")
    return sorted(check_key(key) for key in record.texts(PREFIX, MOST_KEYS, 400))
