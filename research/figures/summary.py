"""What many runs say together: medians and spreads for each learner, and differences between learners on equal seeds
and orders.

Runs are grouped by suite, learner, shots and number of tasks (steps), since no figure can be compared across these.
Reads nothing, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.research.figures import metrics
from edge_nusa.research.figures.runs import Run, Suite

METRICS = {
    "transfer": "percent",
    "average": "percent",
    "last": "percent",
    "forgetting": "percent",
    "retention": "percent, after the last task",
    "retention_frozen": "percent, of the untouched model",
    "ece": "percent, after the last task",
    "auroc": "percent, after the last task",
    "frozen_transfer": "percent, of the untouched model",
    "frozen_last": "percent, of the untouched model",
    "seconds_per_task": "seconds, mean over tasks, without evaluation",
    "peak_rss_mib": "MiB, of the process",
    "state_kib": "KiB, after the last task",
    "state_growth_kib": "KiB a task, from the first task to the last",
    "trained_numbers": "numbers that one task trains",
}
"""Every figure of a run, with its unit."""

Order = tuple[str, tuple[str, ...]]
"""An order is its name and the tasks as they came: `given` may be two orders."""


@dataclass(frozen=True, order=True)
class Group:
    """Runs that may be averaged. steps: the number of tasks N."""

    suite: Suite
    shots: int
    steps: int
    learner: str


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median, quartiles (linear interpolation) and extremes of one figure; count: how many values there were."""

    median: float
    q25: float
    q75: float
    lowest: float
    highest: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One group's figures. figures: a spread for each of METRICS, None where no run has that figure.

    last_over_orders: points between the best and the worst order, each the median of `last` over the seeds that all
    orders have; last_over_seeds: the same with seeds and orders exchanged. None with fewer than two, or where no seed
    (order) is shared.
    """

    group: Group
    runs: int
    seeds: tuple[int, ...]
    orders: tuple[str, ...]
    figures: dict[str, Spread | None]
    last_over_orders: float | None
    last_over_seeds: float | None

    def median(self, metric: str) -> float | None:
        """The metric's median, or None where no run has it."""
        spread = self.figures[metric]
        return None if spread is None else spread.median


def group_of(run: Run) -> Group:
    """The group that a run belongs to."""
    return Group(run.suite, run.shots, len(run.order), run.learner)


def figures_of(run: Run) -> dict[str, float | None]:
    """Each of METRICS for one run; None where it was not measured or is not defined (in `cil`: Transfer and the
    frozen figures)."""
    accuracy = metrics.matrix_of(run.accuracy)
    is_joint = run.suite == "cil"
    sizes = run.state_bytes
    return {
        "transfer": metrics.transfer(accuracy),
        "average": metrics.joint_average(run.joint) if is_joint else metrics.average(accuracy),
        "last": metrics.joint_last(run.joint) if is_joint else metrics.last(accuracy),
        "forgetting": metrics.forgetting(accuracy),
        "retention": metrics.at_end(run.retention),
        "retention_frozen": metrics.known(run.retention[0]) if run.retention else None,
        "ece": metrics.at_end(run.ece),
        "auroc": metrics.at_end(run.auroc),
        "frozen_transfer": metrics.frozen_transfer(accuracy),
        "frozen_last": metrics.frozen_last(accuracy),
        "seconds_per_task": metrics.known(sum(run.seconds) / len(run.seconds)) if run.seconds else None,
        "peak_rss_mib": run.peak_rss_bytes / 2**20,
        "state_kib": sizes[-1] / 2**10 if sizes else None,
        "state_growth_kib": (sizes[-1] - sizes[0]) / 2**10 / (len(sizes) - 1) if len(sizes) > 1 else None,
        "trained_numbers": float(run.trained_numbers),
    }


def summarised(runs: Sequence[Run]) -> list[Summary]:
    """One Summary a group, sorted by group. Raises InputError where runs may not stand side by side (`checked`)."""
    checked(runs)
    groups: dict[Group, list[Run]] = {}
    for run in runs:
        groups.setdefault(group_of(run), []).append(run)
    return [_summary(group, groups[group]) for group in sorted(groups)]


def checked(runs: Sequence[Run]) -> None:
    """Raises InputError where one run is there twice, or where `mtil` runs of as many tasks are over different
    tasks."""
    seen: set[tuple[Group, int, Order]] = set()
    tasks: dict[int, set[str]] = {}
    for run in runs:
        group, key = group_of(run), (group_of(run), run.seed, order_of(run))
        if key in seen:
            raise InputError(
                f"expected each run once, found {run.learner!r}, seed {run.seed}, order {run.order_name!r} twice; "
                "remove one file"
            )
        seen.add(key)
        if run.suite == "mtil" and tasks.setdefault(group.steps, set(run.order)) != set(run.order):
            differing = ", ".join(sorted(tasks[group.steps] ^ set(run.order)))
            raise InputError(
                f"expected all runs over the same {group.steps} tasks, found others too ({differing}); report each "
                "choice on its own"
            )


def order_of(run: Run) -> Order:
    """What tells one order from another."""
    return run.order_name, run.order


def spread(values: Iterable[float | None]) -> Spread | None:
    """The values that are there, as a Spread; None where none is."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    low, middle, high = (float(q) for q in np.quantile(there, [0.25, 0.5, 0.75]))
    return Spread(median=middle, q25=low, q75=high, lowest=min(there), highest=max(there), count=len(there))


def paired(runs: Sequence[Run], learner_a: str, learner_b: str, metric: str) -> Spread | None:
    """learner_a's figure minus learner_b's, over the pairs of equal suite, shots, steps, seed and order that both have.

    Returns the differences' spread (count: pairs), None without a pair. Raises InputError for a metric not in METRICS.
    """
    if metric not in METRICS:
        raise InputError(f"expected a metric of {', '.join(METRICS)}; found {metric!r}")
    sides = [
        {
            (run.suite, run.shots, run.seed, order_of(run)): figures_of(run)[metric]
            for run in runs
            if run.learner == learner
        }
        for learner in (learner_a, learner_b)
    ]
    pairs = [(sides[0][key], sides[1][key]) for key in sides[0] if key in sides[1]]
    return spread(a - b for a, b in pairs if a is not None and b is not None)


def _summary(group: Group, runs: Sequence[Run]) -> Summary:
    found = [figures_of(run) for run in runs]
    lasts = {
        (run.seed, order_of(run)): value
        for run, each in zip(runs, found, strict=True)
        if (value := each["last"]) is not None
    }
    return Summary(
        group=group,
        runs=len(runs),
        seeds=tuple(sorted({run.seed for run in runs})),
        orders=tuple(name for name, _ in sorted({order_of(run) for run in runs})),
        figures={metric: spread(each[metric] for each in found) for metric in METRICS},
        last_over_orders=_range_of_medians(lasts, lambda key: key[1], lambda key: key[0]),
        last_over_seeds=_range_of_medians(lasts, lambda key: key[0], lambda key: key[1]),
    )


_Key = tuple[int, Order]


def _range_of_medians(
    values: dict[_Key, float], varied: Callable[[_Key], object], held: Callable[[_Key], object]
) -> float | None:
    """Largest minus smallest median over the varied part of the keys, over those held parts that each of them has."""
    parts: dict[object, dict[object, float]] = {}
    for key, value in values.items():
        parts.setdefault(varied(key), {})[held(key)] = value
    shared = set.intersection(*(set(part) for part in parts.values())) if parts else set()
    if len(parts) < 2 or not shared:
        return None
    medians = [float(np.median([part[each] for each in shared])) for part in parts.values()]
    return max(medians) - min(medians)
