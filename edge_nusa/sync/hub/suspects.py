"""Which devices' pictures are unlike those of the others: what the head's exact sums need beside robust cores.

Devices are compared by all that each has given, so that many small updates say no more than one. A device is taken or
refused as a whole, so that sums stay sums of pictures. Where at least 2 f + 1 devices taught a label, f of which may be
bad, the coordinate median of their means is a mean of good ones' kind; a device is refused whose mean is further from
it than LARGEST_RATIO times what is usual among all devices and labels. A label taught by fewer is not compared: no rule
can tell a bad device from a good one there.

How its pictures scatter is compared in all, and where it counts: in the space of the medians of the labels that were
compared, in which labels are told apart. There its mean square along each axis is divided by the median of the
devices', and the largest along any direction, beside what so few pictures give by chance, may not be much more than
usual beside its scatter in all. Nor may one device's scatter count for much more than the others'.
Letters: F features, J axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from edge_nusa.knowledge.fit import UNIT
from edge_nusa.knowledge.labels import quoted
from edge_nusa.sync.hub.given import Given
from edge_nusa.sync.hub.shares import Shares
from edge_nusa.threads import one_blas_thread

LARGEST_RATIO = 3.0
"""Good devices of the simulation (tests/fleet/test_fleet_malicious.py) stay under 2.2."""
PICTURES_THAT_SAY_ALL = 8
"""More pictures of one device make its mean no more alike to others': they are of one place and one camera."""
MOST_AXES = 64
LARGEST_SCATTER_RATIO = 3.0
"""Good devices of the simulation stay within 1.2; labels themselves are unlike in how widely their pictures lie."""
LARGEST_SHAPE_RATIO = 1.8
"""Good devices of the simulation stay under 1.4."""
LARGEST_WEIGHT = 3.0
"""So many times the scatter of the median device may count; more of it waits. Without this, four devices of twenty
whose scatter is within all of these bounds cost five points."""
FEWEST_FREEDOM = 4
"""A device of fewer degrees of freedom is not compared by its scatter, which then is nearly nothing."""


def enough(devices: int, bad: int) -> bool:
    """Whether so many devices can be compared, `bad` of which may be."""
    return devices >= max(2 * bad + 1, 3)


def overweight(shares: Shares, bad: int) -> dict[str, str]:
    """device -> reason of those whose scatter would count for too much."""
    speaking = {device: one.freedom for device, one in shares.devices.items() if one.freedom > 0}
    if not enough(len(speaking), bad):
        return {}
    usual = float(np.median(list(speaking.values())))
    return {
        device: f"its pictures would count {freedom / usual:.1f} times as much as the median device's, the bound is "
        f"{LARGEST_WEIGHT:g}"
        for device, freedom in speaking.items()
        if freedom > LARGEST_WEIGHT * usual
    }


class Means:
    """The mean features (F,) float32 of each label and device, as they come."""

    def __init__(self, bad: int) -> None:
        self.bad = bad
        self._by_label: dict[str, dict[str, tuple[int, np.ndarray]]] = {}

    def add(self, device: str, given: Given) -> None:
        """Take in what a device has given in all."""
        for key, own in given.labels.items():
            mean = (own.sums / own.pictures / UNIT).astype(np.float32)
            self._by_label.setdefault(key, {})[device] = own.pictures, mean

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
                    f"its pictures of {quoted(key)} are {distance / usual:.1f} times as unlike the other devices' as "
                    f"is usual, the bound is {LARGEST_RATIO:g}"
                )
                found.setdefault(device, reason)
        return found

    @one_blas_thread
    def axes(self) -> np.ndarray:
        """(F, J) float64 orthonormal columns: the space of the medians of the labels that can be compared; J = 0 where
        these are fewer than two."""
        rows = [self._centre(rows) for rows in self._by_label.values() if enough(len(rows), self.bad)]
        if len(rows) < 2:
            return np.zeros((len(rows[0]) if rows else 0, 0))
        wide = np.stack(rows).astype(np.float64)
        _, sizes, found = np.linalg.svd(wide - wide.mean(axis=0), full_matrices=False)
        return np.asarray(found[sizes > 1e-6 * max(sizes[0], 1e-9)][:MOST_AXES].T)

    def _centre(self, rows: Mapping[str, tuple[int, np.ndarray]]) -> np.ndarray:
        return np.asarray(np.median(np.stack([mean for _, mean in rows.values()]), axis=0))

    def _distances(self, rows: Mapping[str, tuple[int, np.ndarray]]) -> Iterable[tuple[str, float]]:
        if not enough(len(rows), self.bad):
            return
        centre = self._centre(rows)
        for device, (pictures, mean) in rows.items():
            expected = np.sqrt(1 / min(pictures, PICTURES_THAT_SAY_ALL))
            yield device, float(np.sqrt(np.mean((mean - centre) ** 2)) / expected)


@dataclass
class Scatters:
    """How each device's pictures scatter along some axes (F, J), and over all features."""

    axes: np.ndarray
    bad: int
    _freedom: dict[str, int] = field(default_factory=dict)
    _inside: dict[str, np.ndarray] = field(default_factory=dict)
    _in_all: dict[str, float] = field(default_factory=dict)

    @one_blas_thread
    def add(self, device: str, given: Given) -> None:
        """Take in what a device has given in all."""
        if given.freedom < FEWEST_FREEDOM:
            return
        scatter = given.scatter() / given.freedom / UNIT**2
        self._freedom[device] = given.freedom
        if self.axes.shape[1]:
            self._inside[device] = self.axes.T @ scatter @ self.axes
        self._in_all[device] = float(np.trace(scatter))

    def suspects(self) -> dict[str, str]:
        """device -> reason of those to refuse."""
        if not enough(len(self._freedom), self.bad):
            return {}
        wide = _usual_times(self._in_all)
        found = {
            device: f"its pictures scatter {one:.2g} times as much as the other devices', the bounds are "
            f"1/{LARGEST_SCATTER_RATIO:g} and {LARGEST_SCATTER_RATIO:g}"
            for device, one in wide.items()
            if not 1 / LARGEST_SCATTER_RATIO <= one <= LARGEST_SCATTER_RATIO
        }
        if self.axes.shape[1]:
            for device, one in _usual_times(self._largest()).items():
                if one / wide[device] > LARGEST_SHAPE_RATIO:
                    reason = (
                        f"its pictures scatter {one / wide[device]:.2g} times as much as the other devices' where "
                        f"labels are told apart, the bound is {LARGEST_SHAPE_RATIO:g}"
                    )
                    found.setdefault(device, reason)
        return found

    def _relative(self) -> dict[str, np.ndarray]:
        """(J, J) of each device, each axis divided by the median of the devices' mean squares along it."""
        usual = np.median(np.stack([np.diagonal(inside) for inside in self._inside.values()]), axis=0)
        size = np.sqrt(np.maximum(usual, 1e-9))
        return {device: inside / np.outer(size, size) for device, inside in self._inside.items()}

    def _largest(self) -> dict[str, float]:
        """The largest along any direction, beside what so many degrees of freedom give of themselves."""
        return {
            device: float(np.linalg.eigvalsh(one)[-1]) / (1 + np.sqrt(len(one) / self._freedom[device])) ** 2
            for device, one in self._relative().items()
        }


def _usual_times(of_devices: Mapping[str, float]) -> dict[str, float]:
    """How many times the usual, which is the median of the devices', each one is."""
    usual = max(float(np.median(list(of_devices.values()))), 1e-12)
    return {device: one / usual for device, one in of_devices.items()}
