"""A learner of one's own for the tests of sweeps: what the untouched model says."""

from __future__ import annotations

from edge_nusa.model.bundle import Bundle
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Frozen


class Mine(Frozen):
    """The untouched model."""

    def __init__(self, bundle: Bundle, options: Options) -> None:
        super().__init__(bundle)
