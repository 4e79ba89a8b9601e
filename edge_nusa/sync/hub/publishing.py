"""A publication: the newest round signed for the enrolled devices, and put into the store; of a hub that has merged
nothing, the bundles that it offers signed anew."""

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
        done = _signed_anew(hub) if offers_bundles_alone(hub) else _published(hub)
    kept.part(f"round {done.round} is published" if done.round else "the bundles are signed anew")
    if mirror is not None:
        hub.mirror(mirror)
    return done


def offers_bundles_alone(hub: Hub) -> bool:
    """Whether this hub has merged no round, and something else to sign. Raises StoreError, DamagedError."""
    return hub.newest()[1] is None and bool(hub.repository().targets())


def _published(hub: Hub) -> Published:
    (found, _), files = hub.current(), hub.files()
    devices = [device.sealing for device in hub.enrolled.all() if not device.is_revoked]
    with durable.explained(f"publish round {found.number} from {hub.folder}"):
        version = hub.repository().publish(found.number, files[0], devices, hub.publications().keep(files))
    return Published(found.number, sha256_hex(files[0]), len(files[0]), version)


def _signed_anew(hub: Hub) -> Published:
    with durable.explained(f"sign the bundles of {hub.folder} anew"):
        return Published(0, "", 0, hub.repository().sign({}))
