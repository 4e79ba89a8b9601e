"""What a baseline trains of each matrix W (out, in) in place of the product's null-space core: subspaces and
low-rank forms.

All of them are attached before a task, trained by the same loop, and merged after it: W <- W + Delta W (rule `resvd`).
Letters: r rank, d = min(out, in). Sources: LoRA arXiv 2106.09685; MiLoRA arXiv 2406.09044; covariance as in Adam-NSCL
(arXiv 2103.07113) and CorDA (arXiv 2406.05223).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edge_nusa.device.learning import tails
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.model import blocks, null_space
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.parameters import Tower
from edge_nusa.threads import one_blas_thread

Bases = Callable[[np.ndarray, int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""(W, r, random numbers) -> frozen left (out, r) and right (in, r) orthonormal bases."""


class LowRank(nn.Module):
    """Delta W = scale * (L R^T - L_0 R_0^T) with both factors trained; L_0 R_0^T is what they start from, so that
    Delta W starts at 0."""

    def __init__(self, left: Tensor, right: Tensor, scale: float, dropout: float) -> None:
        super().__init__()
        self.left, self.right = nn.Parameter(left), nn.Parameter(right)
        self.first_left: Tensor
        self.first_right: Tensor
        self.register_buffer("first_left", left.clone())
        self.register_buffer("first_right", right.clone())
        self.scale, self.dropout = scale, nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        hidden = self.dropout(hidden)
        return self.scale * ((hidden @ self.right) @ self.left.T - (hidden @ self.first_right) @ self.first_left.T)

    def delta(self) -> np.ndarray:
        """Delta W (out, in) float64."""
        factors = [
            factor.detach().numpy().astype(np.float64)
            for factor in (self.left, self.right, self.first_left, self.first_right)
        ]
        one = np.eye(factors[0].shape[1])
        return null_space.delta_weight(factors[0], one, factors[1], self.scale) - null_space.delta_weight(
            factors[2], one, factors[3], self.scale
        )


class Dense(nn.Module):
    """Delta W (out, in) itself is trained."""

    def __init__(self, out_features: int, in_features: int) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(out_features, in_features))

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return hidden @ self.change.T

    def delta(self) -> np.ndarray:
        """Delta W (out, in) float64."""
        return self.change.detach().numpy().astype(np.float64)


class Subspace(blocks.Adapter):
    """The product's adapter in other bases than the null space's."""

    def delta(self) -> np.ndarray:
        """Delta W (out, in) float64."""
        left, core, right = (
            t.detach().numpy().astype(np.float64) for t in (self.left_basis, self.core, self.right_basis)
        )
        return null_space.delta_weight(left, core, right, self.scale)


class Attached(NamedTuple):
    """One matrix while it is trained; `directions` is None, as no pool is used."""

    adapter: Any
    directions: None = None


@dataclass(frozen=True)
class Form:
    """An adaptation: `make` (W, r, scale, dropout, random numbers) gives a matrix's module with `delta()`, or None
    to leave it.

    ranks: r by tower; None takes the bundle's r_max.
    """

    make: Callable[[np.ndarray, int, float, float, np.random.Generator], nn.Module | None]
    ranks: Mapping[str, int] | None
    seed: int

    def attach(self, tail: nn.Module, tower: Tower, bundle: Bundle, knowledge: Knowledge) -> dict[str, Attached]:
        """Give every matrix of the tail its module."""
        method, random = bundle.manifest.method, np.random.default_rng(self.seed)
        rank = (self.ranks or method.max_rank)[tower]
        attached = {}
        for matrix in bundle.matrices(tower):
            weight = knowledge.cores.get(matrix, bundle.matrix(matrix))
            module = self.make(weight, rank, method.scale(tower), knowledge.recipe.dropout, random)
            if module is not None:
                tails.linear(tail, matrix).adapter = module
                attached[matrix] = Attached(module)
        return attached

    def folded(self, bundle: Bundle, knowledge: Knowledge, adapted: Mapping[str, Attached]) -> dict[str, np.ndarray]:
        """`merged`."""
        return merged(bundle, knowledge, adapted)


def merged(bundle: Bundle, knowledge: Knowledge, adapted: Mapping[str, Attached]) -> dict[str, np.ndarray]:
    """The merged matrices (out, in) float32 after the task, of all that were ever adapted."""
    cores = dict(knowledge.cores)
    for matrix, one in adapted.items():
        cores[matrix] = (cores.get(matrix, bundle.matrix(matrix)) + one.adapter.delta()).astype(np.float32)
    return cores


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def full(weight: np.ndarray, rank: int, scale: float, dropout: float, random: np.random.Generator) -> nn.Module:
    """Full fine-tuning of the adapted matrices."""
    return Dense(*weight.shape)


def lora(weight: np.ndarray, rank: int, scale: float, dropout: float, random: np.random.Generator) -> nn.Module:
    """LoRA: left zero, right uniform within 1 / sqrt(in) (Kaiming with a = sqrt(5), as published); scale alpha / r
    with alpha = r."""
    bound = 1 / np.sqrt(weight.shape[1])
    right = random.uniform(-bound, bound, (weight.shape[1], rank))
    return LowRank(_tensor(np.zeros((weight.shape[0], rank))), _tensor(right), 1.0, dropout)


def milora(weight: np.ndarray, rank: int, scale: float, dropout: float, random: np.random.Generator) -> nn.Module:
    """MiLoRA-like: both factors start at the r smallest singular triplets and are then free."""
    minor = null_space.split(weight, rank)
    roots = np.sqrt(minor.tail_values)
    return LowRank(_tensor(minor.left_basis * roots), _tensor(minor.right_basis * roots), 1.0, dropout)


def subspace(bases: Bases) -> Callable[[np.ndarray, int, float, float, np.random.Generator], nn.Module]:
    """Only an r x r core is trained, between frozen bases."""

    def make(weight: np.ndarray, rank: int, scale: float, dropout: float, random: np.random.Generator) -> nn.Module:
        left, right = bases(weight, rank, random)
        return Subspace(_tensor(left), _tensor(right), scale, dropout)

    return make


def top(weight: np.ndarray, rank: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The r largest singular directions."""
    whole = null_space.split(weight, min(weight.shape))
    return whole.left_basis[:, :rank], whole.right_basis[:, :rank]


@one_blas_thread
def at_random(weight: np.ndarray, rank: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random orthonormal directions."""
    left, right = (np.linalg.qr(random.normal(size=(side, rank)))[0] for side in weight.shape)
    return left, right


def matched_rank(trained: int, sides: int) -> int:
    """The rank (at least 1) at which LoRA's factors of a matrix have about as many numbers as `trained`; sides: out
    + in."""
    return max(1, round(trained / sides))
