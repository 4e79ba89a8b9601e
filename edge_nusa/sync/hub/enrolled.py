"""The hub's list of devices: a file for each whose updates are taken and to whom rounds are sealed; revoked ones stay
on it as such."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nusa.errors import InputError
from edge_nusa.files.foreign import shown
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync.hub.kept_list import KeptList
from edge_nusa.sync.trust import device_keys
from edge_nusa.sync.trust.device_keys import DevicePublic
from edge_nusa.sync.trust.sealing_keys import SealingPublic

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

FORMAT_VERSION = 3
LARGEST_ENTRY_BYTES = 16384
LONGEST_NAME, LONGEST_CAME = 60, 16
_NEXT_STEP = "remove the file and enrol the device again"


@dataclass(frozen=True)
class Device:
    """A device: its public keys, what the hub's user calls it, whether it was revoked, and whether it is a hub that
    brings what the devices of a smaller fleet gave. token: the name of the join token that brought it, request: the
    start of the name of what it put into the store then; "" for both where the hub's user enrolled it."""

    public: DevicePublic
    name: str
    is_revoked: bool = False
    is_hub: bool = False
    token: str = ""
    request: str = ""

    @property
    def key(self) -> SSlibKey:
        """The one that it signs with; its name is the device's name in the fleet."""
        return self.public.key

    @property
    def sealing(self) -> SealingPublic:
        """The one that rounds are sealed to."""
        return self.public.sealing

    @property
    def stem(self) -> str:
        """The name of its key."""
        return self.key.keyid

    def words(self) -> str:
        """That it is enrolled, or revoked."""
        who = f"{self.stem[:16]} {self.name}".rstrip()
        return f"{who} is {'revoked' if self.is_revoked else 'enrolled'}"

    def encoded(self) -> bytes:
        """Its file's bytes."""
        record = {
            "format_version": FORMAT_VERSION,
            "device": self.public.record(),
            "name": self.name,
            "revoked": self.is_revoked,
            **({"hub": True} if self.is_hub else {}),
            "token": self.token,
            "request": self.request,
        }
        return json.dumps(record, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


class Enrolled(KeptList[Device]):
    """The devices in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _decoded, LARGEST_ENTRY_BYTES)

    def add(self, public: bytes, name: str, where: str, is_hub: bool = False) -> Device:
        """Enrol a device.pub, or let one that is enrolled already be a hub. Raises InputError for a bad file or name,
        or a key that is there already (also a revoked one)."""
        found = device_keys.decode(public, where)
        if not name.isprintable() or len(name) > LONGEST_NAME:
            raise InputError(
                f"--name: expected at most {LONGEST_NAME} printable characters, found {shown(name)}; choose another"
            )
        taken = next((one for one in self.all() if _meet(one.public, found)), None)
        if taken is None:
            self._check_free(name)
            return self.write(Device(found, name, is_hub=is_hub))
        if is_hub and taken.public == found and not taken.is_revoked and name in ("", taken.name):
            return self.write(replace(taken, is_hub=True))
        state = "revoked: make a new key on the device" if taken.is_revoked else "enrolled already"
        raise InputError(
            f"{where}: expected a new key and name, found {taken.key.keyid[:16]} {shown(taken.name)}, {state}"
        )

    def _check_free(self, name: str) -> None:
        """Raises InputError for a name that a device has."""
        taken = next((one for one in self.all() if name and one.name == name), None)
        if taken is not None:
            raise InputError(
                f"--name: expected a name that no device has, found {shown(name)}, which is that of "
                f"{taken.key.keyid[:16]}; choose another --name"
            )

    def revoke(self, wanted: str) -> Device:
        """Take no more updates of the device with this name or start of its key's name. Raises InputError."""
        return self.write(replace(self.find(wanted), is_revoked=True))

    def find(self, wanted: str) -> Device:
        """The device with this name or start of its key's name. Raises InputError."""
        found = [d for d in self.all() if d.name == wanted or (len(wanted) >= 8 and d.key.keyid.startswith(wanted))]
        if len(found) != 1:
            raise InputError(
                f"{shown(wanted)}: expected the name of one device or 8 characters of its key, found {len(found)} "
                "such; see `edge-nusa hub status`"
            )
        return found[0]

    def hubs(self) -> list[str]:
        """The names of those that are hubs."""
        return [device.key.keyid for device in self.all() if device.is_hub]


def _decoded(data: bytes, path: Path) -> Device:
    """A device's entry, which is named after its key. Raises DamagedError."""
    record = parse(data, Origin(str(path), _NEXT_STEP), LARGEST_ENTRY_BYTES)
    record.version(FORMAT_VERSION)
    public = device_keys.decode_record(record.record("device"))
    if path.stem != public.key.keyid:
        raise record.origin.refused("device", f"the key {path.stem[:16]}...", public.key.keyid)
    is_hub = record.flag("hub") if "hub" in record else False
    came = {name: record.text(name, LONGEST_CAME) for name in ("token", "request")}
    return Device(public, record.text("name", LONGEST_NAME), record.flag("revoked"), is_hub, **came)


def _meet(one: DevicePublic, other: DevicePublic) -> bool:
    """Two devices never share a key: who takes another's sealing key for its own hides which of them reads."""
    return one.key.keyid == other.key.keyid or one.sealing == other.sealing
