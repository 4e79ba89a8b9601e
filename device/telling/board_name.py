"""What a board is called at a broker: a name for people, and an id that no other board and no other watch has.

The id is made of the name and of a hash of this machine and of what is watched, so that two boards with one host name,
and two watches of one board, are two devices. /etc/machine-id is confidential (man machine-id): only a keyed hash of it
leaves the board. A card that was cloned has its machine-id too; there a name of its own tells the boards apart.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edge_nusa.errors import InputError, UsageError
from edge_nusa.files import durable
from edge_nusa.knowledge.labels import normalise

MACHINE_ID = Path("/etc/machine-id")
LONGEST_SLUG = 24
"""Characters of a name inside an id."""
HASH_DIGITS = 10
_KEY = b"edge-nusa mqtt device 1"


class Watched(NamedTuple):
    """What is watched. name: for people; place: what tells it from everything else that this board may watch; only a
    keyed hash of it is told."""

    name: str
    place: str

    @classmethod
    def path(cls, path: Path) -> Watched:
        """A folder, or a file."""
        return cls(path.absolute().stem, str(path.absolute()))


@dataclass(frozen=True)
class BoardName:
    """name: for people, any script; slug: the same in small ASCII letters, digits and "_", "" where nothing of it can
    be written so; id: unique, of [a-z0-9_-] only, as topics and Home Assistant's ids must be."""

    name: str
    slug: str
    id: str

    @classmethod
    def of(
        cls, host: str, watched: Path | Watched, asked: str | None = None, machine: bytes | None = None
    ) -> BoardName:
        """The name of one watch. asked: what the user calls it, else it is the host's name and that of what is watched;
        machine: what tells this machine from others (None: its own). Raises UsageError for a name that cannot be
        shown."""
        if isinstance(watched, Path):
            watched = Watched.path(watched)
        name = _named(asked) if asked is not None else _by_itself(host, watched.name)
        place = b"" if asked is not None else watched.place.encode(errors="surrogateescape")
        parts = (this_machine() if machine is None else machine, name.encode(), place)
        digest = hmac.new(_KEY, b"".join(len(part).to_bytes(4, "big") + part for part in parts), hashlib.sha256)
        short = slug(name)
        return cls(name, short, "-".join(filter(None, ("edge-nusa", short, digest.hexdigest()[:HASH_DIGITS]))))


def slug(text: str) -> str:
    """The text in [a-z0-9_], at most LONGEST_SLUG characters; accents go, and what no ASCII letter stands for."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:LONGEST_SLUG].rstrip("_")


def this_machine() -> bytes:
    """What tells this machine from others: its machine-id, else a network card's address."""
    with suppress(OSError, ValueError):
        found = durable.read_named(MACHINE_ID, 64).strip()
        if found:
            return found
    return f"{uuid.getnode():012x}".encode()


def _named(asked: str) -> str:
    try:
        return normalise(asked)
    except InputError as error:
        raise UsageError(f"--mqtt-name: {error}") from error


def _by_itself(host: str, watched: str) -> str:
    """The host's first name and the name of what is watched, as far as they can be shown."""
    words = [host.partition(".")[0], watched]
    shown = "".join(character if character.isprintable() else " " for character in " ".join(filter(None, words)))
    return normalise(shown[:100]) if shown.strip() else "edge-nusa"
