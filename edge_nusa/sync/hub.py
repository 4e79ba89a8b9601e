"""The hub: merges what enrolled devices put into the store into the next round, and publishes it; it needs no torch.

    HUB/settings.json   fleet, store, basis hash        HUB/devices/   `edge_nusa.sync.enrolled`
    HUB/root.json       to be given to every device     HUB/keys/      keys of the online roles (0600)
    HUB/state/          generations, each a round and what the hub knows of the devices (`edge_nusa.state`)

Root keys belong on a medium that is not here most of the time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_nusa import durable
from edge_nusa.bundle import Bundle
from edge_nusa.errors import DamagedError, InputError, UsageError
from edge_nusa.file_record import sha256_hex
from edge_nusa.state import State
from edge_nusa.sync import inbox, keys, merging, round_file
from edge_nusa.sync.enrolled import Device, Enrolled
from edge_nusa.sync.folder_store import FolderStore
from edge_nusa.sync.inbox import Mail
from edge_nusa.sync.merging import Contribution, Step
from edge_nusa.sync.packed import Layout
from edge_nusa.sync.repository import ONLINE_ROLES, Expiry, Repository, key_path, new_root
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.store import Store, open_store

FORMAT_VERSION = 1
FILES = ("round.bin", "ledger.json")
SETTINGS_NAME, ROOT_NAME = "settings.json", "root.json"


@dataclass(frozen=True)
class RootKeys:
    """Where the root keys go, how many, and how many of them must sign."""

    folder: Path
    count: int = 2
    threshold: int = 1


@dataclass(frozen=True)
class HubSettings:
    """What a hub is bound to."""

    fleet: str
    store: str
    basis_hash: str
    expiry: Expiry = Expiry()


def create(folder: Path, store: str, bundle: Bundle, root_keys: RootKeys, expiry: Expiry) -> HubSettings:
    """Make a hub, its keys and root.json, and put the root into the store. Raises InputError where there is a hub already."""
    keys.require_packages()
    if (folder / SETTINGS_NAME).exists():
        raise InputError(f"{folder}: expected no hub yet, found one; choose another --hub")
    opened = open_store(store)
    if isinstance(opened, FolderStore):
        store = str(Path(store).absolute())
        opened.create()
    online = {role: keys.new_key(key_path(folder, role)) for role in ONLINE_ROLES}
    root_signers = [keys.new_key(root_keys.folder / f"root-{number}.pem") for number in range(1, root_keys.count + 1)]
    root = new_root(root_signers, root_keys.threshold, online)
    settings = HubSettings(sha256_hex(root)[:32], store, bundle.manifest.basis_hash, expiry)
    Repository(opened, folder, expiry).publish_root(root)
    with durable.explained(f"write {folder}"):
        durable.replace_file(folder / ROOT_NAME, root)
        durable.replace_file(folder / SETTINGS_NAME, json.dumps({**asdict(settings), "format_version": FORMAT_VERSION}, sort_keys=True, indent=1).encode() + b"\n")
    return settings


def read_settings(folder: Path) -> HubSettings:
    """Raises InputError where there is no hub, DamagedError for settings that are none."""
    path = folder / SETTINGS_NAME
    try:
        record = json.loads(durable.read_at_most(path, 1 << 16))
        if record["format_version"] != FORMAT_VERSION:
            raise DamagedError(f"{path}: expected format {FORMAT_VERSION}, found {record['format_version']!r}; use the edge-nusa that wrote it")
        return HubSettings(str(record["fleet"]), str(record["store"]), str(record["basis_hash"]), Expiry(**record["expiry"]))
    except FileNotFoundError as error:
        raise InputError(f"{folder}: expected a hub, found none; make one with `edge-nusa hub init STORE`") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"{path}: expected a hub's settings, found something else ({error}); restore the file from your backup") from error


class Hub:
    """An opened hub. Raises what `read_settings` does, and UsageError for another bundle than the fleet's."""

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        keys.require_packages()
        self.folder, self.settings, self.layout = folder, read_settings(folder), Layout(bundle)
        if self.settings.basis_hash != self.layout.basis_hash:
            raise UsageError(f"{folder}: expected the bundle with the basis {self.settings.basis_hash[:16]}..., found {self.layout.basis_hash[:16]}...; pass the fleet's --bundle")
        self.store: Store = open_store(self.settings.store)
        self.state = State(folder / "state", self.layout.basis_hash)
        self.enrolled = Enrolled(folder / "devices")

    def current(self) -> tuple[Round, dict[str, Any]]:
        """The newest merged round and the ledger beside it: of each device {"round", "seen", "refused_rounds"}."""
        found = self.state.snapshot(FILES)
        if found is None:
            return round_file.nothing(self.settings.fleet, self.layout), {}
        generation, files = found
        where = str(generation.folder / FILES[0])
        return round_file.decode(files[FILES[0]], self.layout, where), json.loads(files[FILES[1]])

    def merge(self) -> dict[str, Any]:
        """Merge everything new into the next round; returns the report that `hub merge --format json` prints."""
        began = time.monotonic()
        with self.state.writer():
            before, ledger = self.current()
            mails = [inbox.collect(self.store, device.key, before, self.layout) for device in self.enrolled.all() if not device.is_revoked]
            report = {"round": before.number, "merged": False, "devices": [self._row(mail) for mail in mails]}
            if any(mail.accepted or mail.refused for mail in mails):
                made = self._merged(before, mails)
                self.state.commit({FILES[0]: round_file.encode(made), FILES[1]: self._ledger(ledger, mails)}, "merge")
                report |= {"round": made.number, "merged": True, "labels": made.knowledge.names}
            return {**report, "seconds": round(time.monotonic() - began, 2)}

    def publish(self) -> dict[str, Any]:
        """Publish the newest round, or sign it anew. Raises InputError before the first merge."""
        found, data = self.current()[0], self._round_bytes()
        version = Repository(self.store, self.folder, self.settings.expiry).publish(found.number, data)
        return {"round": found.number, "sha256": sha256_hex(data), "bytes": len(data), "timestamp": version}

    def status(self) -> dict[str, Any]:
        """{"fleet", "store", "round", "labels", "devices": a row for each}."""
        found, ledger = self.current()
        rows = [self._status_row(device, found.received.get(device.key.keyid, Received()), ledger.get(device.key.keyid, {})) for device in self.enrolled.all()]
        return {"fleet": self.settings.fleet, "store": self.settings.store, "round": found.number, "labels": found.knowledge.names, "devices": rows}

    def _round_bytes(self) -> bytes:
        snapshot = self.state.snapshot(FILES[:1])
        if snapshot is None:
            raise InputError(f"{self.folder}: expected a merged round, found none; run `edge-nusa hub merge` after a device has pushed")
        return snapshot[1][FILES[0]]

    def _merged(self, before: Round, mails: list[Mail]) -> Round:
        senders = [mail for mail in mails if mail.accepted]
        forgets = sorted({key for mail in senders for one in mail.accepted for key, _ in one.statement.forgets})
        made = merging.merged(before, _Contributions(self, senders), merging.weighted_mean, forgets)
        received = dict(made.received)
        for mail in mails:
            if mail.refused:
                old = received.get(mail.device, Received())
                received[mail.device] = Received(mail.through, {**old.refused, **mail.refused}, old.forgot)
        return Round(made.fleet, made.number, made.basis_hash, made.knowledge, made.forgotten, received)

    def _ledger(self, ledger: dict[str, Any], mails: list[Mail]) -> bytes:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for mail in mails:
            if mail.accepted:
                place = mail.accepted[-1].statement.place
                ledger = {**ledger, mail.device: {"round": place.round.number, "seen": now, "refused_rounds": list(place.refused_rounds)}}
        return json.dumps(ledger, sort_keys=True).encode()

    def _row(self, mail: Mail) -> dict[str, Any]:
        return {"device": mail.device, "updates": len(mail.accepted), "refused": {str(n): why for n, why in mail.refused.items()}, "notes": mail.notes}

    def _status_row(self, device: Device, received: Received, seen: dict[str, Any]) -> dict[str, Any]:
        return {
            "device": device.key.keyid, "name": device.name, "revoked": device.is_revoked, "updates": received.through, "round": seen.get("round"),
            "seen": seen.get("seen"), "refused": {str(n): why for n, why in received.refused.items()}, "refused_rounds": seen.get("refused_rounds", []),
        }  # fmt: skip


class _Contributions:
    """The contributions of these devices, read one at a time each time they are passed over."""

    def __init__(self, hub: Hub, senders: list[Mail]) -> None:
        self.hub, self.senders = hub, senders

    def __iter__(self) -> Iterator[Contribution]:
        for mail in self.senders:
            steps = [
                Step(one.statement.place.sequence, one.statement.place.round.number, inbox.read(self.hub.store, one, self.hub.layout))
                for one in mail.accepted
            ]
            yield Contribution(mail.device, steps)
