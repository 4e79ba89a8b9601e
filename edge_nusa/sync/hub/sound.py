"""Whether a round that is about to be the newest can be read back and solved, as every device will."""

from __future__ import annotations

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.sync import round_file
from edge_nusa.sync.packed import UpdateShapes


def check(data: bytes, shapes: UpdateShapes, what: str, next_step: str) -> None:
    """data: the round's file; what: that is, in words. Raises DamagedError, with the next step where it is read and
    cannot be solved."""
    found = round_file.decode(data, shapes, what)
    try:
        if found.knowledge.labels:
            found.knowledge.head.solve()
    except np.linalg.LinAlgError as error:
        raise DamagedError(f"{what} cannot be solved ({error}); {next_step}") from error
