"""What is told of one line of a watch: an answer, a picture that was set aside, a camera that is lost or back; and how
it is written for Home Assistant, whose states are texts of at most 255 characters of which a few mean something of
their own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa.errors import InputError
from edge_nusa.files.json_record import Origin, Record

NONE_OF_THESE = "none of these"
LONGEST_STATE = 255
"""Characters of a state in Home Assistant (MAX_LENGTH_STATE_STATE)."""
RESERVED = frozenset({NONE_OF_THESE, "None", "unknown", "unavailable", ""})
"""States that mean something else than a label: "None" is no state at all over MQTT."""
AS_LABEL = " (label)"
MOST_LABELS_TOLD = 5
MOST_LABELS_READ = 100_000
_DIGEST = 8
_ORIGIN = Origin("a line of a watch", "follow the file that `edge-nusa watch --out` writes", InputError)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """label: as `option` writes it, NONE_OF_THESE for none; probability: of that, in percent; known: whether it is a
    label; labels: the most probable with their percents, at most MOST_LABELS_TOLD; named: every label of the line, as
    options; seconds: what the picture took (None: not said)."""

    picture: str
    time: str
    label: str
    probability: float
    known: bool
    generation: int
    labels: dict[str, float]
    named: tuple[str, ...]
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The message on the topic `answer`."""
        return {name: value for name, value in asdict(self).items() if name not in ("named", "seconds")}


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A picture that was not answered, and why."""

    picture: str
    time: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The message on the topic `set-aside`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class CameraTold:
    """A camera gives no pictures any more, or again."""

    is_up: bool
    reason: str
    time: str

    def to_json(self) -> dict[str, Any]:
        """The message on the topic `camera`."""
        return asdict(self)


Told = Answer | Aside | CameraTold


def of_line(line: Mapping[str, Any], origin: Origin = _ORIGIN) -> Told:
    """What a line of `watch` (docs/programs.md) says. Raises InputError for anything else."""
    record = Record(line, origin)
    if "camera" in record:
        is_up = record.choice("state", ("lost", "back")) == "back"
        return CameraTold(is_up=is_up, reason=cut(record.text("reason")), time=cut(record.text("time"), 40))
    picture, time = _file_name(record.text("image")), cut(record.text("time"), 40)
    if "reason" in record:
        return Aside(picture=picture, time=time, reason=cut(record.text("reason")))
    rows = record.records("labels", MOST_LABELS_READ)
    ranked = [(one.text("label"), one.number("probability", 0, 1)) for one in rows]
    best = record.text_or_none("best")
    known = 1.0 if record.fields.get("known") is None else record.number("known", 0, 1)
    percents = {option(label): _percent(probability) for label, probability in ranked[:MOST_LABELS_TOLD]}
    label = NONE_OF_THESE if best is None else option(best)
    probability = _percent(1 - known) if best is None else _percent(dict(ranked).get(best, 0.0))
    return Answer(
        picture=picture,
        time=time,
        label=label,
        probability=probability,
        known=best is not None,
        generation=record.integer("generation"),
        labels=percents,
        named=tuple(dict.fromkeys([*(option(name) for name, _ in ranked), *([label] if best is not None else [])])),
        seconds=record.number("seconds", 0, 1e6) if record.fields.get("seconds") is not None else None,
    )


def option(label: str) -> str:
    """A label as a state: itself, but no RESERVED word and not too long; two labels are never one state."""
    plain = label + AS_LABEL if label in RESERVED or label.endswith(AS_LABEL) else label
    return cut(plain)


def cut(text: str, longest: int = LONGEST_STATE) -> str:
    """The text, or its beginning with a digest of the whole where it is longer."""
    if len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGEST]
    return f"{text[: longest - _DIGEST - 1]}~{digest}"


def _file_name(image: str) -> str:
    """Without its folders, which are nobody's business at a broker."""
    return cut(image.rpartition("/")[2] or image)


def _percent(probability: float) -> float:
    return round(100 * probability, 2)
