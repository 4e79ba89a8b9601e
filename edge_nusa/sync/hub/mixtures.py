"""What a round believes of the mixture of head and text: the devices' losses added up, or what some bad ones cannot
bend.

Under `trimmed` each device says once how likely each mixture made its pictures, a picture, beside the mixture that it
begins with; of each mixture the mean of the devices without the largest and smallest counts, as often as there are
pictures. Where fewer than 2 f + 1 devices speak, f of which may be bad, none is believed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edge_nusa.knowledge import fusion
from edge_nusa.sync.hub.shares import Share, Shares
from edge_nusa.sync.hub.suspects import enough
from edge_nusa.sync.rules import trimmed_mean


def of_round(shares: Shares) -> np.ndarray:
    """(8, 7) int64: the losses of a round: those of its devices, and what came from a larger fleet."""
    above = np.array(shares.above.losses, np.int64).reshape(fusion.SHAPE)
    return np.maximum(of(shares.devices.values(), shares.bad) + above, 0)


def of(shares: Iterable[Share], bad: int) -> np.ndarray:
    """(8, 7) int64: the losses of a fleet of which `bad` devices may lie."""
    return trimmed(shares, bad) if bad else added(shares)


def added(shares: Iterable[Share]) -> np.ndarray:
    """(8, 7) int64: the losses of a fleet whose devices are trusted."""
    total = sum((share.fusion for share in shares), fusion.nothing_seen())
    return np.maximum(total, 0)


def trimmed(shares: Iterable[Share], bad: int) -> np.ndarray:
    """(8, 7) int64: the losses of a fleet in which `bad` devices may lie."""
    speaking = [share for share in shares if share.pictures > 0 and share.fusion.any()]
    if not enough(len(speaking), bad):
        return fusion.nothing_seen()
    rows = [(one.fusion - one.fusion[fusion.FIRST]).ravel() / one.pictures for one in speaking]
    mean = trimmed_mean(np.stack(rows), bad).reshape(fusion.SHAPE)
    pictures = len(speaking) * float(np.median([one.pictures for one in speaking]))
    total = np.rint(fusion.nothing_seen() + mean * pictures).astype(np.int64)
    return np.asarray(total - min(int(total.min()), 0))
