"""The tails in PyTorch on the board: base weights from the bundle, merged with the state, adapters attached for one
task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.model import blocks, null_space, towers
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.null_space import Directions
from edge_nusa.model.parameters import Tower, region
from edge_nusa.threads import one_blas_thread


@dataclass(frozen=True)
class Adapted:
    """One matrix while it is trained: its adapter, and under rule `pool` the directions inside the pool (None:
    `resvd`)."""

    adapter: blocks.Adapter
    directions: Directions | None


class Adaptation(Protocol):
    """How matrices are adapted for one task: `NullSpace` below, or a baseline of `edge_nusa.research`."""

    def attach(self, tail: nn.Module, tower: Tower, bundle: Bundle, knowledge: Knowledge) -> Mapping[str, Any]:
        """Give matrices of the tail their adapters; returns them by matrix. What `parameters()` of each gives is
        trained."""

    def folded(self, bundle: Bundle, knowledge: Knowledge, adapted: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """`Knowledge.cores` after the task."""


class NullSpace:
    """The product's way: small cores inside the null space (`attach_adapters`, `folded`)."""

    def attach(self, tail: nn.Module, tower: Tower, bundle: Bundle, knowledge: Knowledge) -> dict[str, Adapted]:
        """`attach_adapters`."""
        return attach_adapters(tail, tower, bundle, knowledge)

    def folded(self, bundle: Bundle, knowledge: Knowledge, adapted: Mapping[str, Adapted]) -> dict[str, np.ndarray]:
        """`folded`."""
        return folded(bundle, knowledge, adapted)


def build_tail(bundle: Bundle, tower: Tower, merged: Mapping[str, np.ndarray]) -> nn.Module:
    """The tail of a tower in eval mode, nothing trainable, with W_now where `merged` has it."""
    manifest = bundle.manifest
    tail: nn.Module = towers.ImageTail(manifest.vit) if tower == "image" else towers.TextTail(manifest.text)
    for name, _ in list(tail.named_parameters()):
        parts = name.split(".")
        matrix = (
            f"{tower}.{parts[1]}.{parts[3]}" if len(parts) == 5 and parts[2] == "attn" and parts[4] == "weight" else ""
        )
        place = region(tower, name, bundle.width(tower))
        weight = merged.get(matrix)
        rows = bundle.weights.in_place(place.name, place.start, place.stop) if weight is None else weight
        module, _, leaf = name.rpartition(".")
        setattr(
            tail.get_submodule(module),
            leaf,
            nn.Parameter(torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)), requires_grad=False),
        )
    return tail.eval()


def attach_adapters(tail: nn.Module, tower: Tower, bundle: Bundle, knowledge: Knowledge) -> dict[str, Adapted]:
    """Give every matrix of the tail its adapter for the next task; matrices without null space get none.

    Under `pool` the directions are the r smallest of diag(s_pool) + C inside the pool; under `resvd` they are the last
    r singular vectors of the merged matrix, by a fresh SVD (paper, section 3.2).
    """
    method, recipe = bundle.manifest.method, knowledge.recipe
    adapted: dict[str, Adapted] = {}
    for matrix in bundle.matrices(tower):
        chosen: Directions | None = None
        if recipe.rule == "pool":
            pool = bundle.pools[matrix]
            chosen, left, right = _pool_directions(
                pool, knowledge.cores[matrix], method.energy_threshold, method.max_rank[tower]
            )
        else:
            left, right = _fresh_directions(
                knowledge.cores.get(matrix, bundle.matrix(matrix)), method.energy_threshold, method.max_rank[tower]
            )
        if left.shape[1] == 0:
            continue
        adapter = blocks.Adapter(_tensor(left), _tensor(right), method.scale(tower), recipe.dropout)
        linear(tail, matrix).adapter = adapter
        adapted[matrix] = Adapted(adapter, chosen)
    return adapted


@one_blas_thread
def _pool_directions(
    pool: null_space.Pool, core: np.ndarray, energy_threshold: float, max_rank: int
) -> tuple[Directions, np.ndarray, np.ndarray]:
    inside = null_space.directions(pool, core, len(pool.tail_values))
    values = np.sort(np.concatenate([pool.principal_values, inside.values]))[::-1]
    rank = min(null_space.trained_rank(values, energy_threshold, max_rank), len(inside.values))
    start = len(inside.values) - rank
    chosen = Directions(inside.left[:, start:], inside.right[:, start:], inside.values[start:], inside.crossings)
    return chosen, pool.left_basis @ chosen.left, pool.right_basis @ chosen.right


def _fresh_directions(weight: np.ndarray, energy_threshold: float, max_rank: int) -> tuple[np.ndarray, np.ndarray]:
    whole = null_space.split(weight, min(weight.shape))
    rank = null_space.trained_rank(whole.tail_values, energy_threshold, max_rank)
    start = len(whole.tail_values) - rank
    return whole.left_basis[:, start:], whole.right_basis[:, start:]


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def linear(tail: nn.Module, matrix: str) -> blocks.AdaptedLinear:
    """The layer of an adapted matrix."""
    _, block, projection = matrix.split(".")
    layer = tail.get_submodule(f"blocks.{block}.attn.{projection}")
    if not isinstance(layer, blocks.AdaptedLinear):
        raise TypeError(f"{matrix} is not an adapted matrix")
    return layer


def folded(bundle: Bundle, knowledge: Knowledge, adapted: Mapping[str, Adapted]) -> dict[str, np.ndarray]:
    """The cores (rule `pool`) or merged matrices (rule `resvd`) after the task, for `Knowledge.cores`; checked
    finite."""
    cores = dict(knowledge.cores)
    for matrix, one in adapted.items():
        trained = one.adapter.core.detach().numpy().astype(np.float64)
        if one.directions is not None:
            cores[matrix] = null_space.fold(knowledge.cores[matrix], one.directions, trained, one.adapter.scale)
        else:
            base = knowledge.cores.get(matrix, bundle.matrix(matrix))
            left, right = (
                basis.numpy().astype(np.float64) for basis in (one.adapter.left_basis, one.adapter.right_basis)
            )
            cores[matrix] = (base + null_space.delta_weight(left, trained, right, one.adapter.scale)).astype(np.float32)
    return cores
