"""The lines of a watch: a record for each picture that was answered or set aside, and where they go."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from edge_nusa.device.asking.predict import Prediction


def _now() -> str:
    """The time in UTC, ISO 8601, for people; nothing depends on it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Answered:
    """A picture that was answered. prediction: its image is printable; generation: of the state that answered; kept:
    the name of its copy among the uncertain, None where there is none."""

    prediction: Prediction
    generation: int
    kept: str | None
    time: str = field(default_factory=_now)

    def to_json(self) -> dict[str, Any]:
        """A line of `watch`."""
        rest = {"generation": self.generation, "time": self.time, "kept": self.kept}
        took = self.prediction.seconds
        return {**self.prediction.to_json(), **rest, "seconds": None if took is None else round(took, 6)}


@dataclass(frozen=True)
class SetAside:
    """A file that was not answered, and why; image is printable."""

    image: str
    reason: str
    time: str = field(default_factory=_now)

    def to_json(self) -> dict[str, Any]:
        """A line of `watch`."""
        return asdict(self)


@dataclass(frozen=True)
class CameraChanged:
    """A camera gives no pictures any more, or again. camera: as people read it; state: `lost` or `back`; reason: why it
    was lost, in words."""

    camera: str
    state: str
    reason: str = ""
    time: str = field(default_factory=_now)

    def to_json(self) -> dict[str, Any]:
        """A line of `watch`."""
        return asdict(self)


Line = Answered | SetAside | CameraChanged


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: Line) -> None:
        """Put one line out."""

    def sync(self) -> None:
        """Make what was put out durable, as far as the sink can."""
