"""Root metadata of a fleet: made, checked, and followed by the next one; its keys are used offline.

Beside what TUF wants of it, it says under x-edge-nusa what every device must know before it sends anything:
{"sealing": the hub's sealing key (base64), "sharing": exact, groups or means}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from edge_nusa.errors import InputError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.foreign import decoded, shown
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.sync.trust import sealing_keys
from edge_nusa.sync.trust.sealing_keys import SealingPublic

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root

ROOT_DAYS = 3650
FIRST_ROOT = "metadata/1.root.json"
"""What a store calls it."""
LARGEST_ROOT_BYTES = 1 << 20
TERMS = "x-edge-nusa"
Sharing = Literal["exact", "groups", "means"]
SHARINGS: tuple[Sharing, ...] = get_args(Sharing)


@dataclass(frozen=True)
class Terms:
    """What a fleet's root says to its devices. sealing: the key that updates are sealed to; sharing: what of the sums
    leaves a device (`exact`: the sums themselves, `groups`: sums of groups of pictures, `means`: means of labels)."""

    sealing: SealingPublic
    sharing: Sharing

    def to_json(self) -> dict[str, str]:
        """What stands in the root."""
        return {"sealing": self.sealing.text, "sharing": self.sharing}


def fleet_name(root: bytes) -> str:
    """What a fleet is called: the start of the SHA-256 of its first root."""
    return sha256_hex(root)[:32]


def fleet_terms(root: Metadata[Root]) -> Terms:
    """The terms of a root. Raises TrustError for a root without them."""
    origin = Origin("root.json", "it is of a fleet that another edge-nusa began: begin a fleet anew", TrustError)
    record = Record(root.signed.unrecognized_fields, origin).record(TERMS)
    record.only(("sealing", "sharing"))
    sharing = next(one for one in SHARINGS if one == record.choice("sharing", SHARINGS))
    return Terms(sealing_keys.public_of(record, "sealing"), sharing)


def new_root(
    root_signers: Sequence[CryptoSigner], threshold: int, online: Mapping[str, CryptoSigner], terms: Terms
) -> bytes:
    """The first root metadata: `threshold` of the root keys, and one key for each online role. Raises InputError."""
    from tuf.api.metadata import Metadata, Root

    if not 1 <= threshold <= len(root_signers):
        raise InputError(
            f"expected a threshold from 1 to {len(root_signers)} root keys, found {threshold}; choose another"
        )
    root = Root(
        version=1,
        expires=datetime.now(UTC).replace(microsecond=0) + timedelta(days=ROOT_DAYS),
        consistent_snapshot=True,
        unrecognized_fields={TERMS: terms.to_json()},
    )
    for signer in root_signers:
        root.add_key(signer.public_key, "root")
    for role, signer in online.items():
        root.add_key(signer.public_key, role)
    root.roles["root"].threshold = threshold
    metadata = Metadata(root)
    for signer in root_signers:
        metadata.sign(signer, append=True)
    return to_bytes(metadata)


def read_root(data: bytes, where: str) -> Metadata[Root]:
    """Root metadata that is signed by its own threshold. Raises TrustError naming `where`."""
    from tuf.api.metadata import Metadata

    with decoded(Origin(where, "give that one", TrustError), "the root.json that `edge-nusa hub init` wrote"):
        metadata: Metadata[Root] = Metadata.from_bytes(data)
        if metadata.signed.type != "root":
            raise TrustError(
                f"{where}: expected root metadata, found {shown(metadata.signed.type)}; give the root.json that "
                "`edge-nusa hub init` wrote"
            )
        metadata.signed.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
    return metadata


def rotated_root(
    current: Metadata[Root],
    old_signers: Sequence[CryptoSigner],
    new_signers: Sequence[CryptoSigner],
    threshold: int,
    online: Mapping[str, CryptoSigner],
    sealing: SealingPublic,
) -> bytes:
    """The root after `current`, with these root keys and online keys alone and this sealing key, signed by the old and
    the new root keys; what the fleet shares stays.

    Raises TrustError where the old keys are fewer than the current root's threshold.
    """
    from tuf.api.metadata import Metadata, Root

    allowed = current.signed.roles["root"]
    have = {signer.public_key.keyid: signer for signer in old_signers if signer.public_key.keyid in allowed.keyids}
    if len(have) < allowed.threshold:
        raise TrustError(
            f"expected at least {allowed.threshold} of the fleet's root keys, found {len(have)}; bring the media that "
            "hold them"
        )
    terms = Terms(sealing, fleet_terms(current).sharing)
    root = Metadata[Root].from_bytes(new_root(new_signers, threshold, online, terms)).signed
    root.version = current.signed.version + 1
    metadata = Metadata(root)
    for signer in {**have, **{signer.public_key.keyid: signer for signer in new_signers}}.values():
        metadata.sign(signer, append=True)
    return to_bytes(metadata)


def successor(current: Metadata[Root], data: bytes, where: str) -> Metadata[Root]:
    """The root of the next version, vouched for by the current one and by itself. Raises TrustError naming `where`."""
    found = read_root(data, where)
    origin = Origin(where, "someone else writes to this store", TrustError)
    with decoded(origin, "a root that the one before it vouches for"):
        current.signed.verify_delegate("root", found.signed_bytes, found.signatures)
        if found.signed.version != current.signed.version + 1:
            raise ValueError(f"version {found.signed.version}")
    return found


def to_bytes(metadata: Any) -> bytes:
    """Canonical JSON of signed metadata."""
    from tuf.api.serialization.json import JSONSerializer

    return bytes(metadata.to_bytes(JSONSerializer(compact=True)))
