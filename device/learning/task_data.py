"""What training is given and what it gives back, as plain arrays: made without torch, used with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_nusa.device.learning.gaussian_replay import GaussianReplay


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """One task's pictures and texts.

    embedding (B, D) float32 frozen; tokens (B, N, E) float16 or None; classes (B,) int64; held_out (B,) bool: not
    trained on. class_hidden (C, T, E) with class_last (C,), noun_hidden (V, T', E) with noun_last (V,): text hidden
    states at the cut. noun_anchors (V, D): of the untouched tower. gaussian_replay: the task's own classes come first
    in class_hidden, then the old labels in the order of its means; None: no old label takes part, and the pictures
    are taken as they are.
    """

    embedding: np.ndarray
    tokens: np.ndarray | None
    classes: np.ndarray
    held_out: np.ndarray
    class_hidden: np.ndarray
    class_last: np.ndarray
    noun_hidden: np.ndarray
    noun_last: np.ndarray
    noun_anchors: np.ndarray
    gaussian_replay: GaussianReplay | None = None

    @property
    def own_count(self) -> int:
        """How many classes are the task's own."""
        return len(self.class_last) - (len(self.gaussian_replay.means) if self.gaussian_replay else 0)


@dataclass(frozen=True)
class Trained:
    """The state's cores after the task, the last training loss, the steps whose cores were kept, and by matrix how
    many of its pool's values have now crossed the pool's boundary."""

    cores: dict[str, np.ndarray]
    loss: float
    kept_step: int
    crossings: dict[str, int]
