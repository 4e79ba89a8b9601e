"""Transfer, average, last, forgetting, calibration and AUROC against slow versions that follow the definitions word
by word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_nusa.errors import InputError
from edge_nusa.research.figures import metrics

PERCENT = st.floats(0, 100)
MATRICES = st.integers(1, 6).flatmap(lambda tasks: arrays(np.float64, (tasks + 1, tasks), elements=PERCENT))
BY_HAND = [[10.0, 20.0, 30.0], [90.0, 18.0, 27.0], [80.0, 70.0, 21.0], [75.0, 64.0, 88.0]]


def test_a_matrix_done_by_hand_gives_its_figures() -> None:
    accuracy = metrics.matrix_of(BY_HAND)
    assert metrics.transfer(accuracy) == pytest.approx((18 + (27 + 21) / 2) / 2)  # 21.0
    assert metrics.average(accuracy) == pytest.approx((135 + 171 + 227) / 9)
    assert metrics.last(accuracy) == pytest.approx(227 / 3)
    assert metrics.forgetting(accuracy) == pytest.approx(((90 - 75) + (70 - 64)) / 2)  # 10.5
    assert metrics.frozen_transfer(accuracy) == 25
    assert metrics.frozen_last(accuracy) == 20


@given(accuracy=MATRICES)
def test_figures_follow_their_definitions_with_tasks_counted_from_one(accuracy: np.ndarray) -> None:
    tasks = accuracy.shape[1]
    cell = {(t, j): accuracy[t, j - 1] for t in range(tasks + 1) for j in range(1, tasks + 1)}
    kept = [np.mean([cell[t, j] for t in range(1, j)]) for j in range(2, tasks + 1)]
    lost = [max(cell[t, j] for t in range(j, tasks + 1)) - cell[tasks, j] for j in range(1, tasks)]
    assert metrics.transfer(accuracy) == (pytest.approx(np.mean(kept)) if kept else None)
    assert metrics.forgetting(accuracy) == (pytest.approx(np.mean(lost)) if lost else None)
    assert metrics.average(accuracy) == pytest.approx(
        np.mean([cell[t, j] for t in range(1, tasks + 1) for j in range(1, tasks + 1)])
    )
    assert metrics.last(accuracy) == pytest.approx(np.mean([cell[tasks, j] for j in range(1, tasks + 1)]))


@given(row=st.lists(PERCENT, min_size=2, max_size=6))
def test_a_model_that_never_changes_has_its_frozen_figures_and_forgets_nothing(row: list[float]) -> None:
    accuracy = metrics.matrix_of([row] * (len(row) + 1))
    assert metrics.transfer(accuracy) == pytest.approx(metrics.frozen_transfer(accuracy))
    assert metrics.last(accuracy) == pytest.approx(metrics.frozen_last(accuracy))
    assert metrics.average(accuracy) == pytest.approx(metrics.frozen_last(accuracy))
    assert metrics.forgetting(accuracy) == 0


def test_of_one_task_there_is_no_transfer_and_nothing_to_forget() -> None:
    accuracy = metrics.matrix_of([[40.0], [90.0]])
    assert (metrics.transfer(accuracy), metrics.frozen_transfer(accuracy), metrics.forgetting(accuracy)) == (
        None,
        None,
        None,
    )
    assert (metrics.average(accuracy), metrics.last(accuracy), metrics.frozen_last(accuracy)) == (90, 90, 40)


def test_a_missing_cell_takes_away_only_the_figures_that_need_it() -> None:
    rows: list[list[float | None]] = [list(row) for row in BY_HAND]
    rows[1][2] = None
    accuracy = metrics.matrix_of(rows)
    assert metrics.transfer(accuracy) is None and metrics.average(accuracy) is None
    assert metrics.last(accuracy) == pytest.approx(227 / 3)
    assert metrics.forgetting(accuracy) == 10.5


@pytest.mark.parametrize("rows", [[], [[]], [[1.0, 2.0], [1.0, 2.0]], [[1.0], [1.0, 2.0]]])
def test_rows_of_another_shape_are_refused(rows: list[list[float]]) -> None:
    with pytest.raises(InputError, match=r"expected N \+ 1 rows of N tasks"):
        metrics.matrix_of(rows)


def test_joint_figures_leave_the_untouched_row_out_and_need_every_step() -> None:
    assert metrics.joint_average((None, 90.0, 70.0)) == 80
    assert metrics.joint_last((None, 90.0, 70.0)) == 70
    assert metrics.joint_average((None, 90.0, None)) is None
    assert metrics.joint_last((None, 90.0, None)) is None
    assert metrics.joint_average(()) is None and metrics.at_end(()) is None
    assert metrics.known(float("nan")) is None


ANSWERS = st.lists(
    st.tuples(st.one_of(st.floats(0, 1), st.sampled_from([k / 15 for k in range(16)])), st.booleans()),
    min_size=1,
    max_size=40,
)


@given(answers=ANSWERS, bins=st.integers(1, 20))
def test_calibration_error_is_the_weighted_gap_of_each_bin(answers: list[tuple[float, bool]], bins: int) -> None:
    edges = np.linspace(0, 1, bins + 1)
    expected = 0.0
    for number in range(bins):
        low, high = edges[number], edges[number + 1]
        inside = [(c, right) for c, right in answers if low < c <= high or (number == 0 and c == 0)]
        if inside:
            gap = np.mean([right for _, right in inside]) - np.mean([c for c, _ in inside])
            expected += 100 * abs(float(gap)) * len(inside) / len(answers)
    confidence, is_right = np.array([c for c, _ in answers]), np.array([right for _, right in answers])
    assert metrics.expected_calibration_error(confidence, is_right, bins) == pytest.approx(expected, abs=1e-9)


def test_calibration_error_by_hand_and_of_nothing() -> None:
    assert metrics.expected_calibration_error(
        np.array([0.95, 0.95, 0.55, 0.55]), np.array([True, True, True, False])
    ) == pytest.approx(5.0)
    assert metrics.expected_calibration_error(np.array([]), np.array([], dtype=bool)) is None


@pytest.mark.parametrize("confidence", [[1.5], [-0.1], [float("nan")]])
def test_a_confidence_that_is_no_probability_is_refused(confidence: list[float]) -> None:
    with pytest.raises(InputError, match=r"expected confidences in 0..1"):
        metrics.expected_calibration_error(np.array(confidence), np.array([True]))


def test_calibration_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected \(B,\) twice"):
        metrics.expected_calibration_error(np.array([0.5]), np.array([True, False]))


SCORES = st.lists(st.one_of(st.integers(-3, 3).map(float), st.floats(allow_nan=False)), min_size=1, max_size=20)


@given(known=SCORES, unknown=SCORES)
def test_auroc_counts_pairs_ties_half(known: list[float], unknown: list[float]) -> None:
    wins = sum(1.0 if u > k else 0.5 if u == k else 0.0 for u in unknown for k in known)
    assert metrics.auroc(np.array(known), np.array(unknown)) == pytest.approx(100 * wins / (len(known) * len(unknown)))


@given(known=st.lists(st.integers(0, 9), min_size=1), unknown=st.lists(st.integers(0, 9), min_size=1))
def test_auroc_is_scikit_learns(known: list[int], unknown: list[int]) -> None:
    judge = pytest.importorskip("sklearn.metrics")
    expected = judge.roc_auc_score([0] * len(known) + [1] * len(unknown), [*known, *unknown])
    assert metrics.auroc(np.array(known, dtype=float), np.array(unknown, dtype=float)) == pytest.approx(100 * expected)


def test_auroc_of_nothing_is_none_and_of_nan_refused() -> None:
    assert metrics.auroc(np.array([]), np.array([1.0])) is None
    assert metrics.auroc(np.array([1.0]), np.array([])) is None
    with pytest.raises(InputError, match="found NaN"):
        metrics.auroc(np.array([1.0]), np.array([float("nan")]))
