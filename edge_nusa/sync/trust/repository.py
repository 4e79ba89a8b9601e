"""The hub's side of trust: TUF metadata over a store in which nothing is ever overwritten.

    metadata/N.root.json       signed offline by at least a threshold of root keys, and by that of the root before it
    metadata/N.targets.json    names the one current round, and the bundles, each with its SHA-256 and bytes
    metadata/N.snapshot.json   names the version of targets
    metadata/N.timestamp.json  names the version of snapshot; a client takes the newest N
    (`edge_nusa.sync.trust.trusted`)
    rounds/                    the round itself, sealed (`edge_nusa.sync.trust.sealed_rounds`)

A publication becomes visible with its timestamp, which is written last; killed before that, it is as if it had not
begun.
Versions only grow: they are counted in the hub's own folder, so that even an emptied store is not answered by old
numbers. HUB/current-targets.json is what this hub signed last of targets: whatever a publication does not change stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa import kept
from edge_nusa.errors import StoreError, TrustError
from edge_nusa.files import durable
from edge_nusa.files.foreign import decoded
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.files.read_back import keep_file
from edge_nusa.sync.stores.store import Store, put
from edge_nusa.sync.trust import keys, own_targets, publication_clock, roots, sealed_rounds, sealing_keys
from edge_nusa.sync.trust.metadata import LARGEST_METADATA_BYTES, versions
from edge_nusa.sync.trust.sealing_keys import SealingKey, SealingPublic

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root, TargetFile, Targets

ONLINE_ROLES = ("targets", "snapshot", "timestamp")
VERSIONS_NAME, CURRENT_ROOT_NAME, CURRENT_TARGETS_NAME = "versions.json", "current-root.json", "current-targets.json"
LARGEST_ROOT_BYTES = 512_000
FARTHEST, LOST = 1_000_000, 1000
LARGEST_VERSION = 10**11 - 2
"""The next one still has a name that `versions` lists."""
LARGEST_VERSIONS_BYTES = 4096


@dataclass(frozen=True)
class Expiry:
    """For how many days what is published is believed: timestamp_days for the newest round, targets_days for what it
    names."""

    timestamp_days: int = 30
    targets_days: int = 365


@dataclass(frozen=True)
class Repository:
    """What signs and publishes. folder: the hub's own, with its keys and counters."""

    store: Store
    folder: Path
    expiry: Expiry = Expiry()

    def root(self) -> Metadata[Root]:
        """The newest root of the fleet: that of the hub's folder, and those after it that the store has and it
        vouches for, which a rotation left there when it was cut off."""
        data = durable.read_at_most(self.folder / CURRENT_ROOT_NAME, LARGEST_ROOT_BYTES)
        root = roots.read_root(data, str(self.folder / CURRENT_ROOT_NAME))
        while (key := f"metadata/{root.signed.version + 1}.root.json") and self.store.head(key) is not None:
            data = self.store.get(key, LARGEST_ROOT_BYTES)
            root = roots.successor(root, data, key)
            durable.replace_file(self.folder / CURRENT_ROOT_NAME, data)
        return root

    def publish_root(self, data: bytes) -> None:
        """Puts root metadata under its version, then keeps it here. Raises StoreError where another one is there."""
        version = roots.read_root(data, "root.json").signed.version
        put(self.store, f"metadata/{version}.root.json", data)
        kept.part(f"root {version} is in the store")
        durable.replace_file(self.folder / CURRENT_ROOT_NAME, data)

    def publish(self, number: int, data: bytes, devices: Sequence[SealingPublic], records: str = "") -> int:
        """Publishes a round, sealed to the hub itself and to these devices, or signs the same one anew; returns the
        version of the timestamp. records: the SHA-256 of what the hub keeps beside it.

        Raises StoreError, TrustError (a key, the root's end, the clock), ResourceError (the hub's disk).
        """
        self._check_clock(datetime.now(UTC))
        announced, objects = sealed_rounds.sealed_round(number, data, self.sealing_keys()[0], devices)
        for key, content in objects.items():
            put(self.store, key, content)
        target = sealed_rounds.target_of(replace(announced, records=records))
        return self.sign({target.path: target})

    def targets(self) -> dict[str, TargetFile]:
        """What this hub has published until now, by its paths: by its own folder, or by the store where that is
        newer. Raises StoreError, DamagedError."""
        newest = own_targets.newest(self.store, self.root().signed)
        both = (self._kept_targets(), newest.targets if newest else None)
        found = max((one for one in both if one is not None), key=lambda one: one.version, default=None)
        return dict(found.targets) if found is not None else {}

    def sign(self, changed: Mapping[str, TargetFile | None]) -> int:
        """Publish targets: those until now, with these in the place of those of the same path, and without those that
        are None here; returns the version of the timestamp. Raises as `publish` does."""
        from tuf.api.metadata import MetaFile, Snapshot, Targets, Timestamp

        now = datetime.now(UTC)
        self._check_clock(now)
        whole = {path: one for path, one in {**self.targets(), **changed}.items() if one is not None}
        version, data = self._put("targets", Targets(expires=_after(self.expiry.targets_days), targets=whole))
        snapshot = Snapshot(expires=_after(self.expiry.timestamp_days), meta={"targets.json": MetaFile(version)})
        timestamp = Timestamp(
            expires=_after(self.expiry.timestamp_days), snapshot_meta=MetaFile(self._put("snapshot", snapshot)[0])
        )
        newest = self._put("timestamp", timestamp)[0]
        durable.replace_file(self.folder / CURRENT_TARGETS_NAME, data)
        publication_clock.remember(self.folder, now)
        return newest

    def _check_clock(self, now: datetime) -> None:
        publication_clock.check(self.folder, self.root().signed.expires, now)

    def _kept_targets(self) -> Targets | None:
        """The targets that this folder saw signed last. Raises DamagedError."""
        from tuf.api.metadata import Metadata, Targets

        path = self.folder / CURRENT_TARGETS_NAME
        try:
            data = durable.read_at_most(path, LARGEST_METADATA_BYTES)
        except FileNotFoundError:
            return None
        with decoded(Origin(str(path), "remove it to take what was published from the store"), "targets metadata"):
            found = Metadata[Targets].from_bytes(data).signed
            if found.type != "targets":
                raise ValueError(found.type)
        return found

    def leave_room(self) -> None:
        """Count on from beyond all versions that publications which this folder and the store have lost may have had,
        since devices that saw them take no older ones."""
        counted = {role: self._versions().get(role, 0) + LOST for role in ONLINE_ROLES}
        self._count(counted)

    def _put(self, role: str, signed: Any) -> tuple[int, bytes]:
        """Sign with the role's key and put under the next free version; that version, and the bytes."""
        from tuf.api.metadata import Metadata

        signer = self._signer(role)
        signed.version = self._free_version(role)
        self._count({**self._versions(), role: signed.version})
        metadata = Metadata(signed)
        metadata.sign(signer)
        data = roots.to_bytes(metadata)
        if not self.store.put_new(f"metadata/{signed.version}.{role}.json", data):
            found = f"metadata/{signed.version}.{role}.json: expected a free name, found it taken"
            raise StoreError(f"{found}; another hub writes to this store: stop that one, and run it again")
        return int(signed.version), data

    def _count(self, counted: Mapping[str, int]) -> None:
        data = json.dumps(counted, sort_keys=True, allow_nan=False).encode() + b"\n"
        keep_file(self.folder / VERSIONS_NAME, data, lambda written: _counted(written, VERSIONS_NAME))

    def _signer(self, role: str) -> CryptoSigner:
        """The key of an online role, which is the one that the newest root names."""
        allowed = self.root().signed.roles[role].keyids
        for path in sorted((self.folder / "keys").glob(f"{role}-*.pem")):
            signer = keys.load_key(path)
            if signer.public_key.keyid in allowed:
                return signer
        raise TrustError(
            f"{self.folder / 'keys'}: expected the key of {role} that the fleet's root names, found none; restore it, "
            "or run `edge-nusa hub rotate`"
        )

    def sealing_keys(self) -> list[SealingKey]:
        """This hub's keys for opening, first the one that the newest root names, by which it also seals. Raises
        TrustError where that one is not there."""
        named, folder = roots.fleet_terms(self.root()).sealing, self.folder / "keys"
        found = sorted(sealing_keys.load_keys(folder), key=lambda key: key.public != named)
        if found[0].public != named:
            raise TrustError(
                f"{folder}: expected the sealing key {named.name[:16]} that the fleet's root names, found {len(found)} "
                "others; restore it, or run `edge-nusa hub rotate`"
            )
        return found

    def _free_version(self, role: str) -> int:
        """One more than this hub signed and the store has. What is far beyond was not signed here, and no device
        believes it."""
        counted = self._versions().get(role, 0)
        return (
            max([counted, *(version for version, _ in versions(self.store, role) if version <= counted + FARTHEST)]) + 1
        )

    def _versions(self) -> dict[str, int]:
        path = self.folder / VERSIONS_NAME
        try:
            data = durable.read_at_most(path, LARGEST_VERSIONS_BYTES + 1)
        except FileNotFoundError:
            return {}
        return _counted(data, str(path))


def _counted(data: bytes, where: str) -> dict[str, int]:
    """The newest version of each role. Raises DamagedError naming `where`."""
    next_step = "restore the file, or remove it to count from the store"
    record = parse(data, Origin(where, next_step), LARGEST_VERSIONS_BYTES)
    return {role: record.integer(role, 0, LARGEST_VERSION) for role in record.fields}


def new_online_keys(folder: Path) -> dict[str, CryptoSigner]:
    """A new key for each online role, kept in the hub's folder under its own name."""
    return {role: keys.new_named_key(folder / "keys", role) for role in ONLINE_ROLES}


def _after(days: int) -> datetime:
    return (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)
