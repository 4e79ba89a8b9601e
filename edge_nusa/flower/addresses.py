"""HOST:PORT of a SuperLink."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown

MOST_PORT = 65_535
_FORM = re.compile(r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:]{2,45}\]):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Address:
    """host: a name or an address, one of IPv6 in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parsed(text: str) -> Address:
    """Raises UsageError for anything but HOST:PORT."""
    found = _FORM.fullmatch(text)
    if found is None or not 0 < int(found["port"]) <= MOST_PORT:
        raise UsageError(f"expected the SuperLink as HOST:PORT, such as hub.example:8000, found {shown(text)}")
    return Address(found["host"], int(found["port"]))
