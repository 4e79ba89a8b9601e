"""A device's two public keys in one record, as `device.pub` brings them to the hub: one that it signs with, which is
its name, and one that rounds are sealed to, which the first vouches for.

    {"format_version": 1, "key": ed25519, "sealing": base64, "signature": hexadecimal digits}

The signature is ed25519's over VOUCHED and the bytes of the sealing key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_nusa.errors import InputError
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.sync.trust import keys, sealing_keys
from edge_nusa.sync.trust.sealing_keys import SealingPublic

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

FORMAT_VERSION = 1
LARGEST_BYTES = 8192
VOUCHED = b"edge-nusa sealing key of a device 1\n"
_NEXT_STEP = "give the device.pub that `edge-nusa sync init` wrote"


@dataclass(frozen=True)
class DevicePublic:
    """What others know of a device's keys. signature: by `key`, over `sealing`, in hex."""

    key: SSlibKey
    sealing: SealingPublic
    signature: str

    def record(self) -> dict[str, Any]:
        """The record, for a file."""
        return {
            "format_version": FORMAT_VERSION,
            "key": keys.public_record(self.key),
            "sealing": self.sealing.text,
            "signature": self.signature,
        }

    def encoded(self) -> bytes:
        """The file `device.pub`."""
        return json.dumps(self.record(), sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def public_of(signer: CryptoSigner, sealing: SealingPublic) -> DevicePublic:
    """The public keys of a device, made by the device."""
    return DevicePublic(signer.public_key, sealing, signer.sign(VOUCHED + sealing.data).signature)


def decode(data: bytes, where: str) -> DevicePublic:
    """The inverse of `DevicePublic.encoded`. Raises InputError naming `where`."""
    return decode_record(parse(data, Origin(where, _NEXT_STEP, InputError), LARGEST_BYTES))


def decode_record(record: Record) -> DevicePublic:
    """The inverse of `DevicePublic.record`. Raises the record's error."""
    from securesystemslib.exceptions import UnverifiedSignatureError
    from securesystemslib.signer import Signature

    record.version(FORMAT_VERSION)
    record.only(("format_version", "key", "sealing", "signature"))
    key, sealing = keys.key_of(record.record("key")), sealing_keys.public_of(record, "sealing")
    signature = record.text("signature", 128)
    try:
        key.verify_signature(Signature(key.keyid, signature), VOUCHED + sealing.data)
    except (UnverifiedSignatureError, ValueError) as error:
        raise record.origin.refused("signature", "the device's own over its sealing key", signature) from error
    return DevicePublic(key, sealing, signature)
