"""Boards that enrol themselves by a join token: the hub looks at what they put into the store, and takes those whose
MAC is right and whose token still brings devices.

Anyone may put anything there. Of what the hub has not decided it looks at MOST_LOOKED_AT objects a time, chosen at
random each time: whoever plants N others delays a board by about N / MOST_LOOKED_AT merges, and for ever nobody.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Protocol

from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.sync.hub.enrolled import LONGEST_CAME, Device, Enrolled
from edge_nusa.sync.hub.folder import read_root
from edge_nusa.sync.hub.tokens import KeptToken, Tokens
from edge_nusa.sync.stores.store import Store, Timed
from edge_nusa.sync.trust import join_token
from edge_nusa.sync.trust.join_token import Request
from edge_nusa.sync.trust.sealing_keys import SealingKey

MOST_LOOKED_AT, MOST_TOLD = 512, 20
"""Requests at a time, and reasons that are told of them."""
LONGEST_SECONDS = 120.0
"""That the store may take over them: the hub is locked all the while. What is left waits for the next time."""
NOT_LOOKED = "nothing was looked at; make one with `edge-nusa hub token`"
_KEY = re.compile(r"joins/[0-9a-f]{64}\.join")


@dataclass(frozen=True)
class Admitted:
    """devices: enrolled this time; refused: reason -> how many requests of a token's holder were refused for it;
    unread: objects among the requests that nobody who holds a token of this hub made; waiting: that were not looked
    at this time; is_over: whether nothing at all was looked at, since all tokens are over."""

    devices: Sequence[Device] = ()
    refused: Sequence[tuple[str, int]] = ()
    unread: int = 0
    waiting: int = 0
    is_over: bool = False

    def to_json(self) -> dict[str, object]:
        """What `hub admit --format json` prints."""
        return {
            "enrolled": [{"device": one.key.keyid, "name": one.name, "token": one.token} for one in self.devices],
            "refused": [{"reason": reason, "requests": boards} for reason, boards in self.refused],
            "unread": self.unread,
            "waiting": self.waiting,
            "over": self.is_over,
        }

    def words(self) -> Iterator[str]:
        """The same for people, a line each."""
        for one in self.devices:
            yield f"enrolled {one.key.keyid[:16]} {one.name} by the token {one.token}"
        for reason, boards in self.refused:
            yield f"not enrolled: {boards} board{'s' * (boards > 1)}: {reason}"
        if self.unread:
            yield f"passed over: {self.unread} in joins/ that nobody made who holds a token of this hub"
        if self.waiting:
            yield f"not looked at yet: {self.waiting} in joins/; the next time goes on"
        if self.is_over:
            yield f"all tokens are over: {NOT_LOOKED}"


class Door(Protocol):
    """What of a hub it takes to let boards in."""

    folder: Path
    store: Store
    keys: list[SealingKey]
    enrolled: Enrolled
    tokens: Tokens


def admitted(hub: Door) -> Admitted:
    """Enrol the boards that ask for it; asks no store where no token brings a device any more. Call it inside the hub's
    lock. Raises StoreError where the store does not answer."""
    roll, tokens = _Roll(hub.enrolled), {one.name: one for one in hub.tokens.all()}
    now = datetime.now(UTC)
    if all(one.why_not(roll.used[one.name], now) for one in tokens.values()):
        return Admitted(is_over=bool(tokens))
    store, root = Timed(hub.store, LONGEST_SECONDS), sha256_hex(read_root(hub.folder))
    waiting = [key for key in store.list("joins") if _KEY.fullmatch(key) and _short_of(key) not in roll.requests]
    taken, refused, unread, looked = list[Device](), Counter[str](), 0, 0
    for key in random.sample(waiting, min(MOST_LOOKED_AT, len(waiting))):  # by chance again where the time is up
        if store.is_over:
            break
        looked += 1
        found = _read(store, hub.keys, root, key)
        token = tokens.get(found.token) if found else None
        if found is None or token is None or not found.is_made_with(token.key):
            unread += 1
            continue
        try:
            made = roll.take(key, found, token, now)
        except InputError as error:
            refused[str(error)] += 1
            continue
        taken += [made] if made else []
    return Admitted(tuple(taken), tuple(sorted(refused.items())[:MOST_TOLD]), unread, len(waiting) - looked)


def _read(store: Store, keys: list[SealingKey], root: str, key: str) -> Request | None:
    """The request of this name; None for anything else."""
    try:
        sealed = store.get(key, join_token.LARGEST_REQUEST_BYTES)
        return join_token.opened(sealed, keys, root, key) if join_token.key_of(sealed) == key else None
    except EdgeNusaError:
        return None


class _Roll:
    """Who is enrolled, read once. used: by token, how many it has brought; requests: by which they came."""

    def __init__(self, enrolled: Enrolled) -> None:
        self.enrolled = enrolled
        devices = enrolled.all()
        self.known = {key: one for one in devices for key in _keys_of(one)}
        self.names = {one.name for one in devices}
        self.used = Counter(one.token for one in devices if one.token)
        self.requests = {one.request for one in devices if one.request}

    def take(self, key: str, found: Request, token: KeptToken, now: datetime) -> Device | None:
        """The device, enrolled; None where it is already. Raises InputError where it may not be."""
        device = Device(found.public, "", token=token.name, request=_short_of(key))
        known = next((self.known[one] for one in _keys_of(device) if one in self.known), None)
        if known is not None and not known.is_revoked:
            return None
        if known is not None:
            raise InputError(
                f"{known.key.keyid[:16]} {known.name} was revoked; it comes back with a new --state, and so a new key"
            )
        why = token.why_not(self.used[token.name], now)
        if why:
            raise InputError(f"the token {token.name}: {why}; make another with `edge-nusa hub token`")
        made = self.enrolled.write(replace(device, name=self._free_name(token.terms.prefix)))
        self.known |= dict.fromkeys(_keys_of(made), made)
        self.names.add(made.name)
        self.used[token.name] += 1
        return made

    def _free_name(self, prefix: str) -> str:
        """The prefix with the first number from 1 up that no device has; "" for no prefix."""
        return next(name for number in count(1) if (name := f"{prefix}{number}") not in self.names) if prefix else ""


def _keys_of(device: Device) -> tuple[str, str]:
    """Two devices never share either (`enrolled`)."""
    return device.key.keyid, device.sealing.text


def _short_of(key: str) -> str:
    return key.partition("/")[2][:LONGEST_CAME]
