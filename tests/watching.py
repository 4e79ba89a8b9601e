"""A watch inside the test's own process, and a sink that keeps its lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import MICRO

from edge_nusa.device.model import Model
from edge_nusa.device.watching.ledger import Ledger
from edge_nusa.device.watching.line import Line
from edge_nusa.device.watching.settings import WatchSettings
from edge_nusa.device.watching.watch import Watch


class Lines(list[dict[str, Any]]):
    """A sink that keeps lines."""

    def write(self, line: Line) -> None:
        self.append(line.to_json())

    def sync(self) -> None:
        """Nothing."""

    def reasons(self) -> list[str]:
        return [line["reason"] for line in self if "reason" in line]


def watched(state: Path, folder: Path, lines: Lines, **settings: Any) -> Watch:
    model = Model.open(MICRO, state, threads=1)
    watch = Watch(model, WatchSettings(folder=folder, seconds=0.01, **settings), Ledger(state / "ledger.sqlite"), lines)
    assert watch._is_able()
    return watch
