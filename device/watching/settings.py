"""How a watch asks and what it says, of a folder and of a camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class AskSettings:
    """others: labels offered beside the learned ones; top: so many labels a line (None: all); seconds between two looks
    at a folder, or two frames of a camera; agree: a change is said when so many answers in a row agree (1: every answer
    is said)."""

    others: Sequence[str] = ()
    top: int | None = None
    seconds: float = 1.0
    agree: int = 1


@dataclass(frozen=True, kw_only=True)
class WatchSettings(AskSettings):
    """folder: what is watched; deletes: whether an answered picture is removed from the folder."""

    folder: Path
    deletes: bool = False
