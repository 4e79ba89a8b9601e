"""What of a head's sums stays on the board: the scatter within each closed group of pictures, and all of the open ones.

Of a closed group of n pictures leaves only n times its mean m: n m to the label's sum, n m m^T to G, n to the counts,
and one degree of freedom. What leaves is so the head of pictures that never were, and what stays is the difference of
two heads: exact = shared + private, always, number by number. So that m is of whole numbers, the group's new pictures
are moved by a few 2^-10, n / 2 of them together, before they are counted; rounding n m m^T instead would leave G of
full rank, where now few columns say it (`edge_nusa.sync.gram_form`). A label of which nothing is closed is none of the
shared ones. Letters: B pictures, F features, L labels, M open pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.groups import Formed, Group, grouped, marks_of
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

    def sum_of(self, rows: np.ndarray, column: int, group: Group) -> np.ndarray:
        """(F,) int64 sum of a group: of its new pictures, rows (K, F), and of the label's open ones where it has
        them."""
        total = rows.sum(axis=0)
        return np.asarray(total + self.head.sums[:, column] if group.is_opened else total)

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
        """With labels at other places, out of `label_count`: old column -> new, two at one where they are one label
        now. One that has none was forgotten by the fleet: its open pictures' scatter stays, as `Head.without` leaves
        it."""
        own, sums = self.head, np.zeros((len(self.head.gram), label_count), np.int64)
        counts, losses = np.zeros(label_count, np.int64), np.zeros((label_count, *fusion.SHAPE), np.int64)
        gram, spare, settled = own.gram, own.spare, self.settled
        for old, count in enumerate(own.counts.tolist()):
            if old in places:
                new = places[old]
                sums[:, new] += own.sums[:, old]
                counts[new] += count
                losses[new] += self.losses[old]
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
class Placed:
    """A lesson's pictures in groups. rows (B, F) int64: their features as they count; columns (B,) int64: the label of
    each; marks (B,) of them before they were moved; groups: (column, group) with places among all B; left (B,) bool:
    pictures that stay open; formed: all groups that were formed by now."""

    rows: np.ndarray
    columns: np.ndarray
    marks: Sequence[int]
    groups: Sequence[tuple[int, Group]]
    left: np.ndarray
    formed: Formed

    @one_blas_thread
    def stays(self, before: Private, losses: np.ndarray, label_count: int) -> Private:
        """What stays here after the lesson. before: of at most `label_count` labels; losses (B, 8, 7) int64."""
        head = before.head.added(self.rows, self.columns, label_count)
        own = np.zeros((label_count, *fusion.SHAPE), np.int64)
        own[: len(before.losses)] = before.losses
        opened = {column for column, group in self.groups if group.is_opened}
        own[list(opened)] = 0
        np.add.at(own, self.columns[self.left], losses[self.left])
        waits = [*zip(before.marks.tolist(), before.columns.tolist(), strict=True)]
        marks = [(mark, column) for mark, column in waits if column not in opened]
        marks += [(self.marks[row], int(self.columns[row])) for row in np.flatnonzero(self.left).tolist()]
        return replace(
            before,
            head=self._closed(before, head),
            losses=own,
            marks=np.array([mark for mark, _ in marks], np.uint64),
            columns=np.array([column for _, column in marks], np.int64),
        )

    def _closed(self, before: Private, head: Head) -> Head:
        """The head without what leaves of the groups."""
        if not self.groups:
            return head
        sizes = np.array([len(group.marks) for _, group in self.groups], np.int64)
        sums = [before.sum_of(self.rows[list(one.rows)], column, one) for column, one in self.groups]
        means = np.array(sums, np.int64) // sizes[:, None]
        weighted, left, counts = means * sizes[:, None], head.sums.copy(), head.counts.copy()
        for place, (column, _) in enumerate(self.groups):
            left[:, column] -= weighted[place]
            counts[column] -= sizes[place]
        # int64 products have no BLAS; float64 holds every one exactly, since they stay below 2^53
        with one_blas_thread:
            product = weighted.T.astype(np.float64) @ means.astype(np.float64)
        gram = head.gram - product.astype(np.int64)
        return Head(gram, left, counts, head.spare + int(sizes.sum()) - len(sizes))


def placed(before: Private, rows: np.ndarray, columns: np.ndarray, formed: Formed, is_one: bool = False) -> Placed:
    """A lesson's pictures in groups. before: what stayed here until now; rows (B, F) int64 features of the labels
    `columns` (B,) int64; is_one: all pictures of a label that can be grouped are one group."""
    marks, moved, left, found = marks_of(rows), rows.copy(), np.zeros(len(rows), bool), []
    for column in np.unique(columns).tolist():
        mine = np.flatnonzero(columns == column)
        groups, waits = grouped(before.marks_of(column), [marks[row] for row in mine], formed, is_one)
        formed = formed.added(group.marks for group in groups)
        left[mine[waits]] = True
        for group in groups:
            places = mine[list(group.rows)]
            rest = before.sum_of(rows[places], column, group) % len(group.marks)
            rest -= len(group.marks) * (2 * rest >= len(group.marks))
            moved[places] -= _shares(rest, len(places))
            found.append((column, replace(group, rows=tuple(places.tolist()))))
    return Placed(rows=moved, columns=columns, marks=marks, groups=found, left=left, formed=formed)


def _shares(rest: np.ndarray, count: int) -> np.ndarray:
    """(count, F) int64 that sum to rest (F,), as even as can be."""
    whole, more = rest // count, rest % count
    return np.asarray(whole + (np.arange(count)[:, None] < more))
