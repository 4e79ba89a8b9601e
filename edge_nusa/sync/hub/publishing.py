"""A publication: the newest round signed for the enrolled devices, and put into the store; of a hub that has merged
nothing, the bundles that it offers signed anew."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edge_nusa import kept
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.state.state import State
from edge_nusa.sync.hub.catching_up import Files, Publications
from edge_nusa.sync.hub.device_records import Records
from edge_nusa.sync.hub.enrolled import Enrolled
from edge_nusa.sync.hub.report import Published
from edge_nusa.sync.round_file import Round
from edge_nusa.sync.trust.repository import Repository


class Publisher(Protocol):
    """What of a hub (`edge_nusa.sync.hub.hub.Hub`) a publication needs."""

    folder: Path
    state: State
    enrolled: Enrolled

    def catch_up(self) -> None: ...
    def current(self) -> tuple[Round, Records]: ...
    def files(self) -> Files: ...
    def newest(self) -> tuple[int, bytes | None]: ...
    def repository(self) -> Repository: ...
    def publications(self) -> Publications: ...
    def mirror(self, place: str) -> int: ...


def publish(hub: Publisher, mirror: str | None) -> Published:
    """`Hub.publish`."""
    with hub.state.writer():
        hub.catch_up()
        done = _signed_anew(hub) if offers_bundles_alone(hub) else _published(hub)
    kept.part(f"round {done.round} is published" if done.round else "the bundles are signed anew")
    if mirror is not None:
        hub.mirror(mirror)
    return done


def offers_bundles_alone(hub: Publisher) -> bool:
    """Whether this hub has merged no round, and something else to sign. Raises StoreError, DamagedError."""
    return hub.newest()[1] is None and bool(hub.repository().targets())


def _published(hub: Publisher) -> Published:
    (found, _), files = hub.current(), hub.files()
    devices = [device.sealing for device in hub.enrolled.all() if not device.is_revoked]
    with durable.explained(f"publish round {found.number} from {hub.folder}"):
        version = hub.repository().publish(found.number, files[0], devices, hub.publications().keep(files))
    return Published(found.number, sha256_hex(files[0]), len(files[0]), version)


def _signed_anew(hub: Publisher) -> Published:
    with durable.explained(f"sign the bundles of {hub.folder} anew"):
        return Published(0, "", 0, hub.repository().sign({}))
