"""The evaluation's report: results.json, CSV files, results.md and one HTML page with tables and plots; and single
plots as PNG for documents.

The page has no scripts and fetches nothing; a content policy forbids both. All text from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from edge_nusa.device.report import page as report
from edge_nusa.device.report.cards import isolated
from edge_nusa.device.report.style import POLICY, STYLE
from edge_nusa.errors import InputError
from edge_nusa.files.durable import ASKED_FILE_MODE, ASKED_FOLDER_MODE, explained, make_folder, replace_file
from edge_nusa.research.figures import drawing, kept, plots
from edge_nusa.research.figures.class_tables import folds
from edge_nusa.research.figures.results import Beside, results_files, results_json, results_md
from edge_nusa.research.figures.runs import Run, Suite
from edge_nusa.research.figures.summary import METRICS, Summary, group_of, summarised
from edge_nusa.research.figures.tables import Table, ranked, section_title, tables

NO_PLOTS = '<p class="note">The plots are missing here: <code>pip install "edge-nusa[eval]"</code> adds them.</p>'
_STYLE = """
body{max-width:70rem}h2{border-top:2px solid var(--line);padding-top:.8rem}h3{font-size:1rem;margin:1.6rem 0 .3rem}
figure,tr{break-inside:avoid}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
figure svg{max-width:none}figure .narrow{display:none}
.results table{width:auto;font-size:.85rem}.results td,.results th{white-space:nowrap;padding:.3rem .35rem}
.results td.text{white-space:normal;min-width:9rem}
.wide th:first-child,.wide td:first-child{position:sticky;left:0;background:var(--page)}
details{margin:.5rem 0;padding:.3rem .6rem;border:1px solid var(--line);border-radius:.3rem}summary{cursor:pointer}
summary,p,figcaption{overflow-wrap:anywhere}
@media(max-width:30rem){.results td.text{min-width:6rem}dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
@media screen and (max-width:44rem){figure .narrow{display:block}figure .narrow~.plot{display:none}}
@media print{:root{--ink:#000;--soft:#444;--line:#bbb;--page:#fff;--panel:#fff}}
"""
LAYOUTS = (plots.NARROW, plots.WIDE)
_ABOUT = '<p class="note">What each figure means, the command, the seeds and the orders are at the end.</p>'
_HOW_TO_READ = {
    "Transfer": "accuracy on tasks not yet learned, after each earlier task: what the model still knows of what it "
    "was never taught here.",
    "Average": "mean accuracy over all tasks after every task (cil: on all labels seen so far, over the steps).",
    "Last": "mean accuracy over all tasks after the last one (cil: on all labels).",
    "Forgetting": "best accuracy that a task ever had, minus its accuracy at the end; smaller is better.",
    "Retention": "accuracy at the end on a set that is never learned (--never).",
    "ECE": "expected calibration error: how far confidence is from accuracy, in 15 bins; smaller is better.",
    "AUROC": "how often a picture of a set never learned (--never) looks newer than a learned one; 50 % is chance.",
    "Bold": "the best median of a column; a learner that trains and keeps nothing does not compete in transfer, "
    "forgetting, retention and costs.",
    "Dash": "not measured, or not defined for this suite.",
}


def write_report(runs: Sequence[Run], beside: Beside, out: Path) -> list[Path]:
    """Writes results.json, the CSV files, results.md and results.html into `out` (made if missing), each whole or not
    at all.

    Returns their paths. Raises InputError for no runs or runs that do not belong side by side, ResourceError for a
    full disk.
    Without matplotlib the page has its tables only.
    """
    if not runs:
        raise InputError("a report: expected finished runs, found none; run `edge-nusa eval` first")
    summaries = summarised(runs)
    shown = tables(summaries, runs)
    texts = {
        "results.json": results_json(runs, summaries, beside),
        **results_files(runs, beside),
        "results.md": results_md(shown),
        "results.html": results_html(runs, summaries, shown, beside),
    }
    with explained(f"writing the report into {out}"):
        make_folder(out, ASKED_FOLDER_MODE)
        for name, text in texts.items():
            # a lone surrogate in a name, which no file name can show, must not lose the report
            replace_file(out / name, text.encode(errors="backslashreplace"), ASKED_FILE_MODE)
    return [out / name for name in texts]


def results_html(runs: Sequence[Run], summaries: Sequence[Summary], shown: Sequence[Table], beside: Beside) -> str:
    """The whole page as a string: section by section tables and plots, then how to read it and how it was made."""
    learners = len({run.learner for run in runs})
    title = (
        f"edge-nusa eval: {learners} learner{'' if learners == 1 else 's'}, {len(runs)} "
        f"run{'' if len(runs) == 1 else 's'}"
    )
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    head += (
        '<meta name="viewport" '
        f'content="width=device-width,initial-scale=1"><title>{escape(title)}</title><style>{STYLE}{_STYLE}</style>'
    )
    parts = [
        report._section(table.title, _table(table))
        for table in shown
        if table.title.startswith("Last and Average by steps")
    ]
    for suite, shots, steps in sorted({(s.group.suite, s.group.shots, s.group.steps) for s in summaries}):
        name = section_title(suite, shots, steps)
        inside = [table for table in shown if table.title.endswith(f": {name}")]
        parts.append(
            report._section(
                name,
                "".join(map(_table, inside))
                + _figures(
                    [plots_of(runs, suite, shots, steps, layout) for layout in LAYOUTS], f"{suite}{shots}x{steps}"
                )
                + (folds(_by_learner(runs, suite, shots, steps), beside.classes) if beside.per_class else ""),
            )
        )
    parts.append(report._section("How to read it", _how_to_read()))
    parts.append(report._section("How it was made", _how_made(runs, beside)))
    return (
        "<!DOCTYPE html>\n<html "
        f'lang="en"><head>{head}</head><body><h1>{escape(title)}</h1>{_ABOUT}{"".join(parts)}</body></html>\n'
    )


def plots_of(
    runs: Sequence[Run], suite: Suite, shots: int, steps: int, layout: plots.Layout = plots.WIDE
) -> dict[str, plots.Plot]:
    """A section's plots by name, learners in the order of its tables; those that its figures allow."""
    by_learner = _by_learner(runs, suite, shots, steps)
    summaries = ranked(summarised([run for each in by_learner.values() for run in each]))
    lines = (plots.over_tasks if suite == "mtil" else plots.joint_over_steps)(by_learner, layout)
    beside, matrices = kept.learned_and_kept(summaries, layout), plots.heat_maps(by_learner, layout)
    found = {"kept": beside, "lines": lines, "matrices": matrices}
    return {name: plot for name, plot in found.items() if plot is not None}


def _by_learner(runs: Sequence[Run], suite: Suite, shots: int, steps: int) -> dict[str, list[Run]]:
    """A section's runs, learners in the order of its tables."""
    inside = [run for run in runs if (run.suite, run.shots, len(run.order)) == (suite, shots, steps)]
    groups = [summary.group for summary in ranked(summarised(inside))]
    return {group.learner: [run for run in inside if group_of(run) == group] for group in groups}


def document_png(runs: Sequence[Run], section: tuple[Suite, int], name: str, path: Path) -> list[Path]:
    """Writes a section's plot `name` (suite, shots) for documents: `drawing.document`'s two files. Raises InputError
    where it cannot be drawn, MissingPackageError."""
    steps = [len(run.order) for run in runs if (run.suite, run.shots) == section]
    plot = plots_of(runs, *section, max(steps)).get(name) if steps else None
    if plot is None:
        raise InputError(
            f"{path}: expected runs of {section[0]}, {section[1]} shots, that can be drawn as {name}, found none"
        )
    return drawing.document(plot.draw, plot.inches, path)


def _figures(shown: Sequence[Mapping[str, plots.Plot]], prefix: str) -> str:
    """shown: the same plots in each of LAYOUTS, of which the page shows one by its width."""
    narrow, wide = shown
    parts = []
    for name, plot in wide.items():
        drawn = {
            "narrow": drawing.svg(narrow[name].draw, narrow[name].inches, f"{prefix}{name}n", plot.caption),
            "plot": drawing.svg(plot.draw, plot.inches, f"{prefix}{name}", plot.caption),
        }
        if None in drawn.values():
            return NO_PLOTS
        both = "".join(f'<div class="{kind}">{svg}</div>' for kind, svg in drawn.items())
        parts.append(f"<figure>{both}<figcaption>{escape(plot.caption)}</figcaption></figure>")
    return "".join(parts)


def _table(table: Table) -> str:
    kinds = [' class="text"', *[""] * (len(table.columns) - 1)]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, table.columns, strict=True))
    lines = []
    for row in table.rows:
        texts = [f"<b>{isolated(cell.text)}</b>" if cell.is_best else isolated(cell.text) for cell in row]
        lines.append(
            "<tr>" + "".join(f"<td{kind}>{text}</td>" for kind, text in zip(kinds, texts, strict=True)) + "</tr>"
        )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<h3>{escape(table.title.split(":")[0])}</h3>{note}<div class="wide results" tabindex="0">{body}</div>'


def _how_to_read() -> str:
    return (
        "<dl>"
        + "".join(f"<dt>{name}</dt><dd>{escape(meaning)}</dd>" for name, meaning in _HOW_TO_READ.items())
        + "</dl>"
    )


def _how_made(runs: Sequence[Run], beside: Beside) -> str:
    seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in runs}))
    orders = sorted({f"{run.order_name}: {', '.join(run.order)}" for run in runs if run.suite == "mtil"})
    own = [("learner", ", ".join(f"{name} {value}" for name, value in each.items())) for each in beside.learners]
    rows = [*beside.settings.items(), ("seeds", seeds), *(("order", order) for order in orders), *own]
    figures = ", ".join(f"{name} ({unit})" for name, unit in METRICS.items())
    listed = "".join(f"<dt>{isolated(name)}</dt><dd>{isolated(value)}</dd>" for name, value in rows)
    return f'<dl>{listed}</dl><p class="note">In results-metrics.csv and results.json: {escape(figures)}.</p>'
