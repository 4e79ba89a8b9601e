"""What of a head's sums stays on the board: the scatter within each closed group of pictures, and all of the open ones.

Of a closed group of n pictures with the sum s leaves only n times its mean, m = s / n rounded to whole numbers: n m to
the label's sum, n m m^T to G, n to the counts, and one degree of freedom. What leaves is so the head of pictures that
never were, and what stays is the difference of two heads: exact = shared + private, always, number by number.
Rounding the mean instead of n m m^T keeps G of the groups' rank, so that few columns say it
(`edge_nusa.sync.gram_form`). A label of which nothing is closed is none of the shared ones. Letters: B pictures, F
features, L labels, M open pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.groups import Formed, grouped, marks_of
from edge_nusa.knowledge.head import Head, mean_part
from edge_nusa.threads import one_blas_thread


@dataclass(frozen=True, kw_only=True)
class Private:
    """head: what the exact sums have beyond the shared ones, of as many labels as are known; its counts are those of
    open pictures, its spare what shared groups lack in degrees of freedom. losses (L, 8, 7) int64: of the open pictures
    of each label (`edge_nusa.knowledge.fusion`); settled (8, 7) int64: of those whose label was forgotten; marks (M,)
    uint64 of the open pictures, columns (M,) int64: the label of each."""

    head: Head
    losses: np.ndarray
    settled: np.ndarray = field(default_factory=lambda: np.zeros(fusion.SHAPE, np.int64))
    marks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    columns: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @cached_property
    def all_losses(self) -> np.ndarray:
        """(8, 7) int64 that the exact sums of losses have beyond the shared ones."""
        return np.asarray(self.settled + self.losses.sum(axis=0))

    def marks_of(self, column: int) -> list[int]:
        """The marks of a label's open pictures."""
        return [int(mark) for mark in self.marks[self.columns == column]]

    def sum_of(self, column: int) -> np.ndarray:
        """(F,) int64 sum of a label's open pictures, with what rounding left over."""
        own = self.head.sums
        return own[:, column] if column < own.shape[1] else np.zeros(len(own), np.int64)

    def shared(self, exact: Head) -> Head:
        """The head that leaves, of all labels, also those of no picture."""
        own = self.head
        return Head(exact.gram - own.gram, exact.sums - own.sums, exact.counts - own.counts, exact.spare - own.spare)

    def added_to(self, shared: Head) -> Head:
        """The inverse of `shared`."""
        own = self.head
        return Head(
            shared.gram + own.gram, shared.sums + own.sums, shared.counts + own.counts, shared.spare + own.spare
        )

    def without(self, exact: Head, column: int) -> Private:
        """What stays when a label is forgotten in both: its open pictures are in no shared sum, now or later."""
        shared = self.shared(exact)
        count, sums = int(shared.counts[column]), shared.sums[:, column]
        both, known = int(exact.counts[column]), exact.sums[:, column]
        places = {old: old - (old > column) for old in range(len(exact.counts)) if old != column}
        own = self.head
        head = Head(
            own.gram - mean_part(known, both) + mean_part(sums, count),
            np.delete(own.sums, column, axis=1),
            np.delete(own.counts, column),
            own.spare + max(both - 1, 0) - max(count - 1, 0),
        )
        gone = replace(self, head=head, settled=self.settled + self.losses[column])
        return gone._relabelled(np.delete(self.losses, column, axis=0), places)

    def moved(self, places: Mapping[int, int], label_count: int) -> Private:
        """With labels at other places, out of `label_count`: old column -> new. A label that has none was forgotten by
        the fleet: its open pictures' scatter stays, as `Head.without` leaves it."""
        own, sums = self.head, np.zeros((len(self.head.gram), label_count), np.int64)
        counts, losses = np.zeros(label_count, np.int64), np.zeros((label_count, *fusion.SHAPE), np.int64)
        gram, spare, settled = own.gram, own.spare, self.settled
        for old, count in enumerate(own.counts.tolist()):
            if old in places:
                new = places[old]
                sums[:, new], counts[new], losses[new] = own.sums[:, old], count, self.losses[old]
            elif count:
                gram, spare = gram - mean_part(own.sums[:, old], count), spare + count - 1
                settled = settled + self.losses[old]
        made = replace(self, head=Head(gram, sums, counts, spare), settled=settled)
        return made._relabelled(losses, places)

    def _relabelled(self, losses: np.ndarray, places: Mapping[int, int]) -> Private:
        stays = np.isin(self.columns, list(places))
        columns = np.array([places[column] for column in self.columns[stays].tolist()], np.int64)
        return replace(self, losses=losses, marks=self.marks[stays], columns=columns)


def nothing_private(head: Head) -> Private:
    """Of a knowledge whose every sum may leave."""
    size, labels = head.sums.shape
    none = Head(np.zeros((size, size), np.int64), np.zeros((size, labels), np.int64), np.zeros(labels, np.int64))
    return Private(head=none, losses=np.zeros((labels, *fusion.SHAPE), np.int64))


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """B pictures of a lesson. rows (B, F) int64 features; columns (B,) int64: the label of each; losses (B, 8, 7)
    int64."""

    rows: np.ndarray
    columns: np.ndarray
    losses: np.ndarray


@one_blas_thread
def taught(
    before: Private, pictures: Pictures, label_count: int, formed: Formed, is_one: bool = False
) -> tuple[Private, Formed]:
    """What stays after a lesson, and all groups that were formed by then. before: of at most `label_count` labels;
    is_one: all pictures of a label that can be grouped are one group.

    What rounding a mean left over stays in the label's private sum, and goes into its next group with the open ones.
    """
    head = before.head.added(pictures.rows, pictures.columns, label_count)
    losses = np.zeros((label_count, *fusion.SHAPE), np.int64)
    losses[: len(before.losses)] = before.losses
    marks = {column: before.marks_of(column) for column in range(label_count)}
    for column in np.unique(pictures.columns).tolist():
        mine = np.flatnonzero(pictures.columns == column)
        offered, block = marks_of(pictures.rows[mine]), before.sum_of(column)
        groups, left = grouped(marks[column], offered, formed, is_one)
        formed = formed.added(group.marks for group in groups)
        sums = [pictures.rows[mine[list(one.rows)]].sum(axis=0) + one.is_opened * block for one in groups]
        head = _closed(head, column, np.array(sums, np.int64), np.array([len(one.marks) for one in groups], np.int64))
        if any(group.is_opened for group in groups):
            losses[column], marks[column] = 0, []
        losses[column] += pictures.losses[mine[left]].sum(axis=0)
        marks[column] += [offered[row] for row in left]
    now = np.array([mark for column in range(label_count) for mark in marks[column]], np.uint64)
    columns = np.repeat(np.arange(label_count), [len(marks[column]) for column in range(label_count)])
    return replace(before, head=head, losses=losses, marks=now, columns=columns), formed


def _closed(own: Head, column: int, sums: np.ndarray, sizes: np.ndarray) -> Head:
    """What stays of a label's groups with these sums (K, F) and sizes (K,) when they leave."""
    if not len(sizes):
        return own
    means = (2 * sums + sizes[:, None]) // (2 * sizes[:, None])
    weighted = means * sizes[:, None]
    left, counts = own.sums.copy(), own.counts.copy()
    left[:, column] -= weighted.sum(axis=0)
    counts[column] -= sizes.sum()
    # int64 products have no BLAS; float64 holds every one exactly, since they stay below 2^53
    gram = own.gram - (weighted.T.astype(np.float64) @ means.astype(np.float64)).astype(np.int64)
    return Head(gram, left, counts, own.spare + int(sizes.sum()) - len(sizes))
