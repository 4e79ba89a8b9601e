"""Which devices' pictures of a label are unlike those of the others: what the head's exact sums need beside robust
cores.

A device is taken or refused as a whole, so that sums stay sums of pictures. Where at least 2 f + 1 devices taught a
label, f of which may be bad, the coordinate median of their means is a mean of good ones' kind; a device is refused
whose mean is further from it than LARGEST_RATIO times what is usual among all devices and labels. A label taught by
fewer is not compared: no rule can tell a bad device from a good one there. Letters: F features.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edge_nusa.knowledge.fit import UNIT
from edge_nusa.sync.merging import Contribution

LARGEST_RATIO = 3.0
"""Good devices of the simulation (tests/fleet/test_fleet_malicious.py) stay under 2.2."""
PICTURES_THAT_SAY_ALL = 8
"""More pictures of one device make its mean no more alike to others': they are of one place and one camera."""


class Means:
    """The mean features (F,) float32 of each label and device, as they come."""

    def __init__(self, bad: int) -> None:
        self.bad = bad
        self._by_label: dict[str, list[tuple[str, int, np.ndarray]]] = {}

    def add(self, one: Contribution) -> None:
        """Take in one device's labels. Pictures that were taken back must look like the label too."""
        for step in one.steps:
            for key, label in step.change.labels.items():
                if label.pictures:
                    mean = (label.sums / label.pictures / UNIT).astype(np.float32)
                    self._by_label.setdefault(key, []).append((one.device, abs(label.pictures), mean))

    def suspects(self) -> dict[str, str]:
        """device -> reason of those to refuse."""
        distances = [
            (device, key, ratio) for key, rows in self._by_label.items() for device, ratio in self._distances(rows)
        ]
        if not distances:
            return {}
        usual = max(float(np.median([ratio for _, _, ratio in distances])), 1e-6)
        found: dict[str, str] = {}
        for device, key, distance in sorted(distances, key=lambda row: -row[2]):
            if distance > LARGEST_RATIO * usual:
                reason = (
                    f"its pictures of {key!r} are {distance / usual:.1f} times as unlike the other devices' as is "
                    f"usual, the bound is {LARGEST_RATIO:g}"
                )
                found.setdefault(device, reason)
        return found

    def _distances(self, rows: list[tuple[str, int, np.ndarray]]) -> Iterable[tuple[str, float]]:
        if len({device for device, _, _ in rows}) < max(2 * self.bad + 1, 3):
            return
        centre = np.median(np.stack([mean for _, _, mean in rows]), axis=0)
        for device, pictures, mean in rows:
            expected = np.sqrt(1 / min(pictures, PICTURES_THAT_SAY_ALL))
            yield device, float(np.sqrt(np.mean((mean - centre) ** 2)) / expected)
