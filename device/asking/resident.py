"""The graphs and anchors that stay open from one question to the next."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_nusa.device.opened import Opened

if TYPE_CHECKING:
    from edge_nusa.device.asking.predict import Predictor
    from edge_nusa.model.sessions import Graph

MOST_KEPT = 2
"""Predictors that stay: of what is asked every moment, and of a question in between with other labels."""


class Resident:
    """The trunk's session, and the predictors of the labels that were offered last, each made again when another
    generation is current. May be used from any thread."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._trunk: Graph | None = None
        self._predictors: OrderedDict[tuple[str, ...], tuple[bytes | None, Predictor]] = OrderedDict()

    def trunk(self, opened: Opened) -> Graph:
        """The session that stays, or where nothing was asked yet one that its caller lets go of."""
        return self._trunk or Opened.image_trunk(opened)

    def kept_trunk(self, opened: Opened) -> Graph:
        """The session, which stays from now on."""
        with self._turn:
            return self._kept(opened)

    def predictor(self, opened: Opened, others: Sequence[str]) -> Predictor:
        """Of these labels beside the learned ones, for what is current now. Raises what `Predictor` raises."""
        from edge_nusa.device.asking.predict import Predictor

        asked = tuple(others)
        with self._turn:
            current = opened.state.pointer()
            made_at, predictor = self._predictors.get(asked, (None, None))
            if predictor is None or made_at != current:
                self._kept(opened)
                predictor = Predictor(opened, others)
                self._predictors[asked] = current, predictor
            self._predictors.move_to_end(asked)
            while len(self._predictors) > MOST_KEPT:
                self._predictors.popitem(last=False)
            return predictor

    def _kept(self, opened: Opened) -> Graph:
        self._trunk = self._trunk or Opened.image_trunk(opened)
        return self._trunk
