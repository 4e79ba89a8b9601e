"""What a file was when it was written: its SHA-256 and size, as the manifests of a bundle and of a generation list
it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge_nusa.files import opening


@dataclass(frozen=True)
class FileRecord:
    """What a file was when it was written: SHA-256 in lower-case hex, size in bytes."""

    sha256: str
    bytes: int


def sha256_hex(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 in lower-case hex of a file that a person named, which is never in memory as a whole."""
    with opening.opened_named(path) as descriptor:
        return opening.sha256_of(descriptor)
