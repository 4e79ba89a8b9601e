"""The page's folds on single classes: counts added over runs, the worst first, what is taken for what, and names that
stay text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from test_eval_records import COUNTED
from test_eval_report import SCRIPT
from test_eval_summary import mtil
from test_report import Page

from edge_nusa.research.figures import class_tables
from edge_nusa.research.figures.class_tables import counted, folds
from edge_nusa.research.figures.classes import Classes, TaskClasses
from edge_nusa.research.figures.page import results_html
from edge_nusa.research.figures.results import Beside
from edge_nusa.research.figures.runs import key_of
from edge_nusa.research.figures.summary import summarised


def cells(html: str) -> list[list[str]]:
    """The table rows of some HTML, each cell's text."""
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<td[^>]*><bdi>(.*?)</bdi></td>", row) for row in rows if "<td" in row]


def test_classes_come_worst_first_with_what_they_are_most_often_taken_for() -> None:
    run = mtil()
    html = folds({"ours": [run]}, {key_of(run): COUNTED})
    assert cells(html)[:3] == [
        ["old", "cars", "5", "4", "3", "new (2)"],
        ["new", "cars", "6", "6", "5", "owl of birds (1)"],
        ["owl", "birds", "7", "7", "6", "old of cars (1)"],
    ]
    assert "14 of 18 pictures right at the end, 3 classes<" in html and html.count("<details>") == 1


def test_counts_are_added_over_the_runs_whose_classes_are_known() -> None:
    runs = [mtil(seed=seed) for seed in (0, 1, 2)]
    html = folds({"ours": runs}, {key_of(run): COUNTED for run in runs[:2]})
    assert "28 of 36 pictures right at the end, 3 classes, 2 runs<" in html
    assert cells(html)[0] == ["old", "cars", "10", "8", "6", "new (4)"]
    assert folds({"ours": runs[2:]}, {key_of(runs[0]): COUNTED}) == ""


def test_the_most_often_answered_class_is_told_of_equals_by_name_and_none_is_a_dash() -> None:
    for mistakes, told in (
        (((0, 1, 2), (0, 2, 2)), "new (2)"),
        (((0, 2, 2), (0, 1, 2)), "new (2)"),
        (((0, 1, 1), (0, 2, 5)), "owl of birds (5)"),
    ):
        found = counted({"one": replace(COUNTED, mistakes=mistakes)})
        assert found.taken_for(("cars", "old")) == told
        assert found.taken_for(("birds", "owl")) == "–"


def test_the_worst_is_the_one_with_the_least_share_right_at_the_end() -> None:
    counts = {"A": (10, 4, 4), "B": (2, 2, 1), "D": (0, 0, 0), "E": (1, 1, 1), "F": (10, 10, 6)}
    asked, own, end = zip(*counts.values(), strict=True)
    task = TaskClasses(task="t", labels=tuple(counts), taught=(1,) * 5, asked=asked, own=own, end=end)
    found = counted({"one": Classes(tasks=(task,), mistakes=())})
    assert [label for _, label in found.worst_first] == ["D", "A", "B", "F", "E"]


def test_names_are_columns_of_text_and_counts_of_figures() -> None:
    run = mtil()
    heads = re.findall(r"<th( class=\"text\")?>([^<]*)</th>", folds({"ours": [run]}, {key_of(run): COUNTED}))[:6]
    assert [(name, bool(kind)) for kind, name in heads] == [
        ("Class", True),
        ("Set or step", True),
        ("Asked", False),
        ("Right after its task", False),
        ("Right at the end", False),
        ("Most often taken for", True),
    ]


def test_a_task_of_few_labels_has_its_matrix_with_other_tasks_in_the_last_column() -> None:
    run = mtil()
    html = folds({"ours": [run]}, {key_of(run): COUNTED})
    assert cells(html)[3:] == [["old", "3", "2", "0"], ["new", "0", "5", "1"]], "birds has one label and no matrix"
    assert "other tasks" in html
    alone = Classes(tasks=COUNTED.tasks[:1], mistakes=((0, 1, 2), (1, 0, 1)))
    html = folds({"ours": [run]}, {key_of(run): alone})
    assert cells(html)[2:] == [["old", "3", "2"], ["new", "1", "5"]] and "other tasks" not in html


@pytest.mark.parametrize(("labels", "matrices"), [(12, 1), (13, 0)])
def test_a_task_of_many_labels_has_no_matrix(labels: int, matrices: int) -> None:
    one = (1,) * labels
    names = tuple(f"label {number}" for number in range(labels))
    task = TaskClasses(task="many", labels=names, taught=one, asked=one, own=one, end=one)
    run = mtil()
    html = folds({"ours": [run]}, {key_of(run): Classes(tasks=(task,), mistakes=())})
    assert html.count('class="matrix"') == matrices


def test_a_fold_shows_three_hundred_classes_and_says_how_many_more_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert class_tables.MOST_ROWS == 300
    run = mtil()
    monkeypatch.setattr(class_tables, "MOST_ROWS", 2)
    html = folds({"ours": [run]}, {key_of(run): COUNTED})
    assert "The 2 worst; 1 more are in the files." in html and len(cells(html.split('class="matrix"')[0])) == 2
    monkeypatch.setattr(class_tables, "MOST_ROWS", 3)
    assert "worst;" not in folds({"ours": [run]}, {key_of(run): COUNTED})


def test_the_page_has_the_folds_where_they_are_asked_for_and_names_stay_text() -> None:
    run = mtil(SCRIPT)
    hostile = replace(COUNTED.tasks[0], task=SCRIPT, labels=(SCRIPT, "&amp;"))
    beside = Beside(classes={key_of(run): replace(COUNTED, tasks=(hostile, COUNTED.tasks[1]))})
    assert "<details>" not in results_html([run], summarised([run]), [], beside)
    html = results_html([run], summarised([run]), [], replace(beside, per_class=True))
    found = Page(html)
    assert found.tags.count("details") == 1 and "script" not in found.tags and "".join(found.texts).count(SCRIPT) > 4
