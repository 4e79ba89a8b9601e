"""The bounds of a device's whole step: of all that one merge takes of it, in however many updates it comes.

What is beyond them waits for the next merge. One update that is beyond them by itself is refused, since it would wait
for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.sync import update
from edge_nusa.sync.change import Change
from edge_nusa.sync.hub import given as givens
from edge_nusa.sync.hub import plausible

MOST_UPDATES = 20
"""Of one device in one merge: as many as a round may have to say that it does not hold."""
HUB_DEVICES, HUB_MERGES = 1000, 20
"""Of a hub's own fleet: devices that one update may speak for, and merges since its last one."""


@dataclass(frozen=True)
class UpdateLimits:
    """Of one device in one merge: pictures, packed bytes of an update, labels that it takes back, labels that it
    teaches; hidden: pictures that one update may give and take back at once; cores: of what one device's lessons move
    (`UpdateShapes.largest_cores`); known: labels that it may have in the fleet."""

    pictures: int = 1000
    size: int = 64 << 20
    forgets: int = 20
    labels: int = 500
    hidden: int = plausible.HIDDEN
    cores: int = 1
    known: int = givens.MOST_LABELS

    def of_hub(self) -> UpdateLimits:
        """Those of a hub, which brings what so many devices gave in one update."""
        return UpdateLimits(
            pictures=self.pictures * HUB_DEVICES,
            size=self.size,
            forgets=update.MOST_LABELS,
            labels=update.MOST_LABELS,
            hidden=self.hidden * HUB_DEVICES,
            cores=HUB_MERGES,
            known=givens.MOST_HUB_LABELS,
        )


@dataclass
class WholeStep:
    """What a merge has taken of a device so far. largest_cores: matrix -> norm (`UpdateShapes`)."""

    limits: UpdateLimits
    largest_cores: Mapping[str, float]
    pictures: int = 0
    forgets: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    cores: dict[str, np.ndarray] = field(default_factory=dict)

    def has_room(self, change: Change) -> bool:
        """Take a change in; False where it must wait, which changes nothing. Raises DamagedError where it is too large
        by itself."""
        WholeStep(self.limits, self.largest_cores)._check(change)
        try:
            self._check(change)
        except DamagedError:
            return False
        self.pictures += pictures_of(change)
        self.forgets |= change.forgotten_keys
        self.labels |= set(change.labels)
        self.cores = self._cores_with(change)
        return True

    def _check(self, change: Change) -> None:
        for found, bound, words in (
            (self.pictures + pictures_of(change), self.limits.pictures, "it is of {} pictures"),
            (len(self.forgets | change.forgotten_keys), self.limits.forgets, "it takes back {} labels at once"),
            (len(self.labels | set(change.labels)), self.limits.labels, "it teaches {} labels at once"),
        ):
            if found > bound:
                raise DamagedError(f"{words.format(found)}, the bound is {bound}")
        largest = {name: self.limits.cores * norm for name, norm in self.largest_cores.items()}
        plausible.check_cores(self._cores_with(change), largest)

    def _cores_with(self, change: Change) -> dict[str, np.ndarray]:
        return {name: self.cores[name] + core if name in self.cores else core for name, core in change.cores.items()}


def pictures_of(change: Change) -> int:
    """Pictures given and taken back, and those of which only how they scattered is left."""
    return max(sum(abs(label.pictures) for label in change.labels.values()) + max(change.spare, 0), -change.spare)
