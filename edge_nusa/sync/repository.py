"""The hub's side of trust: TUF metadata over a store in which nothing is ever overwritten.

    metadata/N.root.json       signed offline by at least a threshold of root keys, and by that of the root before it
    metadata/N.targets.json    names the one current round with its SHA-256 and bytes
    metadata/N.snapshot.json   names the version of targets
    metadata/N.timestamp.json  names the version of snapshot; a client takes the newest N (`edge_nusa.sync.trusted`)
    rounds/SHA256.current.round the round itself

A publication becomes visible with its timestamp, which is written last; killed before that, it is as if it had not begun.
Versions only grow: they are counted in the hub's own folder, so that even an emptied store is not answered by old numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa import durable
from edge_nusa.errors import DamagedError, InputError, StoreError, TrustError
from edge_nusa.sync import keys
from edge_nusa.sync.store import Store, put

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root

ONLINE_ROLES = ("targets", "snapshot", "timestamp")
TARGET = "rounds/current.round"
"""The target that targets metadata names; in the store its name starts with its SHA-256."""
ROOT_DAYS = 3650
VERSIONS_NAME = "versions.json"


@dataclass(frozen=True)
class Expiry:
    """For how many days what is published is believed: timestamp_days for the newest round, targets_days for what it names."""

    timestamp_days: int = 30
    targets_days: int = 365


def new_root(root_signers: Sequence[CryptoSigner], threshold: int, online: Mapping[str, CryptoSigner]) -> bytes:
    """The first root metadata: `threshold` of the root keys, and one key for each online role. Raises InputError."""
    from tuf.api.metadata import Metadata, Root

    if not 1 <= threshold <= len(root_signers):
        raise InputError(f"expected a threshold from 1 to {len(root_signers)} root keys, found {threshold}; choose another")
    root = Root(version=1, expires=_after(ROOT_DAYS), consistent_snapshot=True)
    for signer in root_signers:
        root.add_key(signer.public_key, "root")
    for role, signer in online.items():
        root.add_key(signer.public_key, role)
    root.roles["root"].threshold = threshold
    metadata = Metadata(root)
    for signer in root_signers:
        metadata.sign(signer, append=True)
    return _bytes(metadata)


def read_root(data: bytes, where: str) -> Metadata[Root]:
    """Root metadata that is signed by its own threshold. Raises TrustError naming `where`."""
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata

    try:
        metadata: Metadata[Root] = Metadata.from_bytes(data)
        if metadata.signed.type != "root":
            raise TrustError(f"{where}: expected root metadata, found {metadata.signed.type}; give the root.json that `edge-nusa hub init` wrote")
        metadata.signed.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrustError(f"{where}: expected the root.json that `edge-nusa hub init` wrote, found something else ({error})") from error
    return metadata


@dataclass(frozen=True)
class Repository:
    """What signs and publishes. folder: the hub's own, with its keys and counters."""

    store: Store
    folder: Path
    expiry: Expiry = Expiry()

    def publish_root(self, data: bytes) -> None:
        """Puts root metadata under its version."""
        put(self.store, f"metadata/{read_root(data, 'root.json').signed.version}.root.json", data)

    def publish(self, number: int, data: bytes) -> int:
        """Publishes a round, or signs the same one anew; returns the version of the timestamp.

        Raises StoreError, TrustError (a key), ResourceError (the hub's disk).
        """
        from tuf.api.metadata import MetaFile, Snapshot, TargetFile, Targets, Timestamp

        target = TargetFile.from_data(TARGET, data, ["sha256"])
        put(self.store, target.get_prefixed_paths()[0], data)
        target.unrecognized_fields["custom"] = {"round": number}
        targets = self._put("targets", Targets(expires=_after(self.expiry.targets_days), targets={target.path: target}))
        snapshot = Snapshot(expires=_after(self.expiry.timestamp_days), meta={"targets.json": MetaFile(targets)})
        timestamp = Timestamp(expires=_after(self.expiry.timestamp_days), snapshot_meta=MetaFile(self._put("snapshot", snapshot)))
        return self._put("timestamp", timestamp)

    def _put(self, role: str, signed: Any) -> int:
        """Sign with the role's key and put under the next free version, which is returned."""
        from tuf.api.metadata import Metadata

        signer = keys.load_key(key_path(self.folder, role))
        signed.version = max(self._versions().get(role, 0), self._newest(role)) + 1
        durable.replace_file(self.folder / VERSIONS_NAME, json.dumps({**self._versions(), role: signed.version}, sort_keys=True).encode() + b"\n")
        metadata = Metadata(signed)
        metadata.sign(signer)
        if not self.store.put_new(f"metadata/{signed.version}.{role}.json", _bytes(metadata)):
            raise StoreError(f"metadata/{signed.version}.{role}.json: expected a free name, found it taken; another hub writes to this store: run it again, and stop that one")
        return int(signed.version)

    def _versions(self) -> dict[str, int]:
        path = self.folder / VERSIONS_NAME
        try:
            return {str(role): int(version) for role, version in json.loads(durable.read_at_most(path, 4096)).items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise DamagedError(f"{path}: expected the versions last signed, found something else ({error}); restore the file, or remove it to count from the store") from error

    def _newest(self, role: str) -> int:
        return max((version for version, _ in versions(self.store, role)), default=0)


def versions(store: Store, role: str) -> list[tuple[int, str]]:
    """(version, key) of what the store lists of a role, oldest first."""
    found = []
    for key in store.list("metadata"):
        number, _, rest = key.removeprefix("metadata/").partition(".")
        if rest == f"{role}.json" and number.isascii() and number.isdecimal() and len(number) < 12:
            found.append((int(number), key))
    return sorted(found)


def key_path(folder: Path, role: str) -> Path:
    """Where the hub keeps the key of an online role."""
    return folder / "keys" / f"{role}.pem"


def _after(days: int) -> datetime:
    return (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)


def _bytes(metadata: Any) -> bytes:
    from tuf.api.serialization.json import JSONSerializer

    return bytes(metadata.to_bytes(JSONSerializer(compact=True)))
