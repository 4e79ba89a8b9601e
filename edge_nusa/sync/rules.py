"""How the cores of many devices become one: a weighted mean, or a rule that some bad devices cannot bend.

mean: weights are pictures. trimmed: of each number alone, without its largest and smallest (Yin et al. 2018,
arXiv 1803.01498); devices count alike. It keeps one row a device in a temporary file, so memory does not grow with the
number of devices. Clipped norms, the median and multi-Krum gave the same figures (SECURITY.md) and are not here.
Letters: n devices, d numbers of all cores together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np

from edge_nusa.files import durable

RuleName = Literal["mean", "trimmed"]
RULES: tuple[RuleName, ...] = get_args(RuleName)
CHUNK_NUMBERS = 1 << 22
Cores = Mapping[str, np.ndarray]


class Rule(Protocol):
    """Takes one device's cores after another and gives what is added to the round's."""

    def add(self, cores: Cores, pictures: int) -> None:
        """One device's cores, matrix -> (R, R) float64, and how many pictures they were learned from."""

    def result(self) -> Cores:
        """The merged cores, matrix -> (R, R) float64; empty where nothing was added."""


class Mean:
    """sum w_i C_i with w_i a device's share of the pictures; who only took pictures back weighs as one picture."""

    def __init__(self) -> None:
        self._total: dict[str, np.ndarray] = {}
        self._weight = 0

    def add(self, cores: Cores, pictures: int) -> None:
        """`Rule.add`."""
        own = max(pictures, 1)
        self._weight += own
        for name, core in cores.items():
            self._total[name] = self._total[name] + own * core if name in self._total else own * core

    def result(self) -> dict[str, np.ndarray]:
        """`Rule.result`."""
        return {name: core / self._weight for name, core in self._total.items()}


class Trimmed:
    """The mean of each number without its `bad` largest and smallest, with its rows in a temporary file under
    `folder`."""

    def __init__(self, bad: int, folder: Path) -> None:
        self.bad = bad
        with durable.explained(f"make a temporary file in {folder}"):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the rule)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._devices = 0

    def add(self, cores: Cores, pictures: int) -> None:
        """`Rule.add`."""
        names = sorted(cores)
        self._shapes = {name: cores[name].shape for name in names}
        row = np.concatenate([cores[name].reshape(-1) for name in names]).astype(np.float32)
        with durable.explained("keep a device's cores in a temporary file"):
            self._file.write(row.tobytes())
        self._devices += 1

    def result(self) -> dict[str, np.ndarray]:
        """`Rule.result`."""
        if not self._devices:
            return {}
        with durable.explained("read the devices' cores from a temporary file"):
            self._file.flush()
            size = sum(int(np.prod(shape)) for shape in self._shapes.values())
            rows = np.memmap(self._file, np.float32, "r", shape=(self._devices, size))
            flat = self._combined(rows)
        found, start = {}, 0
        for name, shape in self._shapes.items():
            found[name] = flat[start : start + int(np.prod(shape))].reshape(shape)
            start += int(np.prod(shape))
        return found

    def _combined(self, rows: np.ndarray) -> np.ndarray:
        step = max(CHUNK_NUMBERS // len(rows), 1)
        return np.concatenate([trimmed_mean(rows[:, i : i + step], self.bad) for i in range(0, rows.shape[1], step)])


def trimmed_mean(rows: np.ndarray, cut: int) -> np.ndarray:
    """(d,) float64: of each column of (n, d) the mean without its `cut` largest and smallest; at most all but the
    middle go."""
    ordered = np.sort(rows.astype(np.float64), axis=0)
    gone = min(cut, (len(ordered) - 1) // 2)
    return np.asarray(ordered[gone : len(ordered) - gone].mean(axis=0))
