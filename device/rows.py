"""What a model says of itself: its labels, its history, and where it stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.knowledge.stored import LARGEST_LABELS_BYTES, MOST_LABELS, read_report
from edge_nusa.state.generation import Generation

FEWEST_TO_SAY, ENOUGH = 5, 10
"""Pictures of a label from which what is expected of it is worth saying, and from which it needs no more by itself."""


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """One kept generation. operation: what made it; created: ISO 8601 UTC; labels: known then; report: what its learn
    said, {} where it was none."""

    generation: int
    operation: str
    created: str
    current: bool
    labels: list[str]
    report: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """A row of `history --format json`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One label: how many pictures it was taught with, and percent of new ones that are expected to be recognised now
    (None: one label alone, or one picture, tells nothing)."""

    label: str
    images: int
    expected: float | None

    def to_json(self) -> dict[str, Any]:
        """A row of `labels --format json`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Status:
    """Numbers that a fleet's monitoring wants."""

    bundle: str
    identity: str
    generation: int
    labels: int
    tasks: int
    recipe: str
    state_bytes: int

    def to_json(self) -> dict[str, Any]:
        """What `status --format json` prints."""
        return asdict(self)


def history_row(generation: Generation, is_current: bool) -> HistoryRow:
    """The row of a generation. Raises DamagedError, OtherFormatError."""
    report = read_report(generation.read("report.json"))
    origin = Origin(str(generation.folder / "labels.json"), "run `edge-nusa undo`")
    labels = parse(generation.read("labels.json"), origin, LARGEST_LABELS_BYTES).records("labels", MOST_LABELS)
    return HistoryRow(
        generation=generation.number,
        operation=generation.operation,
        created=generation.created,
        current=is_current,
        labels=[label.text("name") for label in labels],
        report={"generation": generation.number, **report} if report else {},
    )
