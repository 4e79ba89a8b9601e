"""The results as files for machines and for text: results.json (everything), results.csv (a row a task),
results-metrics.csv (a row a run and metric), results-classes.csv and results-confusions.csv (on demand), results.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_nusa.research.figures.classes import Classes
from edge_nusa.research.figures.records import (
    CLASSES,
    CONFUSIONS,
    METRIC,
    TASKS,
    class_rows,
    confusion_rows,
    metric_rows,
    task_rows,
)
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.figures.summary import METRICS, Summary
from edge_nusa.research.figures.tables import Cell, Table

FORMAT_VERSION = 2
QUOTE = '"'
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet would compute."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What lies beside the runs of a folder. settings: how they were made, by name; learners: where the code of those
    that are not built in comes from; classes: of each run, by its key; per_class: whether these are shown."""

    settings: Mapping[str, str] = field(default_factory=dict)
    learners: Sequence[Mapping[str, Any]] = ()
    classes: Mapping[str, Classes] = field(default_factory=dict)
    per_class: bool = False


def results_json(runs: Sequence[Run], summaries: Sequence[Summary], beside: Beside) -> str:
    """One object: settings, learners' code, the metrics' units, all summaries, and the keys of the runs behind them;
    null where there is no figure."""
    content = {
        "format_version": FORMAT_VERSION,
        "settings": dict(beside.settings),
        "learners": [dict(each) for each in beside.learners],
        "metrics": METRICS,
        "summaries": [_flat(summary) for summary in summaries],
        "runs": [_key(run) | {"order": list(run.order)} for run in runs],
    }
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def results_files(runs: Sequence[Run], beside: Beside) -> dict[str, str]:
    """File name -> CSV: the tasks, the metrics, and the classes where they are asked for."""
    files = {
        "results.csv": csv_of(TASKS, task_rows(runs, beside.classes)),
        "results-metrics.csv": csv_of(METRIC, metric_rows(runs)),
    }
    if beside.per_class:
        files["results-classes.csv"] = csv_of(CLASSES, class_rows(runs, beside.classes))
        files["results-confusions.csv"] = csv_of(CONFUSIONS, confusion_rows(runs, beside.classes))
    return files


def csv_of(columns: Mapping[str, str], rows: Iterable[Mapping[str, object]]) -> str:
    """A header of the columns, then the rows: numbers in full precision, nothing where there is none. A text that a
    spreadsheet would take for a formula has an apostrophe in front."""
    lines = [columns, *([row[name] for name in columns] for row in rows)]
    return "".join(",".join(map(_cell, line)) + "\n" for line in lines)


def _cell(value: object) -> str:
    """One value. Python's csv leaves a carriage return unquoted where lines end with a line feed, and readers take it
    for an end of line, so that a name may break the table."""
    if not isinstance(value, str):
        return "" if value is None else repr(value)
    text = f"'{value}" if value.startswith(FORMULA) else value
    return f'"{text.replace(QUOTE, 2 * QUOTE)}"' if re.search(r'[,"\r\n]', text) else text


def results_md(tables: Sequence[Table]) -> str:
    """The tables as Markdown (GitHub's), one heading each."""
    return "\n".join(_markdown(table) for table in tables)


def _flat(summary: Summary) -> dict[str, Any]:
    content = asdict(summary)
    return content.pop("group") | content


def _key(run: Run) -> dict[str, Any]:
    group = {"suite": run.suite, "shots": run.shots, "steps": len(run.order), "learner": run.learner}
    return group | {"seed": run.seed, "order_name": run.order_name}


def _markdown(table: Table) -> str:
    note = f"{_plain(table.note)}\n\n" if table.note else ""
    rule = "|".join([":--", *["--:"] * (len(table.columns) - 1)])
    lines = [_line([Cell(name) for name in table.columns]), f"|{rule}|", *(_line(row) for row in table.rows)]
    return f"## {_plain(table.title)}\n\n{note}" + "\n".join(lines) + "\n"


def _line(cells: Sequence[Cell]) -> str:
    return "| " + " | ".join(f"**{_plain(cell.text)}**" if cell.is_best else _plain(cell.text) for cell in cells) + " |"


def _plain(text: str) -> str:
    """The text on one line, with a backslash before what Markdown or HTML would read as markup; `a_b` needs none."""
    one_line = " ".join(text.split())
    return re.sub(r"[\\`*|<>\[\]&~#]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", one_line)
