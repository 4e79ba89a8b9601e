"""A fleet's first root: in a file that a person brought, and in a member's own folder."""

from __future__ import annotations

from pathlib import Path

from edge_nusa.device.fleet import sent
from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files import durable
from edge_nusa.sync.trust.roots import LARGEST_ROOT_BYTES, fleet_name


def root_in(path: Path) -> bytes:
    """The bytes of a fleet's root.json, which was brought by hand. Raises InputError where there is no such file."""
    if not path.exists():
        raise InputError(f"{path}: expected the fleet's root.json, found no such file; bring it from the hub")
    with durable.explained(f"read {path}"):
        return durable.read_named(path, LARGEST_ROOT_BYTES)


def member_root(folder: Path, fleet: str) -> bytes:
    """The fleet's first root in a member's folder. Raises UnreadableError, DamagedError for that of another fleet."""
    path = folder / "root.json"
    data = sent.read_file(path, LARGEST_ROOT_BYTES)
    if fleet_name(data) != fleet:
        raise DamagedError(
            f"{path}: expected the root of the fleet {fleet}, found another; run `edge-nusa sync init` again"
        )
    return data
