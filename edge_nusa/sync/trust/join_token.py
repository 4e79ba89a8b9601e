"""A join token: a secret by which boards enrol themselves in one fleet, and what they put into the store with it.

    enj1.ROOT.SECRET     ROOT: the SHA-256 of the fleet's first root, SECRET: 32 random bytes, both in hexadecimal

By HKDF-SHA256 the secret gives, with ROOT as salt, the token's name, which may be told, and the key of its MACs; the
hub keeps these two. A request is sealed to the hub's sealing key and named after its own SHA-256:

    joins/SHA256.join    {"format_version": 1, "token": name, "device": a device.pub's record, "mac": hexadecimal}

The MAC is HMAC-SHA256 over MADE and the device's record. The device's own new key is what makes a request like no
other: one that is read or repeated enrols that key and no other, and the hub knows each key for good.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from edge_nusa.errors import InputError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin, is_sha256
from edge_nusa.sync.trust import device_keys, sealing
from edge_nusa.sync.trust.device_keys import DevicePublic
from edge_nusa.sync.trust.sealing_keys import SealingKey, SealingPublic

START = "enj1"
SECRET_BYTES, NAME_BYTES, MAC_BYTES = 32, 8, 32
LARGEST_TOKEN_BYTES = 1024
"""Of a token's file, with what an editor may have put around it."""
FORMAT_VERSION = 1
LARGEST_REQUEST_BYTES = 16384
MADE = b"edge-nusa join request 1\n"
CONTEXT = b"edge-nusa join "


@dataclass(frozen=True)
class JoinToken:
    """A token. root: the SHA-256 of the fleet's first root; its secret is in no repr and no error."""

    root: str
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls, root: bytes) -> JoinToken:
        """A new token of the fleet whose first root this is."""
        return cls(sha256_hex(root), secrets.token_bytes(SECRET_BYTES))

    @property
    def text(self) -> str:
        """What is brought to the boards."""
        return f"{START}.{self.root}.{self.secret.hex()}"

    @property
    def name(self) -> str:
        """What others call it."""
        return self._derived(b"edge-nusa join token name 1", NAME_BYTES).hex()

    @property
    def key(self) -> bytes:
        """The key of its MACs, (32,) bytes."""
        return self._derived(b"edge-nusa join token key 1", MAC_BYTES)

    def check_root(self, root: bytes, where: str) -> None:
        """Raises TrustError naming `where` for another first root than the token's."""
        if sha256_hex(root) != self.root:
            raise TrustError(
                f"{where}: expected the first root of the token's fleet, found another; ask who runs the hub, and take "
                "nothing from there"
            )

    def _derived(self, info: bytes, length: int) -> bytes:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), length, bytes.fromhex(self.root), info).derive(self.secret)


def decode(data: bytes, where: str) -> JoinToken:
    """The token in a file or a variable, white space around it left out. Raises InputError, which repeats nothing of
    it."""
    parts = data.decode("ascii", "replace").split() if len(data) <= LARGEST_TOKEN_BYTES else []
    words = parts[0].split(".") if len(parts) == 1 else []
    if len(words) != 3 or words[0] != START or not all(map(is_sha256, words[1:])):
        raise InputError(
            f"{where}: expected a join token as `edge-nusa hub token` made it, {START}. and 129 more characters, found "
            "something else, which is not repeated here; bring the whole file again"
        )
    return JoinToken(words[1], bytes.fromhex(words[2]))


def is_like(text: str) -> bool:
    """Whether a word may be a token itself, as where it was given in place of its file."""
    return text.strip().startswith(f"{START}.")


@dataclass(frozen=True)
class Request:
    """A board's wish to be enrolled. token: its name; mac: by the token's key."""

    token: str
    public: DevicePublic
    mac: str

    def is_made_with(self, key: bytes) -> bool:
        """Whether who made it held the token of this key."""
        return hmac.compare_digest(self.mac, _mac(self.public, key))


def request(token: JoinToken, public: DevicePublic, to: SealingPublic) -> tuple[str, bytes]:
    """The store's key and the bytes of a device's request, sealed to the hub."""
    record = {
        "format_version": FORMAT_VERSION,
        "token": token.name,
        "device": public.record(),
        "mac": _mac(public, token.key),
    }
    sealed = sealing.sealed(canonical(record), [to], _context(token.root))
    return key_of(sealed), sealed


def key_of(sealed: bytes) -> str:
    """What a store calls a request."""
    return f"joins/{sha256_hex(sealed)}.join"


def opened(sealed: bytes, keys: list[SealingKey], root: str, where: str) -> Request:
    """What was requested of the fleet of this root; its MAC is not looked at. Raises TrustError naming `where`."""
    data = sealing.opened_by_any(sealed, keys, _context(root), where)
    record = parse(data, Origin(where, "it enrols nobody", TrustError), LARGEST_REQUEST_BYTES)
    record.version(FORMAT_VERSION)
    record.only(("format_version", "token", "device", "mac"))
    public = device_keys.decode_record(record.record("device"))
    return Request(record.text("token", 2 * NAME_BYTES), public, record.sha256("mac"))


def _mac(public: DevicePublic, key: bytes) -> str:
    return hmac.new(key, MADE + canonical(public.record()), hashlib.sha256).hexdigest()


def _context(root: str) -> bytes:
    return CONTEXT + root.encode()
