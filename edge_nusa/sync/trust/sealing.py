"""Sealed bytes: only the holders of the keys that they were sealed to can read them; who wrote them is told by a
signature outside (DSSE, TUF), never by the seal.

    offset   bytes    what, numbers in big-endian order
    0        8        ENSEAL1 and a line feed
    8        4        n, how many recipients, 1 to MOST_RECIPIENTS
    12       16 n     their names in ascending order: each the first 16 bytes of the SHA-256 of a public key
    12+16n   1168 n   in the same order, the content key as HPKE (RFC 9180, base mode) wraps it: 1120 bytes that only
                      the recipient's key turns into a secret, then 32 + 16 bytes of ChaCha20-Poly1305
    12+1184n m + 16   the m bytes under the content key by ChaCha20-Poly1305, its nonce twelve zeros: a content key
                      seals one content

Suite: MLKEM768_X25519, HKDF_SHA256, ChaCha20-Poly1305; X25519 and ML-KEM-768 must both be broken before it is. There is
no other suite and no unsealed mode. HPKE's info and the additional data of the content are INFO and the context, which
says what the bytes are for: bytes that were sealed for one use open for no other.
What is before the content is `head_bytes(n)` long, so that a reader can fetch its own part of it alone (`alone`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from edge_nusa.errors import InputError, TrustError
from edge_nusa.sync.trust.sealing_keys import NAME_BYTES, SealingKey, SealingPublic, suite

MAGIC = b"ENSEAL1\n"
INFO = b"edge-nusa sealed 1\n"
MOST_RECIPIENTS = 10_000
WRAP_BYTES, TAG_BYTES = 1168, 16
START_BYTES = len(MAGIC) + 4
_NONCE = bytes(12)


def sealed(data: bytes, to: Iterable[SealingPublic], context: bytes, content_key: bytes | None = None) -> bytes:
    """The bytes, for these recipients alone.

    context: what they are for; content_key: of 32 bytes, where the same content for the same recipients is to give the
    same sealed content (it must differ whenever either does); a random one for None.
    Raises InputError for no recipient, or more than MOST_RECIPIENTS.
    """
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    recipients = {bytes.fromhex(one.name): one for one in to}
    if not 1 <= len(recipients) <= MOST_RECIPIENTS:
        raise InputError(
            f"expected 1 to {MOST_RECIPIENTS} keys to seal to, found {len(recipients)}; revoke devices that are gone"
        )
    names, key = sorted(recipients), content_key or ChaCha20Poly1305.generate_key()
    hpke, info = suite(), INFO + context
    wraps = [hpke.encrypt(key, recipients[name].inside, info) for name in names]
    return b"".join(
        (MAGIC, len(names).to_bytes(4, "big"), *names, *wraps, ChaCha20Poly1305(key).encrypt(_NONCE, data, info))
    )


def opened(data: bytes, key: SealingKey, context: bytes, where: str) -> bytes:
    """What was sealed. Raises TrustError naming `where` for bytes that are not sealed, not for this key, for another
    context, or changed."""
    return opened_by_any(data, (key,), context, where)


def opened_by_any(data: bytes, keys: Sequence[SealingKey], context: bytes, where: str) -> bytes:
    """The same, by the first of several keys that it was sealed to: a hub keeps its older ones."""
    count = recipients_of(data[:START_BYTES], where)
    head = head_bytes(count)
    if len(data) < head + TAG_BYTES:
        raise _not_sealed(where, f"{len(data)} bytes of at least {head + TAG_BYTES}")
    names = data[START_BYTES : START_BYTES + count * NAME_BYTES]
    for key in keys:
        place = place_of(names, key.public, where)
        if place is not None:
            start = wrap_start(count, place)
            return _unwrapped(data[start : start + WRAP_BYTES], memoryview(data)[head:], key, context, where)
    raise NotForThisKeyError(
        f"{where}: expected bytes sealed to the key {keys[0].public.name if keys else 'of this device'}, found them "
        f"sealed to {count} other{'s' * (count != 1)}; a new key reads only what was sealed after it was enrolled"
    )


class NotForThisKeyError(TrustError):
    """Sealed bytes of which this key is no recipient."""


def overhead(recipients: int) -> int:
    """How many bytes sealed bytes have more than what is sealed."""
    return head_bytes(recipients) + TAG_BYTES


def head_bytes(recipients: int) -> int:
    """How many bytes stand before the content."""
    return START_BYTES + recipients * (NAME_BYTES + WRAP_BYTES)


def recipients_of(start: bytes, where: str) -> int:
    """How many recipients, by the first START_BYTES. Raises TrustError naming `where`."""
    if len(start) != START_BYTES or not start.startswith(MAGIC):
        raise _not_sealed(where, "another beginning")
    count = int.from_bytes(start[len(MAGIC) :], "big")
    if not 1 <= count <= MOST_RECIPIENTS:
        raise _not_sealed(where, f"{count} recipients, of 1 to {MOST_RECIPIENTS}")
    return count


def place_of(names: bytes, key: SealingPublic, where: str) -> int | None:
    """Which of the recipients a key is, None for none. Raises TrustError for names that do not ascend."""
    found = [names[start : start + NAME_BYTES] for start in range(0, len(names), NAME_BYTES)]
    if any(one >= following for one, following in zip(found, found[1:], strict=False)):
        raise _not_sealed(where, "names of recipients out of order")
    name = bytes.fromhex(key.name)
    place = bisect_left(found, name)
    return place if place < len(found) and found[place] == name else None


def wrap_start(recipients: int, place: int) -> int:
    """Where the wrap of the recipient at this place begins."""
    return START_BYTES + recipients * NAME_BYTES + place * WRAP_BYTES


def alone(key: SealingPublic, wrap: bytes, content: bytes) -> bytes:
    """The same content as if it had been sealed to this recipient only, from its wrap."""
    return b"".join((MAGIC, (1).to_bytes(4, "big"), bytes.fromhex(key.name), wrap, content))


def _unwrapped(wrap: bytes, content: memoryview, key: SealingKey, context: bytes, where: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    info = INFO + context
    hpke = suite()
    try:
        content_key = hpke.decrypt(wrap, key.inside, info)
        return ChaCha20Poly1305(content_key).decrypt(_NONCE, content, info)
    except InvalidTag as error:
        raise TrustError(
            f"{where}: expected bytes sealed to this key for this use, found others; they were changed on the way, or "
            "sealed for something else"
        ) from error


def _not_sealed(where: str, found: str) -> TrustError:
    return TrustError(f"{where}: expected sealed bytes, found {found}; they were cut or changed, or are something else")
