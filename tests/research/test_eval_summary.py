"""Medians and spreads over runs, what is grouped and what is refused, and differences between learners on equal
seeds and orders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_nusa.errors import InputError
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.figures.summary import METRICS, Spread, figures_of, paired, spread, summarised


def mtil(learner: str = "ours", seed: int = 0, order_name: str = "I", last: float = 80.0, shots: int = 5) -> Run:
    """Two tasks; after both, `last` percent on each."""
    accuracy = ((30.0, 50.0), (90.0, 46.0), (last, last))
    order = ("birds", "cars") if order_name == "I" else ("cars", "birds")
    curves: dict[str, Any] = {"retention": (60.0, 59.0, 58.0), "ece": (None, 4.0, 6.0), "auroc": (None, 70.0, 75.0)}
    costs: dict[str, Any] = {
        "seconds": (2.0, 4.0),
        "state_bytes": (1024, 3072),
        "peak_rss_bytes": 2**20 * 300,
        "trained_numbers": 640,
    }
    return Run(
        suite="mtil",
        learner=learner,
        shots=shots,
        seed=seed,
        order_name=order_name,
        order=order,
        accuracy=accuracy,
        joint=(None,) * 3,
        **curves,
        **costs,
    )


def cil(steps: int, learner: str = "ours", seed: int = 0) -> Run:
    """Each step's joint accuracy is 90 minus the step; task j loses a point a step."""
    accuracy = tuple(tuple(90.0 - row if column < row else None for column in range(steps)) for row in range(steps + 1))
    joint = (None, *(90.0 - row for row in range(1, steps + 1)))
    blank = (None,) * (steps + 1)
    order = tuple(f"step {number}" for number in range(steps))
    return Run(
        suite="cil",
        learner=learner,
        shots=0,
        seed=seed,
        order_name="given",
        order=order,
        accuracy=accuracy,
        joint=joint,
        retention=blank,
        ece=blank,
        auroc=blank,
        seconds=(1.0,) * steps,
        state_bytes=(8,) * steps,
        peak_rss_bytes=2**20,
        trained_numbers=7,
    )


def test_a_run_has_each_figure_in_its_unit() -> None:
    assert figures_of(mtil()) == {
        "transfer": 46.0,
        "average": 74.0,
        "last": 80.0,
        "forgetting": 10.0,
        "retention": 58.0,
        "retention_frozen": 60.0,
        "ece": 6.0,
        "auroc": 75.0,
        "frozen_transfer": 50.0,
        "frozen_last": 40.0,
        "seconds_per_task": 3.0,
        "peak_rss_mib": 300.0,
        "state_kib": 3.0,
        "state_growth_kib": 2.0,
        "trained_numbers": 640.0,
    }


def test_class_incremental_figures_are_joint_and_have_no_transfer() -> None:
    found = figures_of(cil(3))
    assert (found["average"], found["last"], found["transfer"], found["frozen_last"]) == (88.0, 87.0, None, None)
    assert found["forgetting"] == pytest.approx(((89 - 87) + (88 - 87)) / 2)
    assert (found["retention"], found["ece"], found["auroc"]) == (None, None, None)


def test_every_figure_is_declared_and_a_run_of_one_task_has_no_growth() -> None:
    one = replace(mtil(), order=("birds",), accuracy=((30.0,), (90.0,)), seconds=(2.0,), state_bytes=(8,))
    assert set(figures_of(one)) == set(METRICS)
    assert figures_of(one)["state_growth_kib"] is None and figures_of(one)["transfer"] is None


def test_medians_and_quartiles_are_over_the_runs_of_one_learner() -> None:
    runs = [mtil(seed=seed, last=last) for seed, last in enumerate((70.0, 72.0, 80.0, 90.0, 99.0))]
    (summary,) = summarised(runs)
    assert summary.figures["last"] == Spread(median=80.0, q25=72.0, q75=90.0, lowest=70.0, highest=99.0, count=5)
    assert (summary.runs, summary.seeds, summary.orders) == (5, (0, 1, 2, 3, 4), ("I",))
    assert summary.median("last") == 80


def test_learners_shots_and_step_counts_are_never_mixed() -> None:
    runs = [mtil(), mtil("theirs"), mtil(shots=16), cil(2), cil(3)]
    groups = [(s.group.suite, s.group.shots, s.group.steps, s.group.learner) for s in summarised(runs)]
    assert groups == [
        ("cil", 0, 2, "ours"),
        ("cil", 0, 3, "ours"),
        ("mtil", 5, 2, "ours"),
        ("mtil", 5, 2, "theirs"),
        ("mtil", 16, 2, "ours"),
    ]


def test_a_figure_that_only_some_runs_have_says_of_how_many_it_is() -> None:
    (summary,) = summarised([mtil(), replace(mtil(seed=1), auroc=(None, None, None))])
    found = summary.figures["auroc"]
    assert found is not None and found.count == 1 and summary.runs == 2


def test_the_spread_over_orders_holds_the_seeds_and_the_other_way_round() -> None:
    lasts = {(0, "I"): 70.0, (0, "II"): 74.0, (1, "I"): 71.0, (1, "II"): 79.0}
    runs = [mtil(seed=seed, order_name=name, last=last) for (seed, name), last in lasts.items()]
    (summary,) = summarised(runs)
    assert summary.last_over_orders == pytest.approx(76.5 - 70.5)
    assert summary.last_over_seeds == pytest.approx(75 - 72)
    (unequal,) = summarised([*runs, mtil(seed=2, order_name="II", last=10.0)])
    assert unequal.last_over_orders == pytest.approx(6.0), "a seed that one order lacks is left out"


def test_one_order_has_no_spread_over_orders() -> None:
    (summary,) = summarised([mtil(seed=0, last=70.0), mtil(seed=1, last=75.0)])
    assert (summary.last_over_orders, summary.last_over_seeds) == (None, 5.0)


def test_two_orders_of_one_name_are_two_orders() -> None:
    other = replace(mtil(last=60.0), order=("cars", "birds"))
    (summary,) = summarised([mtil(), other])
    assert summary.orders == ("I", "I") and summary.last_over_orders == 20


def test_a_run_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InputError, match="expected each run once, found 'ours', seed 0, order 'I' twice"):
        summarised([mtil(), mtil()])


def test_runs_over_other_tasks_are_refused() -> None:
    with pytest.raises(InputError, match=r"over the same 2 tasks, found others too \(cars, planes\)"):
        summarised([mtil(), replace(mtil(seed=1), order=("birds", "planes"))])


def test_differences_are_over_the_pairs_that_both_have() -> None:
    ours = [mtil(seed=seed, last=last) for seed, last in ((0, 80.0), (1, 85.0), (2, 99.0))]
    theirs = [mtil("theirs", seed=seed, last=last) for seed, last in ((0, 70.0), (1, 79.0), (3, 1.0))]
    assert paired([*ours, *theirs], "ours", "theirs", "last") == Spread(
        median=8.0, q25=7.0, q75=9.0, lowest=6.0, highest=10.0, count=2
    )
    assert paired([*ours, *theirs], "ours", "theirs", "transfer") == Spread(
        median=0.0, q25=0.0, q75=0.0, lowest=0.0, highest=0.0, count=2
    )
    assert paired(ours, "ours", "theirs", "last") is None
    assert paired([mtil(), mtil("theirs", order_name="II"), mtil("theirs", shots=16)], "ours", "theirs", "last") is None


def test_an_unknown_metric_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"expected a metric of transfer, .*; found 'speed'"):
        paired([mtil()], "ours", "theirs", "speed")


@given(values=st.lists(st.one_of(st.none(), st.floats(-100, 100)), max_size=12))
def test_a_spread_orders_its_figures_and_counts_what_is_there(values: list[float | None]) -> None:
    there, found = [value for value in values if value is not None], spread(values)
    if found is None:
        assert not there
    else:
        assert found.lowest <= found.q25 <= found.median <= found.q75 <= found.highest
        assert (found.count, found.lowest, found.highest) == (len(there), min(there), max(there))
        assert found.median == pytest.approx(np.median(there))
