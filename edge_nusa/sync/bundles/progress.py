"""How far a bundle has come on its way into a store or out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Told = Callable[[int, int], None]
"""Told how many bytes are done, of how many."""


@dataclass
class Progress:
    """How many bytes of a bundle are done, and who is told."""

    total: int
    told: Told
    done: int = 0

    def add(self, size: int) -> None:
        """So many bytes more."""
        self.done += size
        self.told(self.done, self.total)
