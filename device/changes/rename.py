"""Renaming a label: its column of the head, its pictures and its template stay; its text anchors are encoded anew.

In a fleet labels travel by name, and an update says what a device knows beyond its round (`edge_nusa.sync.change`). A
label that this round does not hold was taught here alone: the next update takes its pictures back under the old name,
where one was sent already, and gives the same ones under the new name, number by number, as after an undo. Of a label
that the round holds, the pictures of other devices are part: to take them back is not this device's to do, and two
devices that rename it would count them twice. So that is refused, also by a device that has left and may come back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from edge_nusa.device.opened import Opened
from edge_nusa.errors import InputError, RefusedError
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.anchors import label_anchors
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.labels import quoted
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import from_files, load, to_files
from edge_nusa.model.text_encoder import TextEncoder

OPERATION = "rename"


@dataclass(frozen=True)
class Renamed:
    """generation: the one committed; old, new: the label's names; images: its pictures, which stay."""

    generation: int
    old: str
    new: str
    images: int

    def to_json(self) -> dict[str, Any]:
        """What `rename --format json` prints."""
        return asdict(self)


def rename(opened: Opened, old: str, new: str) -> Renamed:
    """Give a label another name and commit it. Raises InputError for a label that was never taught, a name that is
    none or that another label has, RefusedError for a label that the fleet's round holds."""
    wanted = label_names.normalise(new)
    with opened.state.writer():
        _, before = load(opened.bundle, opened.state, DEVICE)
        column = before.column(old)
        label = before.labels[column]
        _check_free(before, column, wanted)
        _check_fleet(opened, before, label, wanted)
        after = renamed(opened, before, column, wanted)
        files = to_files(after)
        from_files(opened.bundle, files)  # what could not be read back must not be committed
        return Renamed(opened.state.commit(files, OPERATION).number, label.name, wanted, label.images)


def renamed(opened: Opened, before: Knowledge, column: int, name: str) -> Knowledge:
    """The knowledge with another name of one label, and the anchors of that name by the untouched and by its own
    text."""
    label = replace(before.labels[column], name=name)
    text = TextEncoder(opened.bundle, opened.threads)
    untouched, merged = text.tail({}), before.merged(opened.bundle, ("text",))
    frozen, adapted = before.frozen_anchors.copy(), before.adapted_anchors.copy()
    frozen[column] = label_anchors(text, untouched, [label])[0]
    adapted[column] = label_anchors(text, text.tail(merged), [label])[0] if merged else frozen[column]
    return replace(
        before.with_lesson(),
        labels=tuple(label if place == column else one for place, one in enumerate(before.labels)),
        frozen_anchors=frozen,
        adapted_anchors=np.asarray(adapted),
        report={"renamed": {"old": before.names[column], "new": name}},
    )


def _check_free(before: Knowledge, column: int, name: str) -> None:
    if name == before.names[column]:
        raise InputError(f"the label {quoted(name)} has this name already; choose another name")
    taken = before.columns.get(label_names.key(name), column)
    if taken != column:
        raise InputError(
            f"the label {quoted(before.names[taken])} is known already; two labels do not become one by a name: forget "
            "one and teach its pictures as the other, or choose another name"
        )


def _check_fleet(opened: Opened, before: Knowledge, label: Label, name: str) -> None:
    if not before.round.number:
        return
    from edge_nusa.device.fleet.leaving import left_with
    from edge_nusa.device.fleet.membership import Fleet

    fleet = Fleet(opened) if opened.is_in_fleet else left_with(opened, before.round)
    if fleet is not None and label.key in fleet.base(before.round).knowledge.columns:
        raise RefusedError(
            f"refused: round {before.round.number} of the fleet holds the label {quoted(label.name)}, and devices know "
            "a label by its name; the state is unchanged: the hub's user renames it for all by `edge-nusa hub rename "
            f"{quoted(label.name)} {quoted(name)}`; or, on one device, `edge-nusa forget` it and teach its pictures as "
            f"{quoted(name)}: the next round then brings both to all"
        )
