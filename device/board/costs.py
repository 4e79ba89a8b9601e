"""What a bench of this board found: the cost of a lesson, of a first answer, of a picture, and the advice."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LearnCost:
    """One lesson in a process of its own; steps: the one whose cores were kept; text_left_out: why the text was not
    trained, in words, "" where it was."""

    seconds: float
    peak_rss_bytes: int
    images: int
    steps: int
    text_left_out: str = ""


@dataclass(frozen=True)
class ColdCost:
    """One picture, from the start of a process to its answer: the median time, the most memory."""

    seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class WarmCost:
    """One picture in a running process: all of it, its trunk, and the rest in percent of the trunk."""

    milliseconds_an_image: float
    trunk_milliseconds: float
    overhead_percent: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """learn: None where this board teaches nothing, for the reason that is in the advice; threads: their number ->
    milliseconds of a picture in the trunk, by the provider; advice: what to change, a line each."""

    bundle: str
    precision: str
    provider: str
    learn: LearnCost | None
    cold: ColdCost
    warm: WarmCost
    threads: dict[str, float]
    advice: list[str]

    def to_json(self) -> dict[str, Any]:
        """What `bench --format json` prints."""
        return asdict(self)
