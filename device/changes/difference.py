"""What another generation changes of the labels that are known: which go, which come, with how many pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.knowledge.knowledge import Label
from edge_nusa.knowledge.labels import quoted
from edge_nusa.knowledge.stored import LARGEST_LABELS_BYTES, MOST_LABELS, read_labels
from edge_nusa.state.generation import Generation


@dataclass(frozen=True)
class Pictures:
    """A label, how many of its pictures go or come, and how many it has then (0: the label is not known then)."""

    label: str
    images: int
    left: int


@dataclass(frozen=True)
class Difference:
    """gone, back: labels with fewer and with more pictures than before, in the order they were taught."""

    gone: tuple[Pictures, ...]
    back: tuple[Pictures, ...]


def labels_of(generation: Generation | None) -> tuple[Label, ...]:
    """The labels of a generation, of none in the empty state; reads one small file. Raises DamagedError."""
    if generation is None:
        return ()
    origin = Origin(str(generation.folder / "labels.json"), "run `edge-nusa undo`")
    return read_labels(parse(generation.read("labels.json"), origin, LARGEST_LABELS_BYTES), MOST_LABELS)


def difference(before: Sequence[Label], after: Sequence[Label]) -> Difference:
    """What going from the labels of one generation to those of another changes."""
    old, new = ({label.key: label.images for label in labels} for labels in (before, after))
    gone = [
        Pictures(label.name, label.images - new.get(label.key, 0), new.get(label.key, 0))
        for label in before
        if new.get(label.key, 0) < label.images or label.key not in new
    ]
    back = [
        Pictures(label.name, label.images - old.get(label.key, 0), label.images)
        for label in after
        if old.get(label.key, 0) < label.images or label.key not in old
    ]
    return Difference(tuple(gone), tuple(back))


def gone_in_words(rows: Sequence[Pictures]) -> str:
    """`'mug' with its 8 pictures, 3 of the 11 pictures of 'cup'`."""
    return ", ".join(
        f"{row.images} of the {row.images + row.left} pictures of {quoted(row.label)}"
        if row.left
        else f"{quoted(row.label)} with its {pictures(row.images)}"
        for row in rows
    )


def back_in_words(rows: Sequence[Pictures]) -> str:
    """`'mug' with its 8 pictures, 3 pictures of 'cup', which has 11 then`."""
    return ", ".join(
        f"{quoted(row.label)} with its {pictures(row.images)}"
        if row.images == row.left
        else f"{pictures(row.images)} of {quoted(row.label)}, which has {row.left} then"
        for row in rows
    )


def pictures(count: int) -> str:
    """`1 picture`, `3 pictures`."""
    return f"{count} picture{'' if count == 1 else 's'}"
