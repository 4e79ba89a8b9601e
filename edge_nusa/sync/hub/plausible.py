"""What every change of a head must satisfy, whatever pictures made it: bounds that no lie about size gets past.

Every picture's features z hold the same bias b = 2^10, and the others have a mean square of at most (2^10 + 1/2)^2, so
that z'z <= e = (F - 1) (2^10 + 1/2)^2 + b^2. With n pictures in all, q and n_l of a label: q[b] = b n_l, G[b, :] = b
sum of q, q'q <= n_l^2 e, trace G <= n e, and no entry of G is larger than its trace. Forgetting (`Head.without`) keeps
the first two. Whether G - sum of q q^T / n_l is a scatter is asked of all that a device has given
(`edge_nusa.sync.hub.given`). Letters: F features.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.fit import UNIT
from edge_nusa.knowledge.labels import quoted
from edge_nusa.sync.change import Change

BIAS = int(UNIT)
HIDDEN = 1000
"""Pictures that one update may give and take back at once, so that only their difference is seen; what is left of a
device in all is bounded by what it gave (`edge_nusa.sync.hub.given`)."""
LESSONS_TAKEN_BACK = 100
"""Lessons of which no picture is left when they are sent."""
_NO_PICTURES = "no pictures give these numbers"


def energy(features: int) -> float:
    """e of the module docstring for F features."""
    return (features - 1) * (UNIT + 0.5) ** 2 + UNIT**2


def check_cores(cores: Mapping[str, np.ndarray], largest: Mapping[str, float]) -> None:
    """Raises DamagedError for cores that no lessons learn. largest: matrix -> norm (`UpdateShapes`)."""
    for name, core in cores.items():
        norm = float(np.linalg.norm(core))
        if norm > largest[name]:
            raise DamagedError(
                f"{name}: expected cores of a norm up to {largest[name]:.3g}, found {norm:.3g}; no lessons give these "
                "numbers"
            )


def check(change: Change, hidden: int = HIDDEN) -> None:
    """Raises DamagedError naming the bound that is broken. hidden: pictures given and taken back at once."""
    most, total = energy(len(change.gram)), np.zeros(len(change.gram), np.int64)
    for key, label in change.labels.items():
        if label.sums[-1] != BIAS * label.pictures:
            raise DamagedError(
                f"the label {quoted(key)}: expected sums of {label.pictures} pictures, found those of another number; "
                f"{_NO_PICTURES}"
            )
        if float(np.square(label.sums.astype(np.float64)).sum()) > most * (abs(label.pictures) + hidden) ** 2:
            raise DamagedError(
                f"the label {quoted(key)}: expected features of a mean square of 1, found larger ones; {_NO_PICTURES}"
            )
        total += label.sums
    if not np.array_equal(change.gram[-1], BIAS * total):
        raise DamagedError(f"expected a G whose last row is that of the labels' sums, found another; {_NO_PICTURES}")
    # a label taught and forgotten before it was sent leaves a scatter of n pictures and n - 1 spare ones
    seen = sum(abs(label.pictures) for label in change.labels.values()) + 2 * abs(change.spare)
    pictures = seen + hidden
    found = max(
        float(np.abs(change.gram.diagonal().astype(np.float64)).sum()),
        float(np.abs(change.gram.astype(np.float64)).max(initial=0.0)),
    )
    if found > most * pictures:
        raise DamagedError(
            f"expected a G of at most {most * pictures:.3g} for {pictures} pictures, found {found:.3g}; {_NO_PICTURES}"
        )
    lessons = seen + LESSONS_TAKEN_BACK * hidden // HIDDEN
    if abs(change.tasks) > lessons:
        raise DamagedError(
            f"expected at most {lessons} lessons for {seen} pictures, found {abs(change.tasks)}; {_NO_PICTURES}"
        )
    losses, bound = int(np.abs(change.fusion).max()), fusion.LARGEST * pictures
    if losses > bound:
        raise DamagedError(
            f"expected losses of at most {bound} for {pictures} pictures, found {losses}; {_NO_PICTURES}"
        )
