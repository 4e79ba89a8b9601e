"""How the cores of many devices become one: a weighted mean, or a rule that some bad devices cannot bend.

mean: weights are pictures. clip: the same, after every device's cores were scaled down to the median norm (Sun et al.
2019,
arXiv 1911.07963). median and trimmed: of each number alone (Yin et al. 2018, arXiv 1803.01498). krum: the mean of the
devices whose nearest others are nearest (multi-Krum, Blanchard et al. 2017). All but mean count devices alike or cap
them.
The robust rules keep one row a device in a temporary file, so memory does not grow with the number of devices.
Letters: n devices, d numbers of all cores together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np

from edge_nusa.files import durable

RuleName = Literal["mean", "clip", "median", "trimmed", "krum"]
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


class Robust:
    """A rule that bears `bad` devices, with its rows in a temporary file under `folder`."""

    def __init__(self, name: RuleName, bad: int, folder: Path) -> None:
        self.name, self.bad = name, bad
        with durable.explained(f"make a temporary file in {folder}"):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the rule)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._pictures: list[int] = []

    def add(self, cores: Cores, pictures: int) -> None:
        """`Rule.add`."""
        names = sorted(cores)
        self._shapes = {name: cores[name].shape for name in names}
        row = np.concatenate([cores[name].reshape(-1) for name in names]).astype(np.float32)
        with durable.explained("keep a device's cores in a temporary file"):
            self._file.write(row.tobytes())
        self._pictures.append(max(pictures, 1))

    def result(self) -> dict[str, np.ndarray]:
        """`Rule.result`."""
        if not self._pictures:
            return {}
        with durable.explained("read the devices' cores from a temporary file"):
            self._file.flush()
            size = sum(int(np.prod(shape)) for shape in self._shapes.values())
            rows = np.memmap(self._file, np.float32, "r", shape=(len(self._pictures), size))
            flat = self._combined(rows)
        found, start = {}, 0
        for name, shape in self._shapes.items():
            found[name] = flat[start : start + int(np.prod(shape))].reshape(shape)
            start += int(np.prod(shape))
        return found

    def _combined(self, rows: np.ndarray) -> np.ndarray:
        if self.name == "clip":
            return _weighted(rows, np.array(self._pictures) / sum(self._pictures) * clipping(rows))
        if self.name == "krum":
            chosen = multi_krum(rows, self.bad)
            return _weighted(rows, np.isin(np.arange(len(rows)), chosen) / len(chosen))
        step = max(CHUNK_NUMBERS // len(rows), 1)
        cut = len(rows) if self.name == "median" else self.bad
        return np.concatenate([trimmed_mean(rows[:, i : i + step], cut) for i in range(0, rows.shape[1], step)])


def trimmed_mean(rows: np.ndarray, cut: int) -> np.ndarray:
    """(d,) float64: of each column of (n, d) the mean without its `cut` largest and smallest; at most all but the
    middle go."""
    ordered = np.sort(rows.astype(np.float64), axis=0)
    gone = min(cut, (len(ordered) - 1) // 2)
    return np.asarray(ordered[gone : len(ordered) - gone].mean(axis=0))


def clipping(rows: np.ndarray) -> np.ndarray:
    """(n,) factors in (0, 1] that bring every row of (n, d) down to the median norm."""
    norms = np.array([float(np.linalg.norm(row.astype(np.float64))) for row in rows])
    return np.minimum(1.0, float(np.median(norms)) / np.maximum(norms, 1e-300))


def multi_krum(rows: np.ndarray, bad: int) -> np.ndarray:
    """The indices of the n - bad rows of (n, d) with the least sum of squared distances to their n - bad - 2
    nearest."""
    count = len(rows)
    products = np.zeros((count, count))
    step = max(CHUNK_NUMBERS // count, 1)
    for start in range(0, rows.shape[1], step):
        part = rows[:, start : start + step].astype(np.float64)
        products += part @ part.T
    squares = products.diagonal()
    distances = np.maximum(squares[:, None] + squares - 2 * products, 0.0)
    nearest = np.sort(distances, axis=1)[:, 1 : max(count - bad - 1, 2)]
    return np.sort(np.argsort(nearest.sum(axis=1), kind="stable")[: max(count - bad, 1)])


def _weighted(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros(rows.shape[1])
    for row, weight in zip(rows, weights, strict=True):
        if weight:
            total += float(weight) * row.astype(np.float64)
    return total
