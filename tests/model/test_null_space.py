"""The algebra of null-space adaptation as properties: split, merge, the small update against a fresh SVD, the bounds.

Letters: R the pool's rank, r the rank that is trained, U and V the pool's bases.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_nusa.errors import InputError
from edge_nusa.model.null_space import (
    Pool,
    delta_weight,
    directions,
    fold,
    interference_bound,
    merge,
    principal_rank,
    split,
    trained_rank,
)

EXACT = 1e-10
SINGLE = 2e-5
SEEDS = st.integers(0, 2**32 - 1)
MATRICES = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.floats(-100, 100, allow_nan=False, width=32),
)


def orthonormal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """(rows, columns) float64 with orthonormal columns."""
    return np.linalg.qr(rng.normal(size=(rows, columns)))[0]


def gapped(rng: np.random.Generator, out: int, into: int, rank: int) -> np.ndarray:
    """W (out, into) whose last `rank` singular values, 1.0 down to 0.1, lie far below the others, 10 down to 5."""
    side = min(out, into)
    values = np.concatenate([np.linspace(10, 5, side - rank), np.linspace(1, 0.1, rank)])
    return np.asarray((orthonormal(rng, out, side) * values) @ orthonormal(rng, into, side).T)


def fresh(weight: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The last `rank` directions of a full SVD as columns: left, right, all values."""
    left, values, right_rows = np.linalg.svd(weight.astype(np.float64), full_matrices=False)
    return left[:, len(values) - rank :], right_rows[len(values) - rank :].T, values


def sine_of_largest_angle(one: np.ndarray, other: np.ndarray) -> float:
    """Sine of the largest principal angle between the spans of two orthonormal bases."""
    return float(np.linalg.norm(other - one @ (one.T @ other), ord=2))


def learn_tasks(
    weight: np.ndarray, pool: Pool, rank: int, tasks: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(core, W accumulated task by task) after small random cores; no value comes near the pool's boundary."""
    side = len(pool.tail_values)
    core: np.ndarray = np.zeros((side, side))
    now = weight.astype(np.float64)
    for _ in range(tasks):
        trained = directions(pool, core, rank)
        small = rng.normal(size=(rank, rank)) * 0.004
        now = now + delta_weight(pool.left_basis @ trained.left, small, pool.right_basis @ trained.right, 0.5)
        core = fold(core, trained, small, 0.5)
    return core, now


@given(weight=MATRICES, pool_rank=st.integers(0, 12))
def test_split_reassembles_the_matrix_from_orthonormal_bases(weight: np.ndarray, pool_rank: int) -> None:
    pool = split(weight, pool_rank)
    left, values, right_rows = np.linalg.svd(weight, full_matrices=False)
    kept = len(pool.principal_values)
    tail = (pool.left_basis * pool.tail_values) @ pool.right_basis.T
    assert len(pool.tail_values) == min(pool_rank, *weight.shape)
    for basis in (pool.left_basis, pool.right_basis):
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(pool.tail_values)), atol=1e-12)
    np.testing.assert_allclose((left[:, :kept] * values[:kept]) @ right_rows[:kept] + tail, weight, atol=EXACT)
    assert np.all(np.diff(np.concatenate([pool.principal_values, pool.tail_values])) <= 0)


@given(weight=MATRICES, pool_rank=st.integers(0, 12), dtype=st.sampled_from([np.float32, np.float64]))
def test_a_zero_core_is_the_identity_under_merge_and_keeps_the_dtype(
    weight: np.ndarray, pool_rank: int, dtype: type
) -> None:
    pool = split(weight, pool_rank)
    side = len(pool.tail_values)
    merged = merge(weight.astype(dtype), pool, np.zeros((side, side)))
    assert merged.dtype == dtype
    np.testing.assert_array_equal(merged, weight.astype(dtype))


@given(weight=MATRICES, pool_rank=st.integers(0, 12), seed=SEEDS)
def test_merging_leaves_the_principal_part_untouched_and_diagonal(
    weight: np.ndarray, pool_rank: int, seed: int
) -> None:
    pool = split(weight, pool_rank)
    side, kept = len(pool.tail_values), len(pool.principal_values)
    left, _, right_rows = np.linalg.svd(weight, full_matrices=False)
    merged = merge(weight, pool, np.random.default_rng(seed).normal(size=(side, side)))
    np.testing.assert_allclose(
        left[:, :kept].T @ merged @ right_rows[:kept].T, np.diag(pool.principal_values), atol=EXACT
    )
    np.testing.assert_allclose(left[:, :kept].T @ merged @ pool.right_basis, 0, atol=EXACT)
    np.testing.assert_allclose(pool.left_basis.T @ merged @ right_rows[:kept].T, 0, atol=EXACT)


@pytest.mark.parametrize("rank", [4, 8])
@pytest.mark.parametrize("shape", [(24, 24), (32, 20), (20, 32)])
@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_after_thirty_tasks_the_small_svd_equals_a_fresh_svd_of_the_merged_matrix(
    rank: int, shape: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = gapped(rng, *shape, rank=8)
    pool = split(weight, 8)
    core, _ = learn_tasks(weight, pool, rank, 30, rng)
    found = directions(pool, core, rank)
    left, right, values = fresh(merge(weight, pool, core), rank)
    assert found.crossings == 0
    assert np.abs(core).max() > 1e-3
    np.testing.assert_allclose(found.values, values[-rank:], atol=EXACT)
    np.testing.assert_allclose(pool.principal_values, values[:-8], atol=EXACT)
    assert sine_of_largest_angle(pool.left_basis @ found.left, left) < 1e-9
    assert sine_of_largest_angle(pool.right_basis @ found.right, right) < 1e-9


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_in_float32_the_small_svd_equals_a_fresh_svd_to_float32_tolerance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = gapped(rng, 24, 24, rank=8).astype(np.float32)
    exact = split(weight, 8)
    stored = Pool(
        *(
            part.astype(np.float32)
            for part in (exact.left_basis, exact.right_basis, exact.tail_values, exact.principal_values)
        )
    )
    core, _ = learn_tasks(weight, stored, 4, 30, rng)
    found = directions(stored, core.astype(np.float32), 4)
    left, right, values = fresh(merge(weight, stored, core.astype(np.float32)), 4)
    np.testing.assert_allclose(found.values, values[-4:], atol=SINGLE)
    assert sine_of_largest_angle(stored.left_basis @ found.left, left) < 1e-3
    assert sine_of_largest_angle(stored.right_basis @ found.right, right) < 1e-3


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_one_core_holds_all_that_thirty_tasks_changed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = gapped(rng, 20, 30, rank=10)
    pool = split(weight, 10)
    core, accumulated = learn_tasks(weight, pool, 5, 30, rng)
    np.testing.assert_allclose(merge(weight, pool, core), accumulated, atol=EXACT)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_a_pool_twice_the_rank_learns_what_the_published_procedure_learns_while_nothing_crosses(seed: int) -> None:
    """M is a gradient step towards a target, M = U^T (T - W) V, so that the signs and rotation of an SVD cancel out."""
    rng = np.random.default_rng(seed)
    weight = published = gapped(rng, 24, 20, rank=8)
    core: np.ndarray = np.zeros((8, 8))
    pool, rank = split(weight, 8), 4
    for _ in range(8):
        target = rng.normal(size=weight.shape) * 0.01 + published
        left, right, _ = fresh(published, rank)
        published = published + delta_weight(left, left.T @ (target - published) @ right, right)
        trained, now = directions(pool, core, rank), merge(weight, pool, core)
        small = (pool.left_basis @ trained.left).T @ (target - now) @ (pool.right_basis @ trained.right)
        core = fold(core, trained, small, 1.0)
        assert directions(pool, core, rank).crossings == 0
    assert np.linalg.norm(published - weight) > 0.01
    np.testing.assert_allclose(merge(weight, pool, core), published, atol=EXACT)


@pytest.mark.parametrize("pushed", [0, 1, 3, 8])
def test_every_value_pushed_over_the_boundary_is_counted_as_a_crossing(pushed: int) -> None:
    pool = split(gapped(np.random.default_rng(1), 24, 24, rank=8), 8)
    assert directions(pool, np.diag([0.0] * 8), 4).crossings == 0
    # past 5, the smallest value outside the pool, and below 10, the largest
    assert directions(pool, np.diag([6.0] * pushed + [0.0] * (8 - pushed)), 4).crossings == pushed


def test_after_a_crossing_a_fresh_svd_leaves_the_pool() -> None:
    weight = gapped(np.random.default_rng(2), 24, 24, rank=8)
    pool, core = split(weight, 8), np.diag([20.0] + [0.0] * 7)
    left, _, _ = fresh(merge(weight, pool, core), 8)
    assert sine_of_largest_angle(pool.left_basis, left) > 0.99


@given(values=st.lists(st.floats(0, 1e3), min_size=1, max_size=20), threshold=st.floats(0.01, 0.999999))
def test_the_principal_rank_is_the_smallest_that_holds_the_energy(values: list[float], threshold: float) -> None:
    descending = np.sort(np.array(values))[::-1]
    rank, energy = principal_rank(descending, threshold), np.square(descending)
    assert energy[:rank].sum() >= threshold * energy.sum() * (1 - 1e-9)
    assert rank == 0 or energy[: rank - 1].sum() < threshold * energy.sum()


def test_a_threshold_near_one_leaves_fewer_directions_and_one_leaves_only_those_without_energy() -> None:
    values = np.array([10.0, 5.0, 1.0, 0.01, 0.0, 0.0])
    assert [trained_rank(values, rho, 6) for rho in (0.5, 0.95, 0.999999, 1.0)] == [5, 4, 3, 2]


def test_without_a_null_space_nothing_is_trained_and_nothing_changes() -> None:
    weight = np.eye(4)
    rank = trained_rank(split(weight, 4).tail_values, 1.0, 4)
    assert rank == 0
    pool = split(weight, rank)
    trained = directions(pool, np.zeros((0, 0)), rank)
    assert (trained.left.shape, trained.values.shape, trained.crossings) == ((0, 0), (0,), 0)
    np.testing.assert_array_equal(merge(weight, pool, fold(np.zeros((0, 0)), trained, np.zeros((0, 0)), 1.0)), weight)


def test_a_maximum_above_the_null_rank_trains_the_null_rank() -> None:
    values = np.array([10.0, 1.0, 0.5, 0.1])
    assert trained_rank(values, 0.95, 100) == 3
    assert trained_rank(values, 0.95, 2) == 2


def test_a_pool_larger_than_the_matrix_is_the_whole_matrix() -> None:
    pool = split(np.random.default_rng(0).normal(size=(3, 5)), 99)
    assert (pool.left_basis.shape, pool.right_basis.shape, pool.principal_values.shape) == ((3, 3), (5, 3), (0,))
    assert directions(pool, np.full((3, 3), 1e6), 2).crossings == 0


def test_a_zero_matrix_is_all_null_space() -> None:
    pool = split(np.zeros((4, 6)), 4)
    assert principal_rank(pool.tail_values, 0.95) == 0
    assert trained_rank(pool.tail_values, 0.95, 3) == 3
    np.testing.assert_allclose(np.linalg.svd(merge(np.zeros((4, 6)), pool, np.eye(4)))[1], 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul")
def test_weights_that_are_not_numbers_are_refused_everywhere(bad: float) -> None:
    weight = np.eye(3)
    pool = split(weight, 2)
    with pytest.raises(InputError, match=r"weight matrix holds NaN or infinite numbers; export the model again"):
        split(np.full((3, 3), bad), 2)
    with pytest.raises(InputError, match=r"NaN or infinite singular values; export the model again"):
        principal_rank(np.array([bad, 1.0]), 0.95)
    with pytest.raises(InputError, match=r"merging a core gave NaN or infinite weights.*edge-nusa undo"):
        merge(weight, pool, np.full((2, 2), bad))


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.0001, float("nan")])
def test_a_threshold_outside_zero_to_one_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match=r"energy threshold must be in \(0, 1\], got"):
        principal_rank(np.ones(3), threshold)


@given(weight=MATRICES, seed=SEEDS, rank=st.integers(1, 9))
def test_both_interference_bounds_hold_for_any_matrix(weight: np.ndarray, seed: int, rank: int) -> None:
    pool = split(weight, rank)
    side = len(pool.tail_values)
    small = np.random.default_rng(seed).normal(size=(side, side))
    product = abs(float((weight * delta_weight(pool.left_basis, small, pool.right_basis)).sum()))
    assert all(product <= bound * (1 + 1e-9) + 1e-9 for bound in interference_bound(pool.tail_values, small))


def test_the_papers_first_lemma_is_violated_by_its_counterexample_and_the_true_bounds_are_not() -> None:
    values, small = np.array([10.0, 10.0]), np.eye(2)
    product = float((np.diag(values) * small).sum())
    assert product == 20.0
    assert product > values.max() * np.linalg.norm(small)
    assert interference_bound(values, small) == pytest.approx((20.0, 20.0))
