"""Results as rows: what stands in each column, that the means of a run's rows are its figures, what is counted class by
class, and that no spreadsheet computes a name."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_eval_summary import cil, mtil

from edge_nusa.errors import DamagedError
from edge_nusa.research.figures import classes, records, results
from edge_nusa.research.figures.classes import Classes, TaskClasses, read_classes
from edge_nusa.research.figures.records import class_rows, confusion_rows, metric_rows, task_rows
from edge_nusa.research.figures.results import Beside, csv_of, results_files
from edge_nusa.research.figures.runs import key_of
from edge_nusa.research.figures.summary import figures_of

BIRDS = TaskClasses(task="cars", labels=("old", "new"), taught=(4, 3), asked=(5, 6), own=(4, 6), end=(3, 5))
CARS = TaskClasses(task="birds", labels=("owl",), taught=(2,), asked=(7,), own=(7,), end=(6,))
COUNTED = Classes(tasks=(BIRDS, CARS), mistakes=((0, 1, 2), (1, 2, 1), (2, 0, 1)))


def mean(values: list[object]) -> float:
    return float(np.mean([value for value in values if isinstance(value, float)]))


def test_the_means_of_a_runs_rows_are_its_figures() -> None:
    three = replace(
        mtil(), order=("a", "b", "c"), seconds=(1.0, 2.0, 6.0), state_bytes=(8, 16, 32),
        accuracy=((10.0, 20.0, 30.0), (90.0, 25.0, 35.0), (80.0, 95.0, 45.0), (70.0, 97.0, 99.0)),
        joint=(None,) * 4, retention=(60.0, 50.0, 40.0, 30.0), ece=(None, 1.0, 2.0, 3.0), auroc=(None, 4.0, 5.0, 6.0),
    )  # fmt: skip
    rows = list(task_rows([three], {}))
    found = figures_of(three)
    for part, metric in (("transfer", "transfer"), ("average", "average"), ("last", "last")):
        assert mean([row[part] for row in rows]) == pytest.approx(found[metric])
    assert mean([row["forgotten"] for row in rows]) == pytest.approx(found["forgetting"])
    assert mean([row["untouched"] for row in rows[1:]]) == pytest.approx(found["frozen_transfer"])
    told = [(row["own"], row["end"], row["transfer"], row["forgotten"]) for row in rows]
    assert told == [(90.0, 70.0, None, 20.0), (95.0, 97.0, 25.0, 0.0), (99.0, 99.0, 40.0, None)]
    beside = [[row[name] for row in rows] for name in ("retention", "ece", "auroc", "seconds", "state_bytes", "task")]
    assert beside == [[50.0, 40.0, 30.0], [1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [1.0, 2.0, 6.0], [8, 16, 32], [1, 2, 3]]


def test_in_cil_average_and_last_are_of_all_labels_so_far() -> None:
    run = cil(3)
    rows = list(task_rows([run], {}))
    assert [row["average"] for row in rows] == [row["joint"] for row in rows] == list(run.joint[1:])
    assert mean([row["average"] for row in rows]) == pytest.approx(figures_of(run)["average"])
    assert [row["last"] for row in rows] == [None, None, run.joint[-1]]
    assert all(row["transfer"] is None and row["untouched"] is None for row in rows)


def test_every_table_has_the_columns_that_are_described_and_no_others() -> None:
    run = mtil()
    counted = {key_of(run): COUNTED}
    tables = {
        "TASKS": task_rows([run], counted),
        "METRIC": metric_rows([run]),
        "CLASSES": class_rows([run], counted),
        "CONFUSIONS": confusion_rows([run], counted),
    }
    for name, rows in tables.items():
        columns = getattr(records, name)
        found = list(rows)
        assert found and all(tuple(row) == tuple(columns) for row in found), name
        assert all(len(said) > 5 for said in columns.values())


def test_classes_and_mistakes_are_told_by_their_names() -> None:
    run = mtil()
    counted = {key_of(run): COUNTED}
    rows = list(task_rows([run], counted))
    assert [(row["labels"], row["taught"], row["asked"]) for row in rows] == [(2, 7, 11), (1, 2, 7)]
    told = [(row["task"], row["name"], row["label"], row["taught"], row["asked"], row["own"], row["end"])
            for row in class_rows([run], counted)]  # fmt: skip
    assert told == [(1, "cars", "old", 4, 5, 4, 3), (1, "cars", "new", 3, 6, 6, 5), (2, "birds", "owl", 2, 7, 7, 6)]
    mistaken = [tuple(row.values())[len(records.OF_RUN) :] for row in confusion_rows([run], counted)]
    assert mistaken == [
        ("cars", "old", "cars", "new", 2),
        ("cars", "new", "birds", "owl", 1),
        ("birds", "owl", "cars", "old", 1),
    ]


def test_a_run_whose_classes_were_not_kept_has_empty_counts_and_no_rows_of_classes() -> None:
    [first, _] = task_rows([mtil()], {})
    assert (first["labels"], first["taught"], first["asked"]) == (None, None, None)
    assert list(class_rows([mtil()], {})) == list(confusion_rows([mtil()], {})) == []


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_that_a_spreadsheet_would_compute_has_an_apostrophe_in_front(first: str) -> None:
    run = replace(mtil(), order=(f"{first}1+1", 'a,"b"\nc'))
    [one, other] = list(csv.DictReader(io.StringIO(results_files([run], Beside())["results.csv"], newline="")))
    assert (one["name"], other["name"]) == (f"'{first}1+1", 'a,"b"\nc')
    assert len(results.FORMULA) == 6


def test_a_name_with_any_end_of_line_stays_in_its_cell() -> None:
    names = ("a\rb", "c\r\nd", 'e"', "f,g", " h ")
    rows = list(csv.reader(io.StringIO(csv_of({"n": ""}, [{"n": name} for name in names]), newline="")))
    assert [row[0] for row in rows] == ["n", *names]


def test_numbers_below_zero_and_missing_ones_stay_what_they_are() -> None:
    text = csv_of({"a": "", "b": "", "c": ""}, [{"a": -1.5, "b": None, "c": -3}])
    assert text == "a,b,c\n-1.5,,-3\n"


def test_tables_of_classes_are_written_where_they_are_asked_for() -> None:
    run = mtil()
    beside = Beside(classes={key_of(run): COUNTED})
    assert list(results_files([run], beside)) == ["results.csv", "results-metrics.csv"]
    files = results_files([run], replace(beside, per_class=True))
    assert list(files) == ["results.csv", "results-metrics.csv", "results-classes.csv", "results-confusions.csv"]
    assert files["results-classes.csv"].count("\n") == 4 and files["results-confusions.csv"].count("\n") == 4


def test_the_classes_of_a_run_are_read_back(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(COUNTED.to_json())
    assert read_classes(tmp_path) == {"one": COUNTED}
    assert COUNTED.names() == [("cars", "old"), ("cars", "new"), ("birds", "owl")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[2, 0, 1]", "[2, 3, 1]"), "columns below 3"),
        (("[2, 0, 1]", "[2, 0]"), "a list of 3 entries"),
        (('"own": [7]', '"own": [7, 7]'), "a list of 1 entries"),
        (('"task": "birds"', '"task": 3'), "a text"),
        (('"format_version": 1', '"format_version": 9'), "format"),
    ],
)
def test_damaged_classes_are_named_with_the_next_step(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(COUNTED.to_json().replace(*change))
    with pytest.raises(DamagedError, match=rf"one\.json: not the classes of a run.*{message}") as raised:
        read_classes(tmp_path)
    assert "remove the file" in str(raised.value)


def test_the_classes_of_a_run_are_json_with_sorted_keys_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (classes.LARGEST_BYTES, classes.MOST_MISTAKES) == (64 << 20, 1 << 20)
    text = COUNTED.to_json()
    assert text.startswith('{"format_version": 1, "mistakes": [[0, 1, 2], ') and '"tasks": [{"asked": [5, 6], ' in text
    (tmp_path / "one.json").write_text(text)
    monkeypatch.setattr(classes, "LARGEST_BYTES", len(text))
    assert read_classes(tmp_path) == {"one": COUNTED}
    monkeypatch.setattr(classes, "LARGEST_BYTES", len(text) - 1)
    with pytest.raises(DamagedError, match=r"one\.json: not the classes of a run"):
        read_classes(tmp_path)


def test_classes_of_several_runs_are_added_by_task_and_label() -> None:
    total = classes.added({"one": COUNTED, "two": COUNTED})
    assert total == {("cars", "old"): (10, 8, 6), ("cars", "new"): (12, 12, 10), ("birds", "owl"): (14, 14, 12)}
