"""The mathematics of null-space adaptation in numpy: split a matrix, form a delta, fold what was learned.

Letters: W (out, in) a weight matrix, d = min(out, in), R the pool's rank, r the rank that is trained now.
Source: Jo and Kim, "Memory-Free Continual Learning with Null Space Adaptation for Zero-Shot Vision-Language
Models" (arXiv 2510.21175), section 3; the fold and the constant core are this project's own (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_nusa.errors import InputError
from edge_nusa.threads import one_blas_thread

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Pool:
    """The tail of one matrix's SVD, fixed for ever at export.

    left_basis (out, R) and right_basis (in, R): orthonormal columns; tail_values (R,): their singular values,
    descending; principal_values (d - R,): all the others, descending. The four together are one exact SVD of W.
    """

    left_basis: Array
    right_basis: Array
    tail_values: Array
    principal_values: Array


@dataclass(frozen=True)
class Directions:
    """Where the next task is trained: coordinates inside the pool, found from the core alone.

    left (R, r) and right (R, r): orthonormal columns, so that U_n = left_basis @ left; values (r,) descending.
    crossings: how many of the pool's R values are now larger than the smallest value outside the pool;
    0 means that these directions are those of a fresh SVD of the merged matrix.
    """

    left: Array
    right: Array
    values: Array
    crossings: int


def principal_rank(singular_values: Array, energy_threshold: float) -> int:
    """The smallest k with sum of the first k squared values >= energy_threshold * sum of all (paper, section 3.2).

    singular_values (d,) descending, >= 0. Raises InputError unless 0 < energy_threshold <= 1 and values are finite.
    """
    if not 0 < energy_threshold <= 1:
        raise InputError(f"the energy threshold must be in (0, 1], got {energy_threshold}; the paper uses 0.95")
    if not np.isfinite(singular_values).all():
        raise InputError(
            "a weight matrix has NaN or infinite singular values; export the model again from a sound checkpoint"
        )
    energy = np.cumsum(np.square(singular_values, dtype=np.float64))
    if energy[-1] == 0:
        return 0
    reached = energy >= energy_threshold * energy[-1] * (1 - 1e-12)
    return int(np.argmax(reached)) + 1


def trained_rank(singular_values: Array, energy_threshold: float, max_rank: int) -> int:
    """r = min(d - k, max_rank); 0 means that the matrix is not adapted (paper, section 3.2)."""
    return min(len(singular_values) - principal_rank(singular_values, energy_threshold), max_rank)


@one_blas_thread
def split(weight: Array, pool_rank: int) -> Pool:
    """One full SVD in float64 of W (out, in), cut before its last `pool_rank` directions; float64 results."""
    if not np.isfinite(weight).all():
        raise InputError(
            "a weight matrix holds NaN or infinite numbers; export the model again from a sound checkpoint"
        )
    left, values, right_rows = np.linalg.svd(np.asarray(weight, dtype=np.float64), full_matrices=False)
    kept = len(values) - min(pool_rank, len(values))
    return Pool(left[:, kept:], right_rows[kept:].T, values[kept:], values[:kept])


@one_blas_thread
def delta_weight(left_basis: Array, core: Array, right_basis: Array, scale: float = 1.0) -> Array:
    """scale * U M V^T (paper, eq. 3), shape (out, in); the only place in numpy where a delta is formed."""
    return np.asarray(scale * (left_basis @ core) @ right_basis.T)


def merge(weight: Array, pool: Pool, core: Array) -> Array:
    """W_now = W_0 + U_pool C V_pool^T in W's dtype. weight (out, in), core (R, R). Raises InputError when not
    finite."""
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused below
        merged = weight + delta_weight(pool.left_basis, core.astype(np.float64), pool.right_basis).astype(weight.dtype)
    if not np.isfinite(merged).all():
        raise InputError(
            "merging a core gave NaN or infinite weights; the state is damaged or training diverged: run `edge-nusa "
            "undo`"
        )
    return merged


@one_blas_thread
def directions(pool: Pool, core: Array, rank: int) -> Directions:
    """The r smallest singular directions of W_now inside the pool, by one exact R x R SVD.

    W_now restricted to the pool is U_pool (diag(s_pool) + C) V_pool^T, and the principal part is untouched; so with
    P D Q^T the SVD of diag(s_pool) + C, the tail of W_now is U_pool P, D, V_pool Q. Cost R^3 instead of d^3.
    """
    left, values, right_rows = np.linalg.svd(np.diag(pool.tail_values) + core.astype(np.float64))
    crossings = int((values > pool.principal_values[-1]).sum()) if len(pool.principal_values) else 0
    start = max(0, len(values) - rank)
    return Directions(left[:, start:], right_rows[start:].T, values[start:], crossings)


def fold(core: Array, trained: Directions, small_core: Array, scale: float) -> Array:
    """C <- C + scale * P M Q^T: what was trained in `trained` becomes part of the core. M (r, r), C (R, R) float64."""
    return np.asarray(core, dtype=np.float64) + delta_weight(
        trained.left, small_core.astype(np.float64), trained.right, scale
    )


@one_blas_thread
def interference_bound(null_values: Array, small_core: Array) -> tuple[float, float]:
    """Two true bounds of |<W, Delta W>| for Delta W = U_n M V_n^T: ||S_n||_F ||M||_F and s_{k+1} ||M||_*.

    The paper's Lemma 1 states s_{k+1} ||M||_F, which S_n = 10 I_2, M = I_2 contradicts (20 > 14.1).
    null_values (r,) the singular values of the null directions; small_core (r, r).
    """
    frobenius = float(np.linalg.norm(null_values) * np.linalg.norm(small_core))
    nuclear = float(np.max(null_values, initial=0.0) * np.linalg.norm(small_core, ord="nuc"))
    return frobenius, nuclear
