"""What every change of a head must satisfy, whatever pictures made it: bounds that no lie about size gets past.

Every picture's features z hold the same bias b = 2^10, and the others have a mean square of at most (2^10 + 1/2)^2. So with
n pictures in all: G[b, :] = b sum of Q, counts = Q[b] / b, trace G <= n ((F - 1) (2^10 + 1/2)^2 + b^2), and G - sum of
q q^T / n is a scatter, with no negative direction. Forgetting (`Head.without`) keeps the first two. Letters: F features.
"""

from __future__ import annotations

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.head import UNIT
from edge_nusa.sync.change import Change

BIAS = int(UNIT)


def check(change: Change) -> None:
    """Raises DamagedError naming the bound that is broken."""
    total = np.zeros(len(change.gram), np.int64)
    for key, label in change.labels.items():
        if label.sums[-1] != BIAS * label.pictures:
            raise DamagedError(f"the label {key!r}: expected sums of {label.pictures} pictures, found those of another number")
        total += label.sums
    if not np.array_equal(change.gram[-1], BIAS * total):
        raise DamagedError("expected a G whose last row is that of the labels' sums, found another; no pictures give these numbers")
    _check_energy(change)


def _check_energy(change: Change) -> None:
    # a label taught and forgotten before it was sent leaves a scatter of n pictures and n - 1 spare ones
    pictures = sum(abs(label.pictures) for label in change.labels.values()) + 2 * abs(change.spare)
    size = len(change.gram)
    largest = pictures * ((size - 1) * (UNIT + 0.5) ** 2 + UNIT**2)
    found = float(np.abs(change.gram.diagonal().astype(np.float64)).sum())
    if found > largest:
        raise DamagedError(f"expected a G of at most {largest:.3g} for {pictures} pictures, found {found:.3g}; no pictures give these numbers")
