"""The analytic head: the same bits in any order, and what plain ridge regression gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.head import BINARY_PLACES, LARGEST, STRENGTHS, Head, features, head_from_tensors, head_tensors

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
    assert pieces.solve().weights.tobytes() == whole.solve().weights.tobytes()
    assert (pieces.solve().strength, pieces.solve().score) == (whole.solve().strength, whole.solve().score)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, images=st.integers(3, 40), devices=st.integers(2, 5))
def test_adding_the_sums_of_devices_gives_the_bits_of_one_device(seed: int, images: int, devices: int) -> None:
    rows, columns = taught(seed, images)
    owner = np.random.default_rng(seed).integers(0, devices, images)
    parts = [head_of(rows[owner == device], columns[owner == device]) for device in range(devices)]
    sums: list[np.ndarray] = [np.sum(arrays, axis=0) for arrays in zip(*((p.gram, p.sums, p.counts) for p in parts), strict=True)]
    added = Head(*sums)
    assert_equal_heads(added, head_of(rows, columns))
    assert added.solve().weights.tobytes() == head_of(rows, columns).solve().weights.tobytes()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, images=st.integers(4, 60))
def test_the_weights_are_those_of_plain_ridge_regression(seed: int, images: int) -> None:
    rows, columns = taught(seed, images)
    solved = head_of(rows, columns).solve()
    plain = rows / 2.0**BINARY_PLACES
    expected = np.linalg.solve(plain.T @ plain + solved.strength * np.eye(F), plain.T @ one_hot(columns))
    np.testing.assert_allclose(solved.weights, expected, atol=1e-7)
    np.testing.assert_allclose(solved.scores(rows), plain @ expected, atol=1e-7)
    inner = plain.T @ plain + solved.strength * np.eye(F)
    np.testing.assert_allclose(solved.inverse_root @ solved.inverse_root.T @ inner, np.eye(F), atol=1e-7)
    np.testing.assert_allclose(solved.leverage(rows), np.diag(plain @ np.linalg.inv(inner) @ plain.T), atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, images=st.integers(8, 60))
def test_the_strength_is_the_candidate_of_least_generalised_cross_validation(seed: int, images: int) -> None:
    rows, columns = taught(seed, images)
    solved = head_of(rows, columns).solve()
    plain, mean = rows / 2.0**BINARY_PLACES, float(np.trace(rows.T @ rows)) / 4.0**BINARY_PLACES / F

    def score(strength: float) -> float:
        hat = plain @ np.linalg.solve(plain.T @ plain + strength * np.eye(F), plain.T)
        residual = one_hot(columns) - hat @ one_hot(columns)
        return float(images * np.square(residual).sum() / (images - np.trace(hat)) ** 2)

    scores = [score(multiple * mean) for multiple in STRENGTHS]
    assert solved.score == pytest.approx(min(scores), rel=1e-5)
    assert score(solved.strength) == pytest.approx(min(scores), rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, images=st.integers(6, 30))
def test_leave_one_out_equals_really_leaving_each_one_out(seed: int, images: int) -> None:
    rows, columns = taught(seed, images)
    solved = head_of(rows, columns).solve()
    plain, really = rows / 2.0**BINARY_PLACES, np.zeros((images, LABELS))
    for left_out in range(images):
        kept = np.delete(plain, left_out, axis=0)
        inner = kept.T @ kept + solved.strength * np.eye(F)
        really[left_out] = plain[left_out] @ np.linalg.solve(inner, kept.T @ np.delete(one_hot(columns), left_out, axis=0))
    np.testing.assert_allclose(solved.leave_one_out(rows, columns), really, atol=1e-6)


def test_leave_one_out_is_exact_where_pictures_are_few_and_features_many() -> None:
    rng = np.random.default_rng(8)
    columns = np.arange(8) % LABELS
    rows = features((rng.normal(size=(LABELS, 256))[columns] + 0.5 * rng.normal(size=(8, 256))).astype(np.float32))
    solved = Head.empty(257).added(rows, columns, LABELS).solve()
    plain = rows / 2.0**BINARY_PLACES
    # the same by the 8 x 8 kernel, which is well conditioned: y - (K^-1 y) / diag(K^-1)
    kernel = np.linalg.inv(plain @ plain.T + solved.strength * np.eye(8))
    expected = one_hot(columns) - kernel @ one_hot(columns) / np.diag(kernel)[:, None]
    np.testing.assert_allclose(solved.leave_one_out(rows, columns), expected, rtol=0, atol=1e-9)


def test_leave_one_out_knows_less_than_the_fit() -> None:
    rows, columns = taught(3, 20)
    solved = head_of(rows, columns).solve()
    own = np.arange(20), columns
    assert (solved.leave_one_out(rows, columns)[own] < solved.scores(rows)[own]).all()


def test_taught_labels_are_told_apart() -> None:
    rows, columns = taught(5, 90)
    scores = head_of(rows[:60], columns[:60]).solve().scores(rows[60:])
    assert (scores.argmax(axis=1) == columns[60:]).mean() > 0.8


def test_without_removes_a_label_and_keeps_the_others_columns() -> None:
    rows, columns = taught(7, 30)
    head = head_of(rows, columns)
    less = head.without(1)
    assert less.sums.shape == (F, 2)
    np.testing.assert_array_equal(less.sums, head.sums[:, [0, 2]])
    np.testing.assert_array_equal(less.counts, head.counts[[0, 2]])
    np.testing.assert_array_equal(less.gram, head.gram)
    assert head.sums.shape == (F, 3)
    assert less.solve().scores(rows).shape == (30, 2)
    assert np.isfinite(less.solve().weights).all()


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
    assert solved.strength > 0
    assert np.isfinite(solved.weights).all()
    assert (solved.scores(rows[:images]) > 0.5).all()


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
    assert [tensors[name].dtype.name for name in ("gram", "sums", "counts")] == ["int64", "int32", "int64"]
    assert_equal_heads(head_from_tensors(tensors, F, LABELS), head)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_taps_that_are_not_numbers_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match=r"NaN or infinite features for a picture; check the bundle with `edge-nusa doctor`"):
        features(np.array([[1.0, bad]], np.float32))


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
        DamagedError, match=r"head\.safetensors: expected 13 features and 3 labels, found other sizes; run `edge-nusa undo`"
    ):
        head_from_tensors({**tensors, name: tensors[name][:-1]}, F, LABELS)
