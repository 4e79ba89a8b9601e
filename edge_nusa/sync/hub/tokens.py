"""The hub's join tokens: a file for each, with the key that its secret gives and never the secret itself.

    HUB/tokens/NAME.json   {"format_version": 1, "key": hexadecimal, "until": ISO 8601 UTC, "count": whole number,
                           "prefix": text, "revoked": true or false}

How many devices a token has brought is not kept beside it: each device's own entry names its token
(`edge_nusa.sync.hub.enrolled`), so that enrolling and counting are one write.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_nusa.errors import InputError
from edge_nusa.files.foreign import shown
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.sync.hub.kept_list import KeptList
from edge_nusa.sync.trust.join_token import NAME_BYTES, JoinToken

FORMAT_VERSION = 1
LARGEST_TOKEN_BYTES = 4096
MOST_TOKENS, MOST_DEVICES, LONGEST_PREFIX = 1000, 10_000, 40
_NEXT_STEP = "remove the file and make another token"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a token is good for. until: the hub takes no request of it from then on; count: devices in all; prefix: how
    their names begin, "" for none."""

    until: datetime
    count: int
    prefix: str = ""

    @classmethod
    def of(cls, days: int, count: int, prefix: str, now: datetime) -> Terms:
        """From now on for so many days. Raises InputError for a prefix that names no device."""
        if not prefix.isprintable() or len(prefix) > LONGEST_PREFIX:
            raise InputError(
                f"--name: expected at most {LONGEST_PREFIX} printable characters, found {shown(prefix)}; choose another"
            )
        return cls(until=now.replace(microsecond=0) + timedelta(days=days), count=count, prefix=prefix)


@dataclass(frozen=True)
class KeptToken:
    """A token as the hub keeps it. name, key: what its secret gives."""

    name: str
    key: bytes
    terms: Terms
    is_revoked: bool = False

    def why_not(self, used: int, now: datetime) -> str:
        """Why it brings no further device; empty where it does. used: devices that it has brought."""
        if self.is_revoked:
            return "it was revoked"
        if now >= self.terms.until:
            return f"it was good until {self.terms.until:%Y-%m-%d %H:%M} UTC"
        return f"all of its {self.terms.count} devices have come" if used >= self.terms.count else ""

    @property
    def stem(self) -> str:
        """Its name."""
        return self.name

    def words(self) -> str:
        """That it is kept, or revoked."""
        return f"the join token {self.name} is {'revoked' if self.is_revoked else 'kept'}"

    def encoded(self) -> bytes:
        """Its file's bytes."""
        record = {
            "format_version": FORMAT_VERSION,
            "key": self.key.hex(),
            "until": self.terms.until.isoformat(),
            "count": self.terms.count,
            "prefix": self.terms.prefix,
            "revoked": self.is_revoked,
        }
        return json.dumps(record, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


class Tokens(KeptList[KeptToken]):
    """The tokens in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _decoded, LARGEST_TOKEN_BYTES)

    def all(self) -> list[KeptToken]:
        """Every token, the one that ends first before the others. Raises DamagedError."""
        return sorted(super().all(), key=lambda one: one.terms.until)

    def add(self, token: JoinToken, terms: Terms) -> KeptToken:
        """Keep a new token. Raises InputError where there are MOST_TOKENS."""
        if len(self.all()) >= MOST_TOKENS:
            raise InputError(
                f"{self.folder}: expected fewer than {MOST_TOKENS} tokens, found as many; remove files of those that "
                "are over"
            )
        return self.write(KeptToken(token.name, token.key, terms))

    def revoke(self, name: str) -> KeptToken:
        """Take no more requests of a token. Raises InputError where there is none of this name."""
        found = next((one for one in self.all() if one.name == name), None)
        if found is None:
            raise InputError(f"{shown(name)}: expected the name of a token, found none; see `edge-nusa hub tokens`")
        return self.write(replace(found, is_revoked=True))


def _decoded(data: bytes, path: Path) -> KeptToken:
    """A token's file, which is named after it. Raises DamagedError."""
    record = parse(data, Origin(str(path), _NEXT_STEP), LARGEST_TOKEN_BYTES)
    record.version(FORMAT_VERSION)
    name = path.stem
    if len(name) != 2 * NAME_BYTES or set(name) - set("0123456789abcdef"):
        raise record.origin.refused("name", f"{2 * NAME_BYTES} hexadecimal digits", name)
    key = record.sha256("key")  # 32 bytes in as many digits as a SHA-256 has
    if not key:
        raise record.origin.refused("key", "64 hexadecimal digits", key)
    terms = Terms(
        until=_until(record),
        count=record.integer("count", 1, MOST_DEVICES),
        prefix=record.text("prefix", LONGEST_PREFIX),
    )
    return KeptToken(name, bytes.fromhex(key), terms, record.flag("revoked"))


def _until(record: Record) -> datetime:
    text = record.text("until", 40)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise record.origin.refused("until", "a time in ISO 8601", text) from error
    if found.utcoffset() != timedelta(0):
        raise record.origin.refused("until", "a time in UTC", text)
    return found.astimezone(UTC)
