"""A file itself, whatever it is called, and what was read of one at one opening."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple


class Node(NamedTuple):
    """A file itself, whatever it is called: its device, its number there, its size in bytes, when its content changed
    last as programs say, and when anything of it did as the system says."""

    device: int
    number: int
    bytes: int
    changed_ns: int
    touched_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Node:
        """The node of a file that was looked at."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_like(self, other: Node) -> bool:
        """Whether both are one file with the same content; it may have been given a second name in between."""
        return self[:4] == other[:4]


@dataclass(frozen=True)
class FileBytes:
    """What was read of a file at one opening: all of it, and which file it was. path: the name that it had."""

    path: Path
    data: bytes = field(repr=False)
    node: Node

    @cached_property
    def sha256(self) -> str:
        """SHA-256 in lower-case hex."""
        return hashlib.sha256(self.data).hexdigest()
