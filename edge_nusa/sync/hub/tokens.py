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

from edge_nusa import kept
from edge_nusa.errors import InputError
from edge_nusa.files import durable
from edge_nusa.files.foreign import shown
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.files.read_back import keep_file
from edge_nusa.sync.trust.join_token import NAME_BYTES, JoinToken

FORMAT_VERSION = 1
LARGEST_TOKEN_BYTES = 4096
MOST_TOKENS, MOST_DAYS, MOST_DEVICES, LONGEST_PREFIX = 1000, 365, 10_000, 40
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


class Tokens:
    """The tokens in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[KeptToken]:
        """Every token, the one that ends first before the others. Raises DamagedError."""
        found = [self._read(path) for path in sorted(self.folder.glob("*.json"))]
        return sorted(found, key=lambda one: one.terms.until)

    def add(self, token: JoinToken, terms: Terms) -> KeptToken:
        """Keep a new token. Raises InputError where there are MOST_TOKENS."""
        if len(self.all()) >= MOST_TOKENS:
            raise InputError(
                f"{self.folder}: expected fewer than {MOST_TOKENS} tokens, found as many; remove files of those that "
                "are over"
            )
        return self._write(KeptToken(token.name, token.key, terms))

    def revoke(self, name: str) -> KeptToken:
        """Take no more requests of a token. Raises InputError where there is none of this name."""
        found = next((one for one in self.all() if one.name == name), None)
        if found is None:
            raise InputError(f"{shown(name)}: expected the name of a token, found none; see `edge-nusa hub tokens`")
        return self._write(replace(found, is_revoked=True))

    def files(self) -> dict[str, bytes]:
        """Every token's file by its name. Raises DamagedError."""
        return {f"{one.name}.json": _encoded(one) for one in self.all()}

    def take(self, name: str, data: bytes) -> None:
        """A token of an older list of this hub's: one that is missing here, or not known to be revoked. Raises
        DamagedError."""
        found = _decoded(data, self.folder / name)
        known = next((one for one in self.all() if one.name == found.name), None)
        if known is None or (found.is_revoked and not known.is_revoked):
            self._write(found)

    def _write(self, one: KeptToken) -> KeptToken:
        with durable.explained(f"write {self.folder}"):
            durable.make_folder(self.folder)
            path = self.folder / f"{one.name}.json"
            keep_file(path, _encoded(one), lambda written: _decoded(written, path))
        kept.done(f"the join token {one.name} is {'revoked' if one.is_revoked else 'kept'}")
        return one

    def _read(self, path: Path) -> KeptToken:
        try:
            data = durable.read_at_most(path, LARGEST_TOKEN_BYTES + 1)
        except OSError as error:
            raise durable.storage_error(error, f"read {path}") from error
        return _decoded(data, path)


def _encoded(one: KeptToken) -> bytes:
    record = {
        "format_version": FORMAT_VERSION,
        "key": one.key.hex(),
        "until": one.terms.until.isoformat(),
        "count": one.terms.count,
        "prefix": one.terms.prefix,
        "revoked": one.is_revoked,
    }
    return json.dumps(record, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


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
