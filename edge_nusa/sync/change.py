"""The difference of two knowledges over one basis, as exact as the head's integers: made, applied, and taken away
from labels.

Let X be what a device knows, R the round that it is based on, D_1, D_2, ... the changes it has sent that R does not
hold. The next change is D = X - E with E = R + D_1 + D_2 + ..., where a change is applied by forgetting the labels that
it forgets and then adding its sums and cores. So X = E + D, exactly for the head (integers), and to float64 for cores.
Letters: F features, R the pool's rank.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_nusa.errors import DamagedError, UsageError
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.head import Head, mean_part
from edge_nusa.knowledge.knowledge import Knowledge, Label

if TYPE_CHECKING:
    from edge_nusa.sync.packed import UpdateShapes


@dataclass(frozen=True)
class LabelChange:
    """What one label gained: pictures (negative after an undo) and the sum of their features (F,) int64; the label's
    name and template as the sender has them now."""

    label: Label
    pictures: int
    sums: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Change:
    """cores: matrix -> (R, R) float64, what was added; gram (F, F) int64; labels by key, in the order they were taught;
    spare, tasks and fusion (8, 7) int64 (`edge_nusa.knowledge.fusion`): what was added; forgets: (label key, tasks
    then)."""

    cores: Mapping[str, np.ndarray]
    gram: np.ndarray
    labels: Mapping[str, LabelChange] = field(default_factory=dict)
    spare: int = 0
    tasks: int = 0
    fusion: np.ndarray = field(default_factory=lambda: np.zeros(fusion.SHAPE, np.int64))
    forgets: tuple[tuple[str, int], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing was taught, undone or forgotten; cores alone never change."""
        return not (self.labels or self.forgets or self.spare or self.gram.any())

    @property
    def pictures(self) -> int:
        """Pictures gained, less those taken back."""
        return sum(change.pictures for change in self.labels.values())

    @property
    def forgotten_keys(self) -> set[str]:
        """The keys of the labels that it takes back."""
        return {key for key, _ in self.forgets}


def nothing_changed(shapes: UpdateShapes) -> Change:
    """The change of a bundle's knowledge that changes nothing."""
    cores = {name: np.zeros((rank, rank)) for name, rank in shapes.ranks.items()}
    return Change(cores=cores, gram=np.zeros((shapes.features, shapes.features), np.int64))


def without_anchors(knowledge: Knowledge) -> Knowledge:
    """The same without its anchors, which follow from labels and cores and are made anew by
    `edge_nusa.model.text_encoder`."""
    none = np.zeros((len(knowledge.labels), 0), np.float32)
    return replace(knowledge, frozen_anchors=none, adapted_anchors=none)


def check_shared(knowledge: Knowledge) -> None:
    """Raises UsageError for a knowledge whose weights do not lie in the shared basis, so that it cannot be merged."""
    if knowledge.recipe.rule != "pool" or not knowledge.recipe.has_head:
        name = knowledge.recipe.name
        raise UsageError(
            "expected a state taught with --recipe device, whose cores share the bundle's basis, found --recipe "
            f"{name}; use another --state to sync"
        )


def difference(now: Knowledge, before: Knowledge, done: Collection[tuple[str, int]]) -> Change:
    """D = X - E of the module docstring. now: X; before: E; done: the forgettings that E has already been told of."""
    forgets = tuple(pair for pair in now.forgotten if pair not in done and pair[0] in before.columns)
    before = forget(before, [key for key, _ in forgets])
    cores = {name: core - before.cores[name] for name, core in now.cores.items()}
    spare, tasks = now.head.spare - before.head.spare, now.tasks - before.tasks
    return Change(
        cores=cores,
        gram=now.head.gram - before.head.gram,
        labels=_label_changes(now, before),
        spare=spare,
        tasks=tasks,
        fusion=now.fusion - before.fusion,
        forgets=forgets,
    )


def _label_changes(now: Knowledge, before: Knowledge) -> dict[str, LabelChange]:
    labels = {key: knowledge.labels[column] for knowledge in (before, now) for key, column in knowledge.columns.items()}
    old, new = before.columns, now.columns
    empty = np.zeros(len(now.head.gram), np.int64)
    found: dict[str, LabelChange] = {}
    for key, label in labels.items():
        after_sums, after_count = (
            (now.head.sums[:, new[key]], int(now.head.counts[new[key]])) if key in new else (empty, 0)
        )
        sums, count = (before.head.sums[:, old[key]], int(before.head.counts[old[key]])) if key in old else (empty, 0)
        if after_count != count or (after_sums != sums).any():
            found[key] = LabelChange(label, after_count - count, after_sums - sums)
    return found


def applied(knowledge: Knowledge, change: Change) -> Knowledge:
    """The knowledge with the change, without anchors.

    Raises DamagedError where a label would be left with fewer than no pictures.
    """
    base = forget(without_anchors(knowledge), [key for key, _ in change.forgets])
    labels, sums, counts = list(base.labels), list(base.head.sums.T), base.head.counts.tolist()
    gram, spare = base.head.gram + change.gram, base.head.spare + change.spare
    columns = dict(base.columns)
    for key, one in change.labels.items():
        if key not in columns:
            columns[key] = len(labels)
            labels.append(replace(one.label, images=one.pictures))
            sums.append(one.sums)
            counts.append(one.pictures)
        else:
            column = columns[key]
            labels[column] = _joined(labels[column], one)
            sums[column], counts[column] = sums[column] + one.sums, counts[column] + one.pictures
    kept = [i for i, label in enumerate(labels) if _is_left(label.name, counts[i], sums[i])]
    stacked = np.array([sums[i] for i in kept], np.int64).reshape(len(kept), len(gram)).T
    head = Head(gram, stacked, np.array([counts[i] for i in kept], np.int64), spare)
    cores = {name: core + change.cores[name] if name in change.cores else core for name, core in base.cores.items()}
    losses = np.maximum(base.fusion + change.fusion, 0)
    whole = replace(
        base,
        labels=tuple(labels[i] for i in kept),
        head=head,
        cores=cores,
        tasks=base.tasks + change.tasks,
        fusion=losses,
    )
    return without_anchors(whole)


def background(change: Change, pictures: Mapping[str, tuple[int, np.ndarray]]) -> Change:
    """The change with pictures of forgotten labels as `Head.without` leaves them: no label's, and around their own
    mean. pictures: label key -> how many, and their sums (F,) int64, which the change's G holds."""
    gram, spare = change.gram, change.spare
    for count, sums in pictures.values():
        if count:
            gram = gram - mean_part(sums, count)
            spare += int(np.sign(count)) * (abs(count) - 1)
    return replace(change, gram=gram, spare=spare)


def forget(knowledge: Knowledge, keys: Iterable[str]) -> Knowledge:
    """Without the labels of these keys; those that it does not know are passed over."""
    for key in keys:
        column = knowledge.columns.get(key)
        if column is not None:
            knowledge = replace(knowledge.without(knowledge.names[column]), forgotten=knowledge.forgotten)
    return knowledge


def _joined(known: Label, one: LabelChange) -> Label:
    """One label taught twice: the name and template that came first, all pictures."""
    template = known.template if known.template is not None else one.label.template
    return replace(known, images=known.images + one.pictures, template=template)


def _is_left(name: str, count: int, sums: np.ndarray) -> bool:
    if count > 0:
        return True
    if count < 0 or sums.any():
        raise DamagedError(
            f"the label {label_names.quoted(name)}: expected at least one picture left or nothing of it, found "
            f"{count}; the change takes back what was never given"
        )
    return False
