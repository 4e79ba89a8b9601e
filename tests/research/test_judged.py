"""What the judge says beside what fresh pictures show: the summary's figures, and who is dealt what."""

from __future__ import annotations

from typing import Any

import numpy as np
from test_judge import task

from edge_nusa.research import judged
from edge_nusa.research.judged import Pictures, mixed_up, summary


def row(right: int, fresh: float, old: bool = False, expected: float | None = None, shots: int = 5) -> dict[str, Any]:
    return {"shots": shots, "old": old, "right": right, "asked": 5, "fresh": fresh, "expected": expected}


def test_the_summary_says_how_far_off_a_label_is_and_how_often_the_interval_holds() -> None:
    rows = [
        row(5, 90.0),
        row(4, 30.0),  # below the interval, which begins at 37.6
        row(0, 50.0, old=True, expected=70.0),
        row(0, 90.0, old=True, expected=80.0),
        row(0, 1.0, old=True),
        row(5, 1.0, shots=16),
    ]
    assert summary(rows, 5).splitlines() == [
        "5 left out: 2 labels, says 90.0, fresh 60.0, a label is off by 30.0, 50 % within the interval",
        "5 expected of earlier labels: 2 labels, says 75.0, fresh 70.0, a label is off by 15.0",
    ]


def test_good_heads_are_told_apart_and_shuffled_ones_are_not() -> None:
    rows, goals = task(0, [8] * 10, 2.0)
    names = tuple(f"label {i}" for i in range(10))
    seen = Pictures(name="made", labels=names, embedding=np.zeros((80, 2)), rows=rows, classes=goals)
    found = list(mixed_up(seen, 5, 0))
    assert [(one["known"], one["kind"]) for one in found] == [
        (0, "good"),
        (0, "shuffled"),
        (5, "good"),
        (5, "shuffled"),
        (5, "one label"),
    ]
    worst = min(one["errors"] for one in found if one["kind"] != "shuffled")
    assert worst > max(one["errors"] for one in found if one["kind"] == "shuffled")
    assert judged.LABELS == 5
