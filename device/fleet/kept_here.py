"""What a board shares with its fleet, what it keeps, and both as one knowledge again after a pull."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from edge_nusa.device.learning.sharing import sharing
from edge_nusa.device.opened import Opened
from edge_nusa.knowledge import groups
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.waiting import Waiting, waiting


def agreed(opened: Opened, knowledge: Knowledge) -> Knowledge:
    """What the board knows; nothing of it is private in a fleet that shares exactly."""
    if knowledge.private is None or sharing(opened.state.folder) != "exact":
        return knowledge
    return replace(knowledge, private=None)


def not_told(opened: Opened, knowledge: Knowledge) -> tuple[Waiting, ...]:
    """The labels of which pictures wait for more before the fleet is told of them."""
    return waiting(knowledge, groups.read(opened.state.folder)) if knowledge.private is not None else ()


def with_kept(found: Knowledge, before: Knowledge, gone: Collection[str]) -> Knowledge:
    """The fleet's knowledge `found` with what stays here of `before`; without anchors. gone: keys of labels that the
    fleet took back with all that was taught of them here.

    The fleet's labels stay in its order; one that is known here alone stays before the label that it was taught before.
    """
    if before.private is None:
        return found
    names = list(found.columns)
    for column, label in reversed(list(enumerate(before.labels))):
        if label.key not in found.columns and label.key not in gone and before.private.head.counts[column]:
            later = [one.key for one in before.labels[column + 1 :] if one.key in names]
            names.insert(names.index(later[0]) if later else len(names), label.key)
    places = {column: names.index(key) for key, column in before.columns.items() if key in names and key not in gone}
    stays = before.private.moved(places, len(names))
    opened = stays.head.counts.tolist()
    none = np.zeros((len(names), 0), np.float32)
    return replace(
        found,
        labels=tuple(_label(found, before, key, count) for key, count in zip(names, opened, strict=True)),
        frozen_anchors=none,
        adapted_anchors=none,
        head=stays.added_to(_spread(found, names)),
        fusion=found.fusion + stays.all_losses,
        private=stays,
    )


def _label(found: Knowledge, before: Knowledge, key: str, opened: int) -> Label:
    if key in found.columns:
        label = found.labels[found.columns[key]]
        return replace(label, images=label.images + opened)
    return replace(before.labels[before.columns[key]], images=opened)


def _spread(found: Knowledge, keys: Collection[str]) -> Head:
    """The head with a column for each of these labels, in their order; empty for one that it does not know."""
    head, places = found.head, [place for place, key in enumerate(keys) if key in found.columns]
    sums, counts = np.zeros((len(head.gram), len(keys)), np.int64), np.zeros(len(keys), np.int64)
    sums[:, places], counts[places] = head.sums, head.counts
    return Head(head.gram, sums, counts, head.spare)
