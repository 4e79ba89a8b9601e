"""Groups of pictures: nothing that leaves a board is a sum of fewer than four pictures, whatever is undone, forgotten
and taught again there (of two copies of one state: SECURITY.md).

A picture is known by its mark, 8 bytes of the SHA-256 of its features. Every group that was ever formed on a board is
remembered (STATE/groups), also after `undo` and `forget`, since it may have been sent: {a, b, c, d} and later {a, b, c,
e} would tell d - e, and {a, b, c, d, e} would tell e. So a group is formed only as one that was formed before, picture
by picture, or with at least FEWEST pictures that are in none. Of different groups, in the order in which they were
first formed, each then has FEWEST pictures that those before it lack; so whatever multiples of them are added, at least
FEWEST pictures remain in the sum. Letters: N marks.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.files import durable, tensor_file
from edge_nusa.files.file_record import sha256_hex

Sharing = Literal["exact", "groups", "means"]
"""What of a fleet's pictures leaves a board: sums of all of them, of groups, or one sum a label and lesson."""
NAME = "groups"
"""The file of a state that remembers them; no generation has it, so that no `undo` takes it back."""
FEWEST = 4
"""Pictures of a group that are in no other one: what a reader of all messages finds is a mean of at least so many."""
MOST_MARKS = 50_000
"""So many are remembered, 12 bytes each; of more the groups formed first go."""
LARGEST_BYTES = 1 << 20
_EXPECTED: tensor_file.Expected = {"marks": ("uint64", (-1,)), "sizes": ("int32", (-1,))}


def marks_of(feature_rows: np.ndarray) -> list[int]:
    """The mark of each picture of feature_rows (B, F) int64."""
    rows = np.ascontiguousarray(feature_rows, "<i8")
    return [int.from_bytes(hashlib.sha256(row.tobytes()).digest()[:8], "big") for row in rows]


@dataclass(frozen=True)
class Group:
    """One group of pictures of one label. rows: places of its pictures among those that were offered; is_opened: the
    label's open pictures are in it too; marks: of all of them, sorted."""

    rows: tuple[int, ...]
    is_opened: bool
    marks: tuple[int, ...]


@dataclass(frozen=True)
class Formed:
    """The groups that were formed so far, oldest first: the sorted marks of each."""

    groups: tuple[tuple[int, ...], ...] = ()

    @cached_property
    def _places(self) -> dict[int, list[int]]:
        """The groups of each mark."""
        found: dict[int, list[int]] = {}
        for place, group in enumerate(self.groups):
            for mark in dict.fromkeys(group):
                found.setdefault(mark, []).append(place)
        return found

    def fresh(self, marks: Iterable[int]) -> set[int]:
        """Those of the marks that are in no group."""
        return {mark for mark in marks if mark not in self._places}

    def of(self, marks: Iterable[int]) -> list[tuple[int, ...]]:
        """The groups that have any of these marks, oldest first."""
        places = sorted({place for mark in marks for place in self._places.get(mark, ())})
        return [self.groups[place] for place in places]

    def added(self, groups: Iterable[tuple[int, ...]]) -> Formed:
        """With these too, each once; of more than MOST_MARKS marks the oldest groups go."""
        both = list(dict.fromkeys((*self.groups, *groups)))
        total = sum(len(group) for group in both)
        while total > MOST_MARKS:
            total -= len(both.pop(0))
        return Formed(tuple(both))

    def encoded(self) -> bytes:
        """The file: a line with the SHA-256 of the rest, a safetensors file of marks (N,) and the groups' sizes."""
        tensors: dict[str, np.ndarray] = {
            "marks": np.array([mark for group in self.groups for mark in group], np.uint64),
            "sizes": np.array([len(group) for group in self.groups], np.int32),
        }
        rest = tensor_file.encode(tensors)
        return sha256_hex(rest).encode() + b"\n" + rest


def decoded(data: bytes, where: str) -> Formed:
    """The inverse of `Formed.encoded`. Raises DamagedError naming `where`."""
    line, _, rest = data[:LARGEST_BYTES].partition(b"\n")
    if line != sha256_hex(rest).encode():
        raise DamagedError(f"{where}: expected the groups as they were written, found other bytes; {_NEXT_STEP}")
    tensors = tensor_file.decode(rest, where, _EXPECTED)
    marks, sizes = tensors["marks"].tolist(), tensors["sizes"].tolist()
    if sum(sizes) != len(marks) or len(marks) > MOST_MARKS or min(sizes, default=1) < 1:
        raise DamagedError(
            f"{where}: expected at most {MOST_MARKS} marks in groups of at least one, found others; {_NEXT_STEP}"
        )
    ends = np.cumsum([0, *sizes]).tolist()
    return Formed(tuple(tuple(marks[start:end]) for start, end in zip(ends, ends[1:], strict=False)))


_NEXT_STEP = (
    "restore it from a backup, or remove it: pictures that were undone or forgotten and are taught again then count as "
    "new ones"
)


def read(state_folder: Path) -> Formed:
    """What a state remembers. Raises DamagedError, ResourceError."""
    path = state_folder / NAME
    try:
        return decoded(durable.read_at_most(path, LARGEST_BYTES + 1), str(path))
    except FileNotFoundError:
        return Formed()
    except OSError as error:
        raise durable.storage_error(error, f"read {path}") from error


def remember(state_folder: Path, formed: Formed) -> None:
    """Keep them, before what was formed is committed; the state's lock is held. Raises ResourceError, DamagedError."""
    path = state_folder / NAME
    with durable.explained(f"write {path}"):
        durable.replace_file(path, formed.encoded())


def grouped(
    opened: Sequence[int], offered: Sequence[int], formed: Formed, is_one: bool = False
) -> tuple[list[Group], list[int]]:
    """The groups of one label, and the places of the offered pictures that stay open.

    opened: marks of the label's open pictures, whose features are known as one sum only; offered: marks of a lesson's
    pictures of it; is_one: all that can be grouped is one group, however many. The order of pictures does not matter.
    """
    again = _formed_again(opened, offered, formed)
    taken = {row for group in again for row in group.rows}
    left = [row for row in sorted(range(len(offered)), key=lambda row: offered[row]) if row not in taken]
    block = () if any(group.is_opened for group in again) else tuple(opened)
    counted = formed.fresh(block)
    needed = max(FEWEST - len(counted), 0)
    unseen, new, others = formed.fresh(offered), [], []
    for row in left:
        if offered[row] in unseen and offered[row] not in counted:
            counted.add(offered[row])
            new.append(row)
        else:
            others.append(row)
    if len(counted) < FEWEST or not left:
        return again, left
    first, *more = _parts(new, len(new) if is_one else needed)
    first = [*others, *first]
    marks = tuple(sorted([*block, *(offered[row] for row in first)]))
    return [*again, Group(tuple(first), bool(block), marks), *(_closed(part, offered) for part in more)], []


def _closed(rows: Sequence[int], offered: Sequence[int]) -> Group:
    return Group(tuple(rows), False, tuple(sorted(offered[row] for row in rows)))


def _parts(rows: Sequence[int], first: int) -> list[Sequence[int]]:
    """The first ones, then FEWEST each, the rest with the last."""
    count = (len(rows) - first) // FEWEST
    if not count:
        return [rows]
    ends = [first + FEWEST * place for place in range(count)]
    return [rows[:first], *(rows[end : end + FEWEST] for end in ends[:-1]), rows[ends[-1] :]]


def _formed_again(opened: Sequence[int], offered: Sequence[int], formed: Formed) -> list[Group]:
    """Groups formed before, all of whose pictures are there once more: the same sum tells nothing new."""
    places: dict[int, list[int]] = {}
    for row, mark in enumerate(offered):
        places.setdefault(mark, []).append(row)
    found, block = [], Counter(opened)
    for group in formed.of([*opened, *offered]):
        wanted = Counter(group)
        is_opened = bool(block) and block <= wanted
        if is_opened:
            wanted -= block
        if wanted and all(len(places.get(mark, ())) >= count for mark, count in wanted.items()):
            rows = [places[mark].pop() for mark in wanted.elements()]
            found.append(Group(tuple(rows), is_opened, group))
            if is_opened:
                block = Counter()
    return found
