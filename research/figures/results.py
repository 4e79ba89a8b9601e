"""The results as files for machines and for text: results.json (everything), results.csv (tidy), results.md
(tables)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edge_nusa.research.figures.runs import Run
from edge_nusa.research.figures.summary import METRICS, Summary, figures_of
from edge_nusa.research.figures.tables import Cell, Table

FORMAT_VERSION = 1
CSV_COLUMNS = ("suite", "shots", "steps", "learner", "seed", "order_name", "metric", "value")


def results_json(runs: Sequence[Run], summaries: Sequence[Summary], settings: Mapping[str, str]) -> str:
    """One object: settings, the metrics' units, all summaries, and the keys of the runs behind them; null where
    there is no figure."""
    content = {
        "format_version": FORMAT_VERSION,
        "settings": dict(settings),
        "metrics": METRICS,
        "summaries": [_flat(summary) for summary in summaries],
        "runs": [_key(run) | {"order": list(run.order)} for run in runs],
    }
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def results_csv(runs: Sequence[Run]) -> str:
    """One row a run and metric, with CSV_COLUMNS as the header; the value in full precision, empty where there is
    none."""
    text = io.StringIO()
    rows = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    rows.writeheader()
    for run in runs:
        for metric, value in figures_of(run).items():
            rows.writerow(_key(run) | {"metric": metric, "value": "" if value is None else repr(value)})
    return text.getvalue()


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
