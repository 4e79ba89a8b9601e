"""A round in the store: sealed content, and beside it the parts by which each recipient opens it.

    rounds/SHA256.current.round   the content, as `edge_nusa.sync.trust.sealing` ends
    rounds/SHA256.current.keys    what stands before it there: a beginning, names, wraps

TUF's targets name the first with its SHA-256 and bytes, and say in `custom` what is inside:

    round, sha256                 the round's number, and the SHA-256 of the plain round
    keys, names, recipients       the SHA-256 of the second object, that of the names in it, and how many they are
    records                       the SHA-256 of what the hub keeps for itself beside it (`edge_nusa.sync.hub.stored`)

A device reads its own wrap only, so that a fleet of a thousand costs it 17 KB and not 1.2 MB. A wrap that was changed
opens nothing, and what is opened is compared with the plain SHA-256 that was signed.
The content key comes from the hub's secret, the plain round and the recipients, so that the same round published again
to the same devices is the same content in the store, and a download that was cut goes on.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa.errors import TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_record import Origin, Record, is_sha256
from edge_nusa.sync.stores import download
from edge_nusa.sync.stores.store import Store
from edge_nusa.sync.trust import sealing
from edge_nusa.sync.trust.sealing_keys import NAME_BYTES, SealingKey, SealingPublic

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile

TARGET = "rounds/current.round"
"""The target that targets metadata names; in the store its name starts with its SHA-256."""
CONTENT_SUFFIX, KEYS_SUFFIX = "current.round", "current.keys"
LARGEST_NUMBER = 2**31
HASHES = ("sha256", "keys", "names")
_CONTENT_KEY = b"edge-nusa content key 1\n"


@dataclass(frozen=True, kw_only=True)
class Announced:
    """What the hub signed of a round. number; sha256: of the plain round; size: of the sealed content in bytes;
    content, keys, names: SHA-256 of the two objects and of the names in the second; recipients: how many; records: the
    SHA-256 of the hub's own records, "" for none."""

    number: int
    sha256: str
    size: int
    content: str
    keys: str
    names: str
    recipients: int
    records: str = ""

    @property
    def content_key(self) -> str:
        """Where the content lies in a store."""
        return f"rounds/{self.content}.{CONTENT_SUFFIX}"

    @property
    def keys_key(self) -> str:
        """Where the recipients' parts lie in a store."""
        return f"rounds/{self.keys}.{KEYS_SUFFIX}"


def context(number: int) -> bytes:
    """What a round is sealed for."""
    return b"round %d" % number


def sealed_round(
    number: int, plain: bytes, hub: SealingKey, devices: Sequence[SealingPublic]
) -> tuple[Announced, Mapping[str, bytes]]:
    """A round for the hub itself and these devices: what is to be signed of it, and the objects by their keys."""
    to = {one.name: one for one in (hub.public, *devices)}
    inside = b"".join((_CONTENT_KEY, context(number), b"\n", sha256_hex(plain).encode(), *map(str.encode, sorted(to))))
    made = sealing.sealed(plain, to.values(), context(number), hmac.digest(hub.secret, inside, "sha256"))
    head, content = made[: sealing.head_bytes(len(to))], made[sealing.head_bytes(len(to)) :]
    announced = Announced(
        number=number,
        sha256=sha256_hex(plain),
        size=len(content),
        content=sha256_hex(content),
        keys=sha256_hex(head),
        names=sha256_hex(head[sealing.START_BYTES :][: len(to) * NAME_BYTES]),
        recipients=len(to),
    )
    return announced, {announced.content_key: content, announced.keys_key: head}


def target_of(announced: Announced) -> TargetFile:
    """What targets metadata says of a round."""
    from tuf.api.metadata import TargetFile

    custom = {name: getattr(announced, name) for name in (*HASHES, "recipients", "records")}
    fields = {"custom": {"round": announced.number, **custom}}
    return TargetFile(announced.size, {"sha256": announced.content}, TARGET, fields)


def announced_by(info: TargetFile | None) -> Announced:
    """The inverse of `target_of`. Raises TrustError for targets that say nothing of the kind."""
    found: Any = info.custom if info is not None else None
    content = info.hashes.get("sha256", "") if info is not None else ""
    if info is None or not isinstance(found, dict) or not is_sha256(content):
        raise TrustError(
            f"expected targets that name {TARGET} with what is in it, found none; publish again on the hub"
        )
    record = Record(found, Origin(f"targets: {TARGET}", "publish again on the hub", TrustError))
    hashes = {name: record.sha256(name) for name in HASHES}
    for name in HASHES:
        if not hashes[name]:
            raise record.origin.refused(name, "a SHA-256", "")
    return Announced(
        **hashes,
        number=record.integer("round", 0, LARGEST_NUMBER),
        size=info.length,
        content=content,
        recipients=record.integer("recipients", 1, sealing.MOST_RECIPIENTS),
        records=record.sha256("records"),
    )


def fetched(store: Store, announced: Announced, keys: Sequence[SealingKey], parts: Path) -> bytes:
    """The plain round, opened with the first of the keys that it was sealed to.

    parts: a folder for what came of it so far. Raises TrustError for a round that is not for these keys, or is not what
    was signed; StoreError; what TUF raises for a content of another SHA-256.
    """
    key, wrap = _own_wrap(store, announced, keys)
    content = download.fetch(store, download.Wanted(announced.content_key, announced.content, announced.size), parts)
    target_of(announced).verify_length_and_hashes(content)
    where = f"round {announced.number}"
    plain = sealing.opened(sealing.alone(key.public, wrap, content), key, context(announced.number), where)
    if sha256_hex(plain) != announced.sha256:
        raise TrustError(
            f"{where}: expected the round that the hub signed, found another inside; publish again on the hub"
        )
    return plain


def _own_wrap(store: Store, announced: Announced, keys: Sequence[SealingKey]) -> tuple[SealingKey, bytes]:
    """The first of the keys that the round was sealed to, and the wrap for it."""
    where, count = announced.keys_key, announced.recipients
    names = store.get_part(where, sealing.START_BYTES, count * NAME_BYTES)
    if sha256_hex(names) != announced.names:
        raise TrustError(
            f"{where}: expected the {count} names that the hub signed, found others; someone else writes to this "
            "store, or it is not synchronised"
        )
    for key in keys:
        place = sealing.place_of(names, key.public, where)
        if place is not None:
            return key, store.get_part(where, sealing.wrap_start(count, place), sealing.WRAP_BYTES)
    raise sealing.NotForThisKeyError(
        f"this device cannot read round {announced.number}: expected it sealed to the key "
        f"{keys[0].public.name[:16]}, found it sealed to {count} others; it is not among those whom the hub enrolled "
        "when it published, or was revoked: ask the hub's user to enrol it and to publish again; where it was revoked, "
        "join with a new --state"
    )
