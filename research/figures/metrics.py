"""The figures of continual learning from what was measured: pure numpy, nothing read, nothing written.

Letters: N tasks, B pictures. accuracy[t, j], percent, is task j after learning t tasks; row 0 is the untouched model,
so the matrix is (N + 1, N). In the formulas below tasks count from 1, as in the paper; in the arrays column j - 1 is
task j. A figure is None where it is not defined (a Transfer of one task) or where one of the cells it is the mean of
was not measured (None or NaN): a mean over fewer cells would be another figure under the same name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_nusa.errors import InputError

Numbers = npt.NDArray[np.float64]


def matrix_of(rows: Sequence[Sequence[float | None]]) -> Numbers:
    """The rows as (N + 1, N) float64, NaN where a cell is None. Raises InputError for any other shape, and for N =
    0."""
    tasks = len(rows) - 1
    if tasks < 1 or any(len(row) != tasks for row in rows):
        raise InputError(
            f"accuracies: expected N + 1 rows of N tasks, N > 0, found {len(rows)} rows of "
            f"{sorted({len(row) for row in rows})}"
        )
    return np.array([[math.nan if cell is None else cell for cell in row] for row in rows], dtype=np.float64)


def transfer(accuracy: Numbers) -> float | None:
    """What is kept of tasks not yet learned: mean over j = 2..N of the mean over 1 <= t < j of accuracy[t, j] (ZSCL,
    section 4.1).

    accuracy (N + 1, N) percent. Row 0 is not in it. None for N = 1: no task is then ever waited for.
    """
    tasks = accuracy.shape[1]
    return (
        _known(np.mean([accuracy[1 : column + 1, column].mean() for column in range(1, tasks)])) if tasks > 1 else None
    )


def average(accuracy: Numbers) -> float | None:
    """Mean of rows 1..N over all columns; accuracy (N + 1, N) percent."""
    return _known(accuracy[1:].mean())


def last(accuracy: Numbers) -> float | None:
    """Mean of row N; accuracy (N + 1, N) percent."""
    return _known(accuracy[-1].mean())


def forgetting(accuracy: Numbers) -> float | None:
    """Percent lost: mean over j < N of the best accuracy[t, j], j <= t <= N, minus accuracy[N, j]; never below 0.

    accuracy (N + 1, N) percent. The last task has no past, so it is left out; None for N = 1.
    """
    tasks = accuracy.shape[1]
    lost = [accuracy[column + 1 :, column].max() - accuracy[-1, column] for column in range(tasks - 1)]
    return _known(np.mean(lost)) if lost else None


def frozen_transfer(accuracy: Numbers) -> float | None:
    """Transfer of a learner that never changes, from row 0: the mean of columns 2..N. None for N = 1."""
    return _known(accuracy[0, 1:].mean()) if accuracy.shape[1] > 1 else None


def frozen_last(accuracy: Numbers) -> float | None:
    """Last, and so Average, of a learner that never changes: the mean of row 0."""
    return _known(accuracy[0].mean())


def joint_average(joint: Sequence[float | None]) -> float | None:
    """Class-incremental Average: mean over the steps 1..N of the accuracy on all labels seen so far; joint (N + 1,)
    percent."""
    steps = [math.nan if step is None else step for step in joint[1:]]
    return _known(np.mean(steps)) if steps else None


def joint_last(joint: Sequence[float | None]) -> float | None:
    """Class-incremental Last: joint accuracy after step N; joint (N + 1,) percent."""
    return at_end(joint)


def at_end(row: Sequence[float | None]) -> float | None:
    """What was measured after the last task; None where nothing was."""
    return known(row[-1]) if len(row) > 1 else None


def known(value: float | None) -> float | None:
    """The value as a float where it is a finite number, else None."""
    return None if value is None else _known(value)


def expected_calibration_error(confidence: Numbers, is_right: npt.NDArray[np.bool_], bins: int = 15) -> float | None:
    """Percent: sum over bins of |bin's accuracy - bin's mean confidence| weighted by its share of pictures (Guo et
    al. 2017, eq. 3).

    confidence (B,) in 0..1; is_right (B,). Bins are equally wide, open below and closed above; the first holds 0 too.
    None for no picture. Raises InputError for shapes that differ, for a confidence outside 0..1 or NaN, and for no
    bins.
    """
    if confidence.shape != is_right.shape or confidence.ndim != 1 or bins < 1:
        raise InputError(
            f"calibration: expected (B,) twice and bins > 0, found {confidence.shape}, {is_right.shape}, {bins} bins"
        )
    if not np.all((confidence >= 0) & (confidence <= 1)):
        raise InputError("calibration: expected confidences in 0..1, found others; give probabilities, not scores")
    if not confidence.size:
        return None
    places = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    gaps = np.bincount(places, weights=is_right.astype(np.float64) - confidence, minlength=bins)
    return 100 * float(np.abs(gaps).sum()) / confidence.size


def auroc(known_scores: Numbers, unknown_scores: Numbers) -> float | None:
    """Percent: how often an unknown picture's novelty is above a known one's, ties counting half (Mann-Whitney U /
    (A B)).

    known_scores (A,), unknown_scores (B,): any scale, larger is newer, infinities allowed. None where either is empty.
    Raises InputError for NaN.
    """
    if np.isnan(known_scores).any() or np.isnan(unknown_scores).any():
        raise InputError(
            "AUROC: expected scores that can be ordered, found NaN; look at the novelty that the learner gave"
        )
    if not known_scores.size or not unknown_scores.size:
        return None
    ordered = np.sort(known_scores)
    below = np.searchsorted(ordered, unknown_scores, side="left")
    not_above = np.searchsorted(ordered, unknown_scores, side="right")
    return 50 * float((below + not_above).sum()) / (known_scores.size * unknown_scores.size)


def _known(value: float | np.floating) -> float | None:
    return float(value) if math.isfinite(value) else None
