"""What the doctor finds: one line each, with its next step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One examined thing. found: what is there; next_step: what to do, empty where there is nothing to do."""

    name: str
    status: Status
    found: str
    next_step: str
