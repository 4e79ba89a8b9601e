"""What of its pictures a board's fleet agreed to share, as the fleet's root says, and how lessons are grouped."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from edge_nusa.device.learning.lesson import Grouping
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.knowledge import groups
from edge_nusa.knowledge.groups import Sharing

ROOT = Path("sync") / "root.json"
"""The fleet's first root in a state's folder, which was given by hand."""
LARGEST_ROOT_BYTES = 1 << 20
FIELD = "x-edge-nusa"
DEFAULT: Sharing = "groups"


def sharing(state_folder: Path) -> Sharing:
    """`exact`, `groups` or `means`; DEFAULT for a state of no fleet. Raises DamagedError, ResourceError."""
    path = state_folder / ROOT
    try:
        data = durable.read_at_most(path, LARGEST_ROOT_BYTES + 1)
    except FileNotFoundError:
        return DEFAULT
    except OSError as error:
        raise durable.storage_error(error, f"read {path}") from error
    signed = parse(data, Origin(str(path), "run `edge-nusa sync init` again"), LARGEST_ROOT_BYTES).record("signed")
    if FIELD not in signed:
        return DEFAULT
    return cast(Sharing, signed.record(FIELD).choice("sharing", get_args(Sharing)))


def grouping(state_folder: Path) -> Grouping | None:
    """How a lesson of this state groups its pictures. Raises DamagedError, ResourceError."""
    chosen = sharing(state_folder)
    return None if chosen == "exact" else Grouping(groups.read(state_folder), chosen == "means")
