"""A hub that is behind its own publications, since its folder was restored from a backup or made anew from its keys,
takes the newest of them from the store before it merges, takes back or publishes: so it neither offers an old round as
the newest nor refuses what devices learned on newer ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_nusa import kept
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync.hub import shares
from edge_nusa.sync.hub.enrolled import Enrolled
from edge_nusa.sync.hub.stored import OwnStore
from edge_nusa.sync.trust.own_rounds import newest_own
from edge_nusa.sync.trust.repository import Repository
from edge_nusa.sync.trust.trusted import PARTS, Bounds

if TYPE_CHECKING:
    from edge_nusa.sync.hub.hub import Hub

LARGEST_ROUND_LABELS = 10_000
LARGEST_LIST_BYTES = 256 << 20


def kept_records(hub: Hub) -> str:
    """Keep in the store what stands beside the newest round; the SHA-256 of the records."""
    _, records, given = hub.files()
    found = shares.decode(given, shares.NAME).devices.values()
    contents = {one.sha256: lambda name=one.sha256: hub.given.bytes_of(name) for one in found}
    return OwnStore(hub.store, hub.keys).keep((records, given, _list_of(hub.enrolled)), contents)


def catch_up(hub: Hub) -> None:
    """Take the newest round that this hub has published where its folder does not know it. Call it inside
    state.writer().

    Raises StoreError where the store does not answer or has lost what belongs to that round, TrustError.
    """
    number, data = hub.newest()
    bounds = Bounds(hub.shapes.largest_bytes(LARGEST_ROUND_LABELS), known=frozenset({sha256_hex(data)} if data else ()))
    found = newest_own(Repository(hub.store, hub.folder, hub.settings.expiry), hub.folder / PARTS, bounds)
    if found is None or found.data is None or found.number < number:
        return
    own = OwnStore(hub.store, hub.keys)
    records, given, devices = own.records(found.records)
    for one in shares.decode(given, shares.NAME).devices.values():
        if not hub.given.has(one.sha256):
            hub.given.keep(own.given(one.sha256))
    _take_list(hub.enrolled, devices)
    hub.commit_files((found.data, records, given), f"round {found.number} from the store")
    kept.part(f"round {found.number}, which this hub had published, is taken from the store")


def _list_of(enrolled: Enrolled) -> bytes:
    """Every device's file, as one line."""
    files = {name: data.decode() for name, data in enrolled.files().items()}
    return json.dumps(files, sort_keys=True, allow_nan=False).encode()


def _take_list(enrolled: Enrolled, line: bytes) -> None:
    """The devices that this folder does not know, or does not know to be revoked."""
    record = parse(line, Origin("the hub's list of devices", "restore the hub's folder"), LARGEST_LIST_BYTES)
    for name in record.fields:
        enrolled.take(name, record.text(name).encode())
