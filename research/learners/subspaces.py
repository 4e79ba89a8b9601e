"""Other choices of the text tower's null space than the paper's, each an option beside it: fewer blocks, ranks by how
much room a matrix has, inputs' covariance, the task's first gradient.

All are used as the paper's is: a core between frozen bases, merged after the task. Letters: W (out, in), d = min(out,
in), r rank, X inputs of a matrix. Sources: covariance as CorDA (arXiv 2406.05223) and Adam-NSCL (arXiv 2103.07113).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge_nusa.device.learning import tails
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.model import null_space
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.parameters import Tower
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.research.learners import forms
from edge_nusa.threads import one_blas_thread

Bases = dict[str, tuple[np.ndarray, np.ndarray]]
"""Matrix -> left (out, r) and right (in, r), orthonormal columns."""
PROMPTS = 256
"""Vocabulary nouns whose prompts stand for the inputs that must not change."""


@dataclass
class Chosen:
    """An adaptation by the bases that `choose` (tail, bundle, W_now by matrix, r) gives."""

    choose: Callable[[nn.Module, Bundle, Mapping[str, np.ndarray], int], Bases]

    def attach(self, tail: nn.Module, tower: Tower, bundle: Bundle, knowledge: Knowledge) -> dict[str, forms.Attached]:
        """Give the chosen matrices of the tail their cores."""
        method = bundle.manifest.method
        weights = {matrix: knowledge.cores.get(matrix, bundle.matrix(matrix)) for matrix in bundle.matrices(tower)}
        attached = {}
        for matrix, (left, right) in self.choose(tail, bundle, weights, method.max_rank[tower]).items():
            core = forms.Subspace(_tensor(left), _tensor(right), method.scale(tower), knowledge.recipe.dropout)
            tails.linear(tail, matrix).adapter = core
            attached[matrix] = forms.Attached(core)
        return attached

    def folded(self, bundle: Bundle, knowledge: Knowledge, adapted: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Merged matrices."""
        return forms.merged(bundle, knowledge, adapted)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def smallest(weight: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The r smallest singular directions of W."""
    tail = null_space.split(weight, rank)
    return tail.left_basis, tail.right_basis


def of_last_blocks(count: int) -> Callable[[nn.Module, Bundle, Mapping[str, np.ndarray], int], Bases]:
    """The paper's choice in the last `count` text blocks alone."""

    def choose(tail: nn.Module, bundle: Bundle, weights: Mapping[str, np.ndarray], rank: int) -> Bases:
        first = bundle.manifest.text.layers - count
        return {
            matrix: smallest(weight, rank) for matrix, weight in weights.items() if int(matrix.split(".")[1]) >= first
        }

    return choose


@one_blas_thread
def by_room(tail: nn.Module, bundle: Bundle, weights: Mapping[str, np.ndarray], rank: int) -> Bases:
    """Ranks in proportion to each matrix's null rank d - k, as many trained numbers in all as with rank r
    everywhere."""
    rho = bundle.manifest.method.energy_threshold
    room = {}
    for matrix, weight in weights.items():
        values = np.linalg.svd(weight, compute_uv=False)
        room[matrix] = len(values) - null_space.principal_rank(values, rho)
    share = rank / max(float(np.sqrt(np.mean(np.square(list(room.values()))))), 1e-9)
    return {
        matrix: smallest(weight, max(1, min(room[matrix], round(share * room[matrix]))))
        for matrix, weight in weights.items()
        if room[matrix]
    }


@torch.no_grad()
def by_covariance(tail: nn.Module, bundle: Bundle, weights: Mapping[str, np.ndarray], rank: int) -> Bases:
    """The tail of W Cov^(1/2) for the inputs that vocabulary prompts give: left its last singular vectors, right
    Cov^(-1/2) times its last right ones, orthonormalised; so that what is trained answers hardly any prompt of old."""
    sums: dict[str, Tensor] = {}

    def watch(matrix: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def seen(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            rows = inputs[0].flatten(0, -2)
            sums[matrix] = rows.T @ rows / len(rows)

        return seen

    text = TextEncoder(bundle, 1)
    hidden, last = text.hidden(
        [bundle.manifest.templates[0].replace("{}", noun) for noun in bundle.vocabulary[0][:PROMPTS]]
    )
    hooks = [tails.linear(tail, matrix).register_forward_pre_hook(watch(matrix)) for matrix in weights]
    tail(torch.from_numpy(hidden), torch.from_numpy(last))
    for hook in hooks:
        hook.remove()
    return {
        matrix: _between(weight, sums[matrix].numpy().astype(np.float64), rank) for matrix, weight in weights.items()
    }


@one_blas_thread
def _between(weight: np.ndarray, covariance: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1e-4 * values.max())
    root, inverse_root = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
    minor = null_space.split(weight @ root, rank)
    return minor.left_basis, np.linalg.qr(inverse_root @ minor.right_basis)[0]


def by_gradient(
    gradients: Mapping[str, np.ndarray], wide: Bases
) -> Callable[[nn.Module, Bundle, Mapping[str, np.ndarray], int], Bases]:
    """Of `wide` bases (rank 2 r) the r directions each side that carry most of the gradient (2 r, 2 r) of their
    core."""

    @one_blas_thread
    def choose(tail: nn.Module, bundle: Bundle, weights: Mapping[str, np.ndarray], rank: int) -> Bases:
        found: Bases = {}
        for matrix, (left, right) in wide.items():
            rows, _, columns = np.linalg.svd(gradients[matrix])
            found[matrix] = left @ rows[:, :rank], right @ columns[:rank].T
        return found

    return choose


def doubled(tail: nn.Module, bundle: Bundle, weights: Mapping[str, np.ndarray], rank: int) -> Bases:
    """The paper's choice with rank 2 r, for `by_gradient` to choose from."""
    return {matrix: smallest(weight, min(2 * rank, min(weight.shape))) for matrix, weight in weights.items()}
