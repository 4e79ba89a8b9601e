"""A knowledge by the names that labels have now: where two became one, their pictures join."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge, Label


def relabelled(knowledge: Knowledge, names: Sequence[str], gone: Collection[int] = ()) -> Knowledge:
    """The knowledge with other names of its labels, one for each column; those of one key become one label, at the
    first one's place and by its name, with the bits of one that was taught all their pictures.

    gone: columns of which nothing stays that no update tells: files, and pictures that wait.
    """
    places = dict[int, int]()
    labels, first = list[Label](), dict[str, int]()
    for column, (label, name) in enumerate(zip(knowledge.labels, names, strict=True)):
        place = first.setdefault(label_names.key(name), len(labels))
        if place == len(labels):
            labels.append(replace(label, name=name))
        else:
            labels[place] = _joined(labels[place], label)
        places[column] = place
    kept = {column: place for column, place in places.items() if column not in gone}
    firsts = [list(places.values()).index(place) for place in range(len(labels))]
    return replace(
        knowledge,
        labels=tuple(labels),
        frozen_anchors=knowledge.frozen_anchors[firsts],
        adapted_anchors=knowledge.adapted_anchors[firsts],
        head=_head(knowledge.head, list(places.values()), len(labels)),
        files=knowledge.files.moved(kept),
        private=knowledge.private and knowledge.private.moved(kept, len(labels)),
    )


def _joined(one: Label, other: Label) -> Label:
    template = one.template if one.template is not None else other.template
    return replace(one, images=one.images + other.images, template=template)


def _head(head: Head, places: Sequence[int], label_count: int) -> Head:
    sums, counts = np.zeros((len(head.gram), label_count), np.int64), np.zeros(label_count, np.int64)
    for column, place in enumerate(places):
        sums[:, place] += head.sums[:, column]
        counts[place] += head.counts[column]
    return Head(head.gram, sums, counts, head.spare)
