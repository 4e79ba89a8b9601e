"""The analytic head: the same bits in any order, and what linear discriminant analysis by its definition gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.knowledge.fit import BINARY_PLACES, NEVER, ONE_PICTURE_VARIANCE, UNIT, times_lower
from edge_nusa.knowledge.head import (
    LARGEST,
    SMALLEST_VARIANCE,
    Head,
    features,
    inverse_of_lower,
    oas,
)
from edge_nusa.knowledge.sums_file import head_from_tensors, head_tensors

SEEDS = st.integers(0, 2**32 - 1)
TAPS, LABELS = 12, 3
F = TAPS + 1


def taught(seed: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Feature rows (images, F) int64 of noisy clusters and their labels (images,), each label at least once."""
    rng = np.random.default_rng(seed)
    columns = rng.permutation(np.arange(images) % LABELS)
    centres = rng.normal(size=(LABELS, TAPS))
    taps = centres[columns] + 0.7 * rng.normal(size=(images, TAPS))
    return features(taps.astype(np.float32)), columns


def head_of(rows: np.ndarray, columns: np.ndarray) -> Head:
    return Head.empty(F).added(rows, columns, LABELS)


def one_hot(columns: np.ndarray) -> np.ndarray:
    return np.asarray(np.eye(LABELS)[columns])


def assert_equal_heads(one: Head, other: Head) -> None:
    for a, b in ((one.gram, other.gram), (one.sums, other.sums), (one.counts, other.counts)):
        assert a.dtype == b.dtype == np.int64
        np.testing.assert_array_equal(a, b)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, images=st.integers(3, 40), cuts=st.lists(st.integers(0, 40), max_size=5), order=SEEDS)
def test_any_order_and_any_chunks_give_the_same_bits(seed: int, images: int, cuts: list[int], order: int) -> None:
    rows, columns = taught(seed, images)
    whole = head_of(rows, columns)
    shuffled = np.random.default_rng(order).permutation(images)
    pieces = Head.empty(F)
    for chunk in np.split(shuffled, sorted(cut for cut in cuts if cut < images)):
        pieces = pieces.added(rows[chunk], columns[chunk], LABELS)
    assert_equal_heads(pieces, whole)
    assert pieces.solve().means.tobytes() == whole.solve().means.tobytes()
    assert (pieces.solve().shrinkage, pieces.solve().variance) == (whole.solve().shrinkage, whole.solve().variance)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, images=st.integers(3, 40), devices=st.integers(2, 5))
def test_adding_the_sums_of_devices_gives_the_bits_of_one_device(seed: int, images: int, devices: int) -> None:
    rows, columns = taught(seed, images)
    owner = np.random.default_rng(seed).integers(0, devices, images)
    parts = [head_of(rows[owner == device], columns[owner == device]) for device in range(devices)]
    gram, sums, counts = (
        np.sum(arrays, axis=0) for arrays in zip(*((p.gram, p.sums, p.counts) for p in parts), strict=True)
    )
    added = Head(gram, sums, counts)
    assert_equal_heads(added, head_of(rows, columns))
    assert added.solve().means.tobytes() == head_of(rows, columns).solve().means.tobytes()


def plainly(
    rows: np.ndarray, columns: np.ndarray, shrinkage: float, variance: float, freedom: float
) -> tuple[np.ndarray, np.ndarray]:
    """P (F, F) and means (L, F) by the definition, from the pictures themselves."""
    plain = rows / UNIT
    means = np.stack([plain[columns == c].mean(axis=0) if (columns == c).any() else np.zeros(F) for c in range(LABELS)])
    residual = plain - means[columns]
    covariance = (1 - shrinkage) * residual.T @ residual / freedom + variance * np.eye(F)
    return np.linalg.inv(covariance), means


def scores_of(plain: np.ndarray, inner: np.ndarray, means: np.ndarray) -> np.ndarray:
    return np.asarray(plain @ inner @ means.T - np.einsum("lf,fg,lg->l", means, inner, means) / 2)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, images=st.integers(4, 60))
def test_the_scores_are_those_of_linear_discriminant_analysis(seed: int, images: int) -> None:
    rows, columns = taught(seed, images)
    solved = head_of(rows, columns).solve()
    inner, means = plainly(rows, columns, solved.shrinkage, solved.variance, images - LABELS)
    expected = scores_of(rows / UNIT, inner, means)
    np.testing.assert_allclose(solved.scores(solved.whitened(rows)), expected, rtol=1e-6, atol=1e-6)
    away = (rows / UNIT)[:, None] - means[None]
    distances = np.einsum("blf,fg,blg->bl", away, inner, away).min(axis=1)
    np.testing.assert_allclose(
        solved.distances(solved.whitened(rows), solved.scores(solved.whitened(rows))), distances, rtol=1e-6, atol=1e-6
    )


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, images=st.integers(5, 60))
def test_the_shrinkage_is_that_of_scikit_learn(seed: int, images: int) -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    rows = np.random.default_rng(seed).normal(size=(images, F)) * np.linspace(0.1, 3, F)
    shrunk, shrinkage = covariance.oas(rows, assume_centered=True)
    ours, variance = oas(rows.T @ rows / images, images)
    # scikit-learn leaves out the two terms of order 1 / F that the paper has
    assert ours == pytest.approx(shrinkage, abs=2.5 / F)
    assert variance == pytest.approx(ours * np.trace(rows.T @ rows) / images / F)
    assert 0 <= ours <= 1


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, images=st.integers(7, 30))
def test_leave_one_out_equals_really_leaving_each_one_out(seed: int, images: int) -> None:
    rows, columns = taught(seed, images)
    solved = head_of(rows, columns).solve()
    scores, distances = solved.leave_one_out(solved.whitened(rows), columns)
    for out in range(images):
        kept = np.delete(np.arange(images), out)
        inner, means = plainly(rows[kept], columns[kept], solved.shrinkage, solved.variance, images - LABELS)
        away = rows[out] / UNIT - means[columns[out]]
        np.testing.assert_allclose(scores[out], scores_of(rows[out] / UNIT, inner, means), rtol=1e-6, atol=1e-6)
        assert distances[out] == pytest.approx(away @ inner @ away, rel=1e-6)


def test_a_label_of_one_picture_has_nothing_left_without_it() -> None:
    rows, columns = taught(2, 9)
    lone = Head.empty(F).added(rows, np.where(np.arange(9) == 4, 3, columns), 4).solve()
    scores, _ = lone.leave_one_out(lone.whitened(rows), np.where(np.arange(9) == 4, 3, columns))
    assert scores[4, 3] == NEVER
    assert np.isfinite(scores).all()
    assert scores[np.arange(9) != 4].min() > NEVER


def test_leave_one_out_knows_less_than_the_fit() -> None:
    rows, columns = taught(3, 20)
    solved = head_of(rows, columns).solve()
    own, white = (np.arange(20), columns), solved.whitened(rows)
    scores, distances = solved.leave_one_out(white, columns)
    others = [
        np.sort(table, axis=1)[:, -1]
        for table in (np.where(np.eye(LABELS)[columns] > 0, NEVER, t) for t in (scores, solved.scores(white)))
    ]
    assert (scores[own] - others[0] < solved.scores(white)[own] - others[1]).mean() > 0.9
    assert (distances >= solved.distances(white, solved.scores(white))).all()


def test_taught_labels_are_told_apart() -> None:
    rows, columns = taught(5, 90)
    solved = head_of(rows[:60], columns[:60]).solve()
    scores = solved.scores(solved.whitened(rows[60:]))
    assert (scores.argmax(axis=1) == columns[60:]).mean() > 0.8


def test_without_removes_a_label_and_keeps_the_others_columns() -> None:
    rows, columns = taught(7, 30)
    head = head_of(rows, columns)
    less = head.without(1)
    assert less.sums.shape == (F, 2)
    np.testing.assert_array_equal(less.sums, head.sums[:, [0, 2]])
    np.testing.assert_array_equal(less.counts, head.counts[[0, 2]])
    assert head.sums.shape == (F, 3)
    kept = rows[columns != 1] / UNIT
    means = np.stack([rows[columns == c].mean(axis=0) for c in range(LABELS)]) / UNIT
    forgotten = rows[columns == 1] / UNIT - means[1]
    np.testing.assert_allclose(less.gram / UNIT**2, kept.T @ kept + forgotten.T @ forgotten, atol=1e-5)
    before, after = head.solve(), less.solve()
    assert less.spare == head.counts[1] - 1
    assert after.variance == pytest.approx(before.variance, rel=1e-4), "the scatter and its degrees of freedom stay"
    np.testing.assert_allclose(
        after.scores(after.whitened(rows)), before.scores(before.whitened(rows))[:, [0, 2]], rtol=1e-3, atol=1e-3
    )


def test_only_some_labels_answer_in_the_order_asked_for() -> None:
    rows, columns = taught(7, 30)
    head = head_of(rows, columns)
    whole = head.solve()
    part = whole.only(np.array([2, 0]))
    white = whole.whitened(rows)
    np.testing.assert_array_equal(part.scores(white), whole.scores(white)[:, [2, 0]])


def test_adding_leaves_the_old_head_as_it_was() -> None:
    rows, columns = taught(8, 9)
    old = head_of(rows, columns)
    before = old.gram.copy(), old.sums.copy(), old.counts.copy()
    old.added(rows, columns, LABELS + 2)
    for now, then in zip((old.gram, old.sums, old.counts), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("images", [1, 2, 3])
def test_one_label_with_hardly_an_image_can_be_solved(images: int) -> None:
    rows, _ = taught(9, 3)
    solved = Head.empty(F).added(rows[:images], np.zeros(images, int), 1).solve()
    white = solved.whitened(rows[:images])
    assert solved.variance >= SMALLEST_VARIANCE
    assert np.isfinite(solved.scores(white)).all()
    assert (
        solved.distances(white, solved.scores(white)) <= solved.leave_one_out(white, np.zeros(images, int))[1] + 1e-6
    ).all()


def test_features_are_fixed_point_of_unit_mean_square_with_a_bias() -> None:
    rows = features(np.array([[3.0, -3.0, 3.0, -3.0], [0, 0, 0, 0]], np.float32))
    assert rows.dtype == np.int64
    assert rows.tolist() == [[1024, -1024, 1024, -1024, 1024], [0, 0, 0, 0, 1024]]


def test_a_lone_spike_is_cut_off() -> None:
    taps = np.zeros((1, 4096), np.float32)
    taps[0, 7] = 5.0
    assert features(taps).max() == int(LARGEST * 2**BINARY_PLACES)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, images=st.integers(0, 20), scale=st.floats(1e-3, 1e3))
def test_the_stored_tensors_give_the_head_back_bit_for_bit(seed: int, images: int, scale: float) -> None:
    taps = np.random.default_rng(seed).normal(size=(images, TAPS)) * scale
    head = head_of(features(taps.astype(np.float32)), np.arange(images) % LABELS)
    tensors = head_tensors(head)
    assert [tensors[name].dtype.name for name in ("gram", "sums", "counts", "spare")] == [
        "int64",
        "int32",
        "int64",
        "int64",
    ]
    assert_equal_heads(head_from_tensors(tensors, F, LABELS), head)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_taps_that_are_not_numbers_are_refused(bad: float) -> None:
    with pytest.raises(
        InputError, match=r"NaN or infinite features for a picture; check the bundle with `edge-nusa doctor`"
    ):
        features(np.array([[1.0, bad]], np.float32))


@given(SEEDS, st.integers(1, 300))
@settings(max_examples=30)
def test_the_inverse_by_halves_is_the_inverse_and_lower_triangular(seed: int, size: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(size, size + 5))
    triangle = np.linalg.cholesky(rows @ rows.T / size + np.eye(size))
    inverse = inverse_of_lower(triangle)
    assert np.array_equal(np.tril(inverse), inverse)
    np.testing.assert_allclose(inverse @ triangle, np.eye(size), atol=1e-10)


@settings(max_examples=10)
@given(SEEDS, st.integers(6, 60))
def test_asking_in_float32_is_asking_but_for_a_millionth(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    taps = (
        rng.normal(size=(images + 20, 30)) @ rng.normal(size=(30, 576)) + 0.1 * rng.normal(size=(images + 20, 576))
    ).astype(np.float32)
    rows = features(taps)
    exact = Head.empty(577).added(rows[:images], np.arange(images) % LABELS, LABELS).solve()
    asking = exact.for_asking()
    assert asking.whitening.nbytes == exact.whitening.nbytes // 2
    whole, half = exact.whitened(rows), asking.whitened(rows)
    assert half.dtype == np.float64
    scores = exact.scores(whole), asking.scores(half)
    distances = exact.distances(whole, scores[0]), asking.distances(half, scores[1])
    for wanted, found in (scores, distances):
        assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


@given(SEEDS, st.integers(1, 600), st.integers(0, 3))
@settings(max_examples=30)
def test_rows_times_a_triangle_in_strips_are_the_whole_product(seed: int, size: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    rows, triangle = rng.normal(size=(count, size)), np.tril(rng.normal(size=(size, size)))
    np.testing.assert_allclose(times_lower(rows, triangle), rows @ triangle.T, rtol=0, atol=1e-10)
    assert np.array_equal(times_lower(np.asfortranarray(rows), triangle), times_lower(rows, triangle))


def test_an_empty_head_cannot_be_solved() -> None:
    with pytest.raises(InputError, match=r"knows no label yet; teach one with `edge-nusa learn`"):
        Head.empty(F).solve()


def test_sums_beyond_int32_are_refused_when_stored() -> None:
    head = Head(np.zeros((1, 1), np.int64), np.array([[2**31]], np.int64), np.ones(1, np.int64))
    with pytest.raises(InputError, match=r"over 65,000\); forget it and teach it with fewer"):
        head_tensors(head)


@pytest.mark.parametrize("name", ["gram", "sums", "counts"])
def test_tensors_of_other_sizes_are_damage(name: str) -> None:
    tensors = head_tensors(head_of(*taught(1, 6)))
    with pytest.raises(
        DamagedError,
        match=r"head\.safetensors: expected 13 features and 3 labels, found other sizes; run `edge-nusa undo`",
    ):
        head_from_tensors({**tensors, name: tensors[name][:-1]}, F, LABELS)


def test_where_no_label_has_two_pictures_the_variance_is_that_of_pictures_of_one_label() -> None:
    rows, columns = taught(0, LABELS)
    alone = head_of(rows, columns)
    assert alone.freedom == 0
    solved = alone.solve()
    assert solved.variance == ONE_PICTURE_VARIANCE == 0.72
    assert solved.spread == pytest.approx(F / 2), "the guess alone"
    assert solved.expected(np.array([1, 2, 0])).tolist() == pytest.approx([F, 0.75 * F, F])
    more = alone.added(rows[:1], columns[:1], LABELS)
    assert more.freedom == 1 and more.solve().variance < ONE_PICTURE_VARIANCE


def test_a_forgotten_label_still_says_how_pictures_of_one_label_differ() -> None:
    rows, columns = taught(1, 12)
    left = head_of(rows, columns).without(0)
    assert left.freedom == left.spare + 6 == 9


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, images=st.integers(9, 60))
def test_the_expected_distance_is_that_of_the_pictures_each_left_out_where_all_lie_alike(
    seed: int, images: int
) -> None:
    rows, columns = taught(seed, images)
    head = head_of(rows, columns)
    solved = head.solve()
    means, covariance, freedom = head.moments()
    inverse = np.linalg.inv((1 - solved.shrinkage) * covariance + solved.variance * np.eye(F))
    inside = float(np.trace(inverse @ covariance))
    left_out = inside / (1 - (1 - solved.shrinkage) * inside / freedom)
    guess = F * 0.36 / solved.variance
    assert solved.spread == pytest.approx((freedom * left_out + 3 * guess) / (freedom + 3), rel=1e-6)


def test_new_pictures_lie_as_far_as_expected() -> None:
    found = []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        centres = generator.normal(size=(LABELS, TAPS))
        columns = np.repeat(np.arange(LABELS), 12)
        taps = centres[columns] + 0.7 * generator.normal(size=(len(columns), TAPS))
        rows = features(taps.astype(np.float32))
        known = np.arange(len(columns)) % 12 < 6
        solved = head_of(rows[known], columns[known]).solve()
        whitened = solved.whitened(rows[~known])
        distance = np.square(whitened - solved.means[columns[~known]]).sum(axis=1)
        found.append(distance.mean() / solved.expected(np.array([6]))[0])
    assert 0.8 < np.mean(found) < 1.2


def test_a_head_that_is_all_shrunk_expects_by_its_trace() -> None:
    rows = features(np.random.default_rng(0).normal(size=(2, TAPS)).astype(np.float32))
    head = Head.empty(F).added(rows, np.zeros(2, np.int64), 1)
    solved, (_, covariance, _) = head.solve(), head.moments()
    assert solved.shrinkage == 1
    left_out = np.trace(covariance) / solved.variance
    assert solved.spread == pytest.approx((left_out + 3 * F * 0.36 / solved.variance) / 4)


def spread_out(seed: int, per_label: int, wide: float) -> tuple[np.ndarray, np.ndarray]:
    """Feature rows of three labels whose pictures scatter alike, but for the last, which scatters `wide` times so
    far; and their columns."""
    rng = np.random.default_rng(seed)
    columns = np.repeat(np.arange(LABELS), per_label)
    size = np.where(columns == LABELS - 1, wide, 1.0)[:, None]
    taps = 3 * rng.normal(size=(LABELS, TAPS))[columns] + 0.5 * size * rng.normal(size=(len(columns), TAPS))
    return features(taps.astype(np.float32)), columns


def test_each_labels_scatter_is_that_of_its_pictures() -> None:
    rows, columns = spread_out(0, 6, 2.0)
    solved = head_of(rows, columns).solve()
    for label in range(LABELS):
        mine = rows[columns == label] / UNIT
        expected = np.square(mine - mine.mean(axis=0)).sum()
        assert solved.scatter[label] == pytest.approx(expected, rel=0.02, abs=0.05), "features have one length"
        np.testing.assert_allclose(solved.centres[label], mine.mean(axis=0), atol=1e-6)


def test_widths_are_the_square_root_of_own_by_pooled_mean_squares_within_bounds() -> None:
    solved = replace(head_of(*spread_out(1, 6, 1.0)).solve(), guess=2.0, pooled=4.0, counts=np.array([6, 1, 6]))
    own = np.array([(80.0 + 6.0) / 8, (0.0 + 6.0) / 3, (1e6 + 6) / 8])
    found = replace(solved, scatter=np.array([80.0, 0.0, 1e6])).widths
    assert found.tolist() == pytest.approx([np.sqrt(own[0] / 4), np.sqrt(own[1] / 4), 2.0])
    assert replace(solved, scatter=np.zeros(3), guess=0.0).widths.tolist() == [0.5, 0.5, 0.5]


def test_novelty_is_the_geometric_mean_of_both_distances_by_what_is_expected() -> None:
    rows, columns = spread_out(2, 6, 1.5)
    solved = head_of(rows, columns).solve()
    white = solved.whitened(rows)
    scores = solved.scores(white)
    nearest = scores.argmax(axis=1)
    inside = np.square(white - solved.means[nearest]).sum(axis=1) / (7 / 6 * solved.spread * solved.widths[nearest])
    own = (solved.scatter + 3 * F * 0.36) / (5 + 3)
    plain = np.square(rows / UNIT - solved.centres[nearest]).sum(axis=1) / (7 / 6 * own[nearest])
    np.testing.assert_allclose(solved.novelty(rows, white, scores), np.sqrt(inside * plain), rtol=1e-5)


def test_left_out_a_picture_is_as_novel_as_if_it_had_not_been_taught() -> None:
    rows, columns = spread_out(3, 8, 1.5)
    whole = head_of(rows, columns).solve()
    scores, novelty = whole.left_out(rows, columns)
    np.testing.assert_array_equal(scores, whole.leave_one_out(whole.whitened(rows), columns)[0])
    for picture in (0, 9, 20):
        others = np.arange(len(rows)) != picture
        label = columns[picture]
        mine = rows[others & (columns == label)] / UNIT
        centre = mine.mean(axis=0)
        own = (np.square(mine - centre).sum() + 3 * F * 0.36) / (6 + 3)
        plain = np.square(rows[picture] / UNIT - centre).sum() / (8 / 7 * own)
        distance = whole.leave_one_out(whole.whitened(rows), columns)[1][picture]
        inside = distance / (8 / 7 * whole.spread * whole.widths[label])
        assert novelty[picture] == pytest.approx(np.sqrt(inside * plain), rel=0.02)


def test_a_labels_only_picture_left_out_is_novel_without_end() -> None:
    rows, columns = taught(4, 9)
    lone = Head.empty(F).added(rows, np.where(np.arange(9) == 4, 3, columns), 4)
    novelty = lone.solve().left_out(rows, np.where(np.arange(9) == 4, 3, columns))[1]
    assert np.isinf(novelty).tolist() == (np.arange(9) == 4).tolist()
