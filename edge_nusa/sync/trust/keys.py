"""ed25519 keys in files that only their user can read, and what is signed with them; keys are never printed or
passed as words."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa.errors import InputError, MissingPackageError, TrustError
from edge_nusa.files import durable, opening
from edge_nusa.files.foreign import decoded, shown
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin, Record

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

LARGEST_KEY_BYTES, LARGEST_ENVELOPE_BYTES = 4096, 2 << 20
KINDS = ("ed25519",)
MOST_SIGNERS = 3
"""Names of keys that an error repeats of one envelope."""


def require_packages() -> None:
    """Raises MissingPackageError where the extra `sync` is not installed."""
    try:
        import cryptography  # noqa: F401
        import securesystemslib  # noqa: F401
        import tuf  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f'sync and hub need {error.name}; install it with `pip install "edge-nusa[sync]"`'
        ) from error


def new_key(path: Path) -> CryptoSigner:
    """Makes a key and writes it (PEM, PKCS 8, mode 0600). Raises InputError where the file is there already."""
    from securesystemslib.signer import CryptoSigner

    signer = CryptoSigner.generate_ed25519()
    with durable.explained(f"write the key {path}"):
        durable.make_folder(path.parent)
        if path.exists():
            raise InputError(f"{path}: expected no key yet, found one; it is never overwritten: move it away first")
        durable.replace_file(path, signer.private_bytes)
    return signer


def new_named_key(folder: Path, role: str) -> CryptoSigner:
    """Makes a key in a file named after its role and its own name, so that none ever takes another's place."""
    from securesystemslib.signer import CryptoSigner

    signer = CryptoSigner.generate_ed25519()
    with durable.explained(f"write a key into {folder}"):
        durable.make_folder(folder)
        durable.replace_file(folder / f"{role}-{signer.public_key.keyid[:16]}.pem", signer.private_bytes)
    return signer


def load_keys(folder: Path, role: str) -> list[CryptoSigner]:
    """Every key of a role in a folder. Raises TrustError where there is none."""
    found = [load_key(path) for path in sorted(folder.glob(f"{role}-*.pem"))]
    if not found:
        raise TrustError(f"{folder}: expected keys named {role}-*.pem, found none; bring the medium that holds them")
    return found


def load_key(path: Path) -> CryptoSigner:
    """Reads a key. Raises TrustError where it is missing, no ed25519 key, or open to others."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    data = read_private(path)
    with decoded(Origin(str(path), "restore it from your backup", TrustError), "a key in PEM form"):
        key = load_pem_private_key(data, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TrustError(
            f"{path}: expected an ed25519 key, found {type(key).__name__}; use the key that edge-nusa made"
        )
    return CryptoSigner(key)


def read_private(path: Path) -> bytes:
    """The bytes of a key's file. Raises TrustError where it is missing or open to others."""
    try:
        with opening.opened(path) as descriptor:
            data, mode = opening.read(descriptor, LARGEST_KEY_BYTES), os.fstat(descriptor).st_mode
    except FileNotFoundError as error:
        raise TrustError(
            f"{path}: expected a key file, found none; bring the medium that holds it, or restore it from your backup"
        ) from error
    except OSError as error:
        raise durable.storage_error(error, f"read the key {path}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TrustError(
            f"{path}: expected a key that only its user can read (mode 0600), found {stat.S_IMODE(mode):04o}; chmod "
            "600 it"
        )
    return data


def public_record(key: SSlibKey) -> dict[str, Any]:
    """What a public key's file says."""
    return {"keyid": key.keyid, **key.to_dict()}


def key_of(record: Record) -> SSlibKey:
    """The inverse of `public_record`; the key's name is made anew from the key. Raises the record's error."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from securesystemslib.signer import SSlibKey

    for name in ("keytype", "scheme"):
        record.choice(name, KINDS)
    public = record.record("keyval").sha256("public")  # 32 bytes in as many digits as a SHA-256 has
    with decoded(record.origin.inside("keyval"), "32 bytes of an ed25519 key in hexadecimal digits"):
        made = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)))
    if record.text("keyid") != made.keyid:
        raise record.origin.refused("keyid", f"the key's own name {made.keyid[:16]}...", record.text("keyid"))
    return made


def sealed(payload: bytes, payload_type: str, signer: CryptoSigner) -> bytes:
    """A DSSE envelope of the payload, as JSON."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(payload, payload_type, {})
    envelope.sign(signer)
    return canonical(envelope.to_dict())


def opened(data: bytes, payload_type: str, allowed: Mapping[str, SSlibKey], where: str) -> tuple[str, bytes]:
    """(key's name, payload) of an envelope signed by exactly one of the keys. Nothing of it is parsed before that is
    known.

    Raises TrustError naming `where`.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    origin = Origin(where, "it is no signed envelope, so nothing of it is read", TrustError)
    record = parse(data, origin, LARGEST_ENVELOPE_BYTES)
    with decoded(origin, "a signed envelope"):
        envelope = Envelope.from_dict(dict(record.fields))
        names = [name for name in envelope.signatures if name in allowed]
        if envelope.payload_type != payload_type or len(envelope.signatures) != 1 or not names:
            found = ", ".join(shown(name) for name in [*envelope.signatures][:MOST_SIGNERS]) or "none"
            raise TrustError(
                f"{where}: expected one signature by a key that is enrolled, found {len(envelope.signatures)} by "
                f"{found}; enrol the device first"
            )
        try:
            envelope.verify([allowed[names[0]]], 1)
        except VerificationError as error:
            raise TrustError(
                f"{where}: expected a signature by the key that it names, found one that is not; it was changed on the "
                "way, or forged"
            ) from error
    return names[0], envelope.payload
