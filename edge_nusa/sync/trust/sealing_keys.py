"""Sealing keys: who can read what was sealed (`edge_nusa.sync.trust.sealing`), in files that only their user can read.

    offset   bytes   of a public key               offset   bytes   of a secret
    0        1184    ML-KEM-768's                   0        64      ML-KEM-768's seed
    1184     32      X25519's                       64       32      X25519's

A key's file is one JSON object: format_version, suite, secret (base64).
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nusa.errors import InputError, MissingPackageError, TrustError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.sync.trust import keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey, Suite

FORMAT_VERSION = 1
SUITE = "MLKEM768_X25519"
NAME_BYTES = 16
MLKEM_PUBLIC_BYTES, MLKEM_SEED_BYTES, X25519_BYTES = 1184, 64, 32
PUBLIC_BYTES, SECRET_BYTES = MLKEM_PUBLIC_BYTES + X25519_BYTES, MLKEM_SEED_BYTES + X25519_BYTES
LONGEST_TEXT = 1624
"""Characters of a public key in base64; a secret has fewer."""
_NEXT_STEP = "restore it from your backup"


@dataclass(frozen=True)
class SealingPublic:
    """The half of a sealing key that others seal to. data: (1216,) bytes, ML-KEM-768's then X25519's."""

    data: bytes

    @property
    def name(self) -> str:
        """What sealed bytes call it, in hex."""
        return sha256_hex(self.data)[: 2 * NAME_BYTES]

    @property
    def text(self) -> str:
        """The key as a word of JSON: base64."""
        return base64.b64encode(self.data).decode()

    @cached_property
    def inside(self) -> MLKEM768X25519PublicKey:
        """`cryptography`'s own form. Raises ValueError for bytes that are no key."""
        from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
        from cryptography.hazmat.primitives.hpke import MLKEM768X25519PublicKey

        return MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(self.data[:MLKEM_PUBLIC_BYTES]),
            x25519.X25519PublicKey.from_public_bytes(self.data[MLKEM_PUBLIC_BYTES:]),
        )


class SealingKey:
    """A whole sealing key. secret: (96,) bytes, the seed of ML-KEM-768's half, then X25519's; never printed."""

    def __init__(self, secret: bytes) -> None:
        """Raises ValueError for another number of bytes, MissingPackageError where there is no such suite."""
        suite()
        from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
        from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

        self.secret = secret
        first = mlkem.MLKEM768PrivateKey.from_seed_bytes(secret[:MLKEM_SEED_BYTES])
        second = x25519.X25519PrivateKey.from_private_bytes(secret[MLKEM_SEED_BYTES:])
        self.inside: MLKEM768X25519PrivateKey = MLKEM768X25519PrivateKey(first, second)
        self.public = SealingPublic(first.public_key().public_bytes_raw() + second.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> SealingKey:
        """A new key."""
        return cls(secrets.token_bytes(SECRET_BYTES))


def suite() -> Suite:
    """The one suite. Raises MissingPackageError where this machine's `cryptography` does not have it."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
        from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
    except ImportError as error:
        raise MissingPackageError(_no_suite(f"found none of it ({error})")) from error
    try:
        MLKEM768PrivateKey.from_seed_bytes(bytes(MLKEM_SEED_BYTES))
        return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    except UnsupportedAlgorithm as error:
        raise MissingPackageError(_no_suite(f"found its OpenSSL without it ({error})")) from error


def _no_suite(found: str) -> str:
    return (
        f"sync and hub: expected a cryptography with HPKE over {SUITE} (48 or newer, from its own wheel), {found}; "
        'install it with `pip install --upgrade "edge-nusa[sync]"`'
    )


def public_of(record: Record, name: str) -> SealingPublic:
    """The key that a field of a record holds as `SealingPublic.text`; it is tried, so that sealing to it never fails
    later. Raises the record's error."""
    text = record.text(name, LONGEST_TEXT)
    hpke = suite()
    try:
        made = SealingPublic(base64.b64decode(text))
        if made.text != text:
            raise ValueError("not as it is written")
        hpke.encrypt(b"", made.inside)
    except ValueError as error:
        raise record.origin.refused(name, f"the {PUBLIC_BYTES} bytes of a sealing key in base64", text) from error
    return made


def new_key(path: Path) -> SealingKey:
    """Makes a key and writes its file (mode 0600). Raises InputError where the file is there already."""
    made = SealingKey.generate()
    with durable.explained(f"write the key {path}"):
        durable.make_folder(path.parent)
        if path.exists():
            raise InputError(f"{path}: expected no key yet, found one; it is never overwritten: move it away first")
        durable.replace_file(path, encoded(made))
    return made


def new_named_key(folder: Path) -> SealingKey:
    """Makes a key in a file named after itself, so that none ever takes another's place."""
    made = SealingKey.generate()
    with durable.explained(f"write a key into {folder}"):
        durable.make_folder(folder)
        durable.replace_file(folder / f"sealing-{made.public.name[:16]}.key", encoded(made))
    return made


def load_key(path: Path) -> SealingKey:
    """Reads a key's file. Raises TrustError where it is missing, no sealing key, or open to others."""
    record = parse(keys.read_private(path), Origin(str(path), _NEXT_STEP, TrustError), keys.LARGEST_KEY_BYTES)
    record.only(("format_version", "suite", "secret"))
    record.version(FORMAT_VERSION, "use the edge-nusa that wrote it")
    record.choice("suite", (SUITE,))
    text = record.text("secret", LONGEST_TEXT)
    try:
        return SealingKey(base64.b64decode(text))
    except ValueError as error:
        raise TrustError(
            f"{path}: secret: expected {SECRET_BYTES} bytes in base64, found something else; {_NEXT_STEP}"
        ) from error


def load_keys(folder: Path) -> list[SealingKey]:
    """Every sealing key of a hub's folder of keys, in the order of their names. Raises TrustError where there is
    none."""
    found = [load_key(path) for path in sorted(folder.glob("sealing-*.key"))]
    if not found:
        raise TrustError(f"{folder}: expected keys named sealing-*.key, found none; {_NEXT_STEP}")
    return found


def encoded(key: SealingKey) -> bytes:
    """A key's file; nothing else may ever hold these bytes."""
    content = {"format_version": FORMAT_VERSION, "suite": SUITE, "secret": base64.b64encode(key.secret).decode()}
    return json.dumps(content, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"
