"""What the plots show, as arrays: one learner's median accuracy matrix of one order, and its accuracy over the tasks
with quartiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_nusa.research.figures.metrics import Numbers, matrix_of
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.figures.summary import Order, order_of


@dataclass(frozen=True)
class Curve:
    """Percent over tasks learned: tasks (K,) from 0; median, q25 and q75 (K,) over runs, NaN where a run has no
    figure."""

    tasks: Numbers
    median: Numbers
    q25: Numbers
    q75: Numbers


def shown_order(runs: Sequence[Run]) -> Order:
    """The order of which a matrix is shown: the one with the most runs, of equals the first by name. runs: at least
    one.

    Columns of different orders are different tasks, so a mean over orders would mean nothing.
    """
    orders = [order_of(run) for run in runs]
    return min(set(orders), key=lambda order: (-orders.count(order), order))


def median_matrix(runs: Sequence[Run], order: Order) -> Numbers | None:
    """Cell-wise median (N + 1, N) percent over the runs of this order, NaN where one has none; None without a run."""
    matrices = [matrix_of(run.accuracy) for run in runs if order_of(run) == order]
    return np.asarray(np.median(matrices, axis=0)) if matrices else None


def over_all_tasks(runs: Sequence[Run]) -> Curve:
    """Mean over all N columns after 0..N tasks: what is known and what is still to come. runs: of one group."""
    return _curve([matrix_of(run.accuracy).mean(axis=1) for run in runs], 0)


def over_learned_tasks(runs: Sequence[Run]) -> Curve:
    """Mean over the columns learned so far after 1..N tasks. runs: of one group."""
    return _curve([_learned(matrix_of(run.accuracy)) for run in runs], 1)


def over_steps(runs: Sequence[Run]) -> Curve:
    """Joint accuracy after 1..N steps, suite `cil`. runs: of one group."""
    return _curve([np.array([math.nan if step is None else step for step in run.joint[1:]]) for run in runs], 1)


def _learned(accuracy: Numbers) -> Numbers:
    return np.array([accuracy[row, :row].mean() for row in range(1, len(accuracy))])


def _curve(rows: Sequence[Numbers], first: int) -> Curve:
    low, middle, high = np.quantile(np.stack(rows), [0.25, 0.5, 0.75], axis=0)
    return Curve(np.arange(first, first + len(middle), dtype=np.float64), middle, low, high)
