"""A publication: the newest round signed for the enrolled devices, and put into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_nusa import kept
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.sync.hub.report import Published

if TYPE_CHECKING:
    from edge_nusa.sync.hub.hub import Hub


def publish(hub: Hub, mirror: str | None) -> Published:
    """`Hub.publish`."""
    with hub.state.writer():
        hub.catch_up()
        (found, _), files = hub.current(), hub.files()
        devices = [device.sealing for device in hub.enrolled.all() if not device.is_revoked]
        with durable.explained(f"publish round {found.number} from {hub.folder}"):
            version = hub.repository().publish(found.number, files[0], devices, hub.publications().keep(files))
    kept.part(f"round {found.number} is published")
    if mirror is not None:
        hub.mirror(mirror)
    return Published(found.number, sha256_hex(files[0]), len(files[0]), version)
