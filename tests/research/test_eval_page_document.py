"""docs/eval.md is so: its learner is run as it stands, on real scans, by the command line and from Python, and what it
lists of learners, suites, files, fields and columns is what there is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import ROOT, environment, run_cli
from test_eval_arrays import scans

from edge_nusa.research.data.datasets import find_sets
from edge_nusa.research.data.views import View
from edge_nusa.research.figures import records
from edge_nusa.research.figures.class_tables import MOST_OF_A_MATRIX
from edge_nusa.research.figures.classes import Classes, TaskClasses
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.learners.checked import PROTOCOL
from edge_nusa.research.learners.described import DESCRIBED, GROUP
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.protocol.listing import ORDERS, SUITES
from edge_nusa.research.protocol.orders import ORDER_I

PAGE = (ROOT / "docs" / "eval.md").read_text(encoding="utf-8")
MINE, ARRAYS, SWEEP = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
GIVEN = """
import numpy as np
found = np.load("scans.npz")
train_pictures, train_classes, test_pictures, test_classes = (found[name] for name in found.files)
"""


def table(heading: str, first: str) -> list[list[str]]:
    """The cells of the rows below a heading, of the table whose first column is called so."""
    part = PAGE.partition(f"{heading}\n")[2]
    body = part.partition(f"| {first} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in body.splitlines()[2:]]


def names(heading: str, first: str) -> list[str]:
    return [name for row in table(heading, first) for name in re.findall(r"`([^`]+)`", row[0])]


def test_every_learner_is_described_with_its_source() -> None:
    rows = table("## Learners", "learner")
    assert [row[0] for row in rows] == [f"`{name}`" for name in DESCRIBED]
    assert [row[2] for row in rows] == [each.source for each in DESCRIBED.values()]
    assert all(len(row[1]) > 20 for row in rows)


def test_suites_and_orders_are_those_that_there_are() -> None:
    assert [re.findall(r"`(\w+)`", row[0])[0] for row in table("## Suites", "suite")] == list(SUITES)
    assert names("## Suites", "order") == [name for name in ORDERS if name != "FILE"]
    assert list(ORDER_I) == sorted(ORDER_I), "I is alphabetical"


def test_a_runs_fields_and_the_views_are_named() -> None:
    assert names("## Files", "field") == ["format_version", *(field.name for field in fields(Run))]
    sentence = PAGE.partition("`classes/KEY.json`: ")[2].partition("\n")[0]
    expected = {field.name for kind in (Classes, TaskClasses) for field in fields(kind)}
    assert set(re.findall(r"`(\w+)`", sentence)) == expected
    view = PAGE.partition("A view is a task as the frozen model sees it: ")[2].partition("\n")[0].partition(" Test ")[0]
    for name in re.findall(r"`(\w+)", view):
        assert hasattr(View, name) or name in {field.name for field in fields(View)}, name


def test_the_protocol_is_the_one_that_is_checked() -> None:
    rows = names("## A learner of your own", "what")
    for method, words in PROTOCOL.items():
        assert f"{method}({', '.join(words)})" in rows
    options = table("## A learner of your own", "what")[0][1]
    assert {field.name for field in fields(Options)} == set(re.findall(r"`(\w+)`", options))
    assert f'[project.entry-points."{GROUP}"]' in PAGE and f"at most {MOST_OF_A_MATRIX} labels" in PAGE


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("results.csv", records.TASKS),
        ("results-metrics.csv", records.METRIC),
        ("results-classes.csv", records.CLASSES),
        ("results-confusions.csv", records.CONFUSIONS),
    ],
)
def test_every_column_is_said_as_the_source_says_it(file: str, columns: dict[str, str]) -> None:
    own = {name: said for name, said in columns.items() if file == "results.csv" or name not in records.OF_RUN}
    assert table("### Columns", f"`{file}`") == [[f"`{name}`", said] for name, said in own.items()]
    assert list(columns)[:7] == list(records.OF_RUN)


def test_classes_json_is_read_as_it_is_shown(tmp_path: Path) -> None:
    shown = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0]
    for name in ("class_01", "class_02"):
        (tmp_path / "flowers" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "flowers" / name / f"{number}.jpg").touch()
    (tmp_path / "classes.json").write_text(shown)
    [flowers] = find_sets(tmp_path, None)
    assert flowers.labels == ("daisy", "dandelion") and flowers.templates == ("a photo of a {}, a type of flower.",)
    assert int(flowers.is_test.sum()) == 4, "two of five"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh folder in which the code of the page was run as it stands."""
    import numpy as np

    folder = tmp_path_factory.mktemp("newcomer")
    pictures, classes = scans(tuple(range(10)))
    np.savez(folder / "scans.npz", pictures[:300], classes[:300], pictures[300:400], classes[300:400])
    (folder / "mine.py").write_text(MINE)
    (folder / "run.py").write_text(GIVEN + ARRAYS + SWEEP)
    words = [sys.executable, "run.py"]
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [(row[0], row[1], row[2], row[3]) for row in rows] == [
        (learner, shots, seed, "digits")
        for learner in ("frozen", "mine:Mine", "ncm")
        for shots in ("1", "4")
        for seed in ("0", "1")
    ]
    last = {tuple(row[:3]): float(row[4]) for row in rows}
    for seed in ("0", "1"):
        assert last["mine:Mine", "4", seed] > last["frozen", "4", seed] + 20
        assert last["mine:Mine", "4", seed] > last["mine:Mine", "1", seed]
    return folder


@pytest.mark.slow
def test_the_newcomers_learner_runs_from_python_on_arrays(ran: Path) -> None:
    assert json.loads((ran / "results" / "learners" / "mine.Mine.json").read_text())["learner"] == "mine:Mine"


@pytest.mark.slow
def test_the_same_learner_runs_by_the_command_line_and_every_file_is_named(ran: Path) -> None:
    shown = re.findall(r"edge-nusa (eval mtil .*mine:Mine.*)", PAGE)[0].replace("results/", "cli/")
    done = run_cli(*shown.split(), "--per-class", "--format", "human", cwd=ran, env={"EDGE_NUSA_BUNDLE": ""})
    assert done.returncode == 0, done.stderr
    accuracy = {line.split(" | ")[0]: line for line in done.stdout.splitlines() if line.startswith("| ")}
    assert {"| frozen", "| ncm", "| mine:Mine"} <= set(accuracy)
    written = {str(file.relative_to(ran / "cli")) for file in (ran / "cli").rglob("*") if file.is_file()}
    kinds = (
        (r"^(runs|classes)/.*", r"\1/KEY.json"),
        (r"^cache/.*", "cache/"),
        (r"^learners/.*", "learners/NAME.json"),
        (r"^sweeps/.*", "sweeps/HASH.json"),
    )
    for pattern, said in kinds:
        written = {re.sub(pattern, said, file) for file in written}
    assert written == set(names("## Files", "file")) - {"parts/KEY.npz"}
    both = [ran / folder / "runs" / "mtil-mine.Mine-4shots-seed0-given.json" for folder in ("cli", "results")]
    accuracies = [json.loads(file.read_text())["accuracy"] for file in both]
    assert accuracies[0][0] == accuracies[1][0], "the folder is the arrays, pixel by pixel"
