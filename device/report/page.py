"""The HTML report: what the state knows, what learning it changed, what was quarantined, and what it cost.

One page without scripts or anything to fetch; a content policy forbids both. All text from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from edge_nusa.device.report import labels, plots
from edge_nusa.device.report.entries import entries, number, report_of
from edge_nusa.knowledge.knowledge import Knowledge

NO_PLOTS = (
    '<p class="note">The plots are missing here: <code>pip install "edge-nusa[report]"</code> adds them, or a folder '
    "that they may write (<code>MPLCONFIGDIR</code>).</p>"
)
NOTHING_KNOWN = (
    '<p class="note">Nothing was learned yet: <code>edge-nusa learn --images DIR --label X</code> teaches a label.</p>'
)
HOW_TO_READ = (
    "Before and left out: of the pictures of a label's last lesson, how many were recognised before it, and how many "
    "are when each is left out in turn. Of all, about: where so few are asked, the share of all such pictures lies "
    "between these, by 95 %. Today: of new pictures, as the numbers that are kept let expect. Hardly is fewer than "
    "half: more pictures (10 to 20), another name, or a bigger model help."
)
UNKNOWN = labels.UNKNOWN
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2329;--soft:#59636e;--line:#d5dbe1;--page:#fff;--panel:#f5f7f9;
--before:#9aa5b1;--after:#1f6fb2;--third:#b4611a}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa5b1;--line:#39424c;--page:#14181c;--panel:#1d2329;
--before:#6b7683;--after:#5aa9e6;--third:#e09a55}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem 1rem 3rem;max-width:46rem;
background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;line-height:1.2;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.note{color:var(--soft);margin:.3rem 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .5rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
td{white-space:nowrap}
th{color:var(--soft);font-weight:600;font-size:.85rem}
th.text,td.text{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:6rem}
.matrix th:not(.text){writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;vertical-align:middle}
.matrix td,.matrix th{padding:.2rem .3rem}.matrix td.text{white-space:nowrap}
@media(max-width:30rem){table{font-size:.85rem}th,td{padding:.3rem .25rem}}
figure{margin:.8rem 0;background:var(--panel);border-radius:.5rem;padding:.6rem}
figure svg{display:block;width:100%;max-width:34rem;height:auto;margin:auto}
figure svg text{font-family:system-ui,sans-serif!important}
figcaption{color:var(--soft);font-size:.85rem}
code{font-size:.9em;background:var(--panel);padding:.1em .3em;border-radius:.2em}
"""


def html_report(
    knowledge: Knowledge, generations: list[dict[str, Any]], bundle_name: str, expected: Mapping[int, float]
) -> str:
    """The whole page as a string.

    generations: oldest first, dicts of generation, operation, created and report, where report is what `learn` stored,
    or {} (then the generation has no figures); expected: percent of new pictures of each label by its column
    (`edge_nusa.device.learning.expected`). A label's counts are those of its last lesson that was judged. Anything in a
    report that is not of the expected kind is shown as unknown, never as markup.
    """
    rows = labels.rows(knowledge, generations, expected)
    sections = [
        _section("What it knows", _labels(rows)),
        _section("Recognised before and after", _accuracy_plot(rows)),
        _section("What is taken for what", _confusions(rows)),
        _section("What it kept", _retention(generations)),
        _section("What was set aside", _quarantined(generations)),
        _section("What it cost", _costs(knowledge, generations)),
    ]
    title = f"edge-nusa: {len(rows)} {'label' if len(rows) == 1 else 'labels'} in {bundle_name}"
    created = next((entry.get("created") for entry in reversed(generations)), UNKNOWN)
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    head += '<meta name="viewport" content="width=device-width,initial-scale=1">'
    subtitle = (
        f'<p class="note">Recipe {_text(knowledge.recipe.name)}, {knowledge.tasks} tasks, last change '
        f"{_text(created)}</p>"
    )
    body = f"<h1>{_text(title)}</h1>{subtitle}{''.join(sections)}"
    head += f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def state_bytes(knowledge: Knowledge) -> int:
    """Bytes of the numbers that a generation stores, without the few hundred of names and headers beside them."""
    features, labels = knowledge.head.sums.shape
    head = features * (features + 1) // 2 * 8 + features * labels * 4 + labels * 8
    anchors = 2 * (knowledge.frozen_anchors.size + knowledge.adapted_anchors.size)
    files = 12 * len(knowledge.files.digests)
    return int(head + anchors + files + 4 * sum(core.size for core in knowledge.cores.values()))


def _labels(rows: list[labels.LabelRow]) -> str:
    if not rows:
        return NOTHING_KNOWN
    note = f'<p class="note">{escape(HOW_TO_READ)}</p>'
    return _table(labels.COLUMNS, [row.cells for row in rows], {0, 6}) + note


def _accuracy_plot(rows: list[labels.LabelRow]) -> str:
    bars = [
        plots.Bar(row.label, row.asked, row.right_before or 0, row.right, row.interval or (0.0, 100.0))
        for row in rows
        if row.asked
    ]
    if not bars:
        return '<p class="note">No picture was asked.</p>'
    shown = bars[-plots.MOST_BARS :]
    caption = "Percent of each label's pictures that are recognised when left out; the line is the interval."
    if len(shown) < len(bars):
        caption += f" The last {len(shown)} of {len(bars)} labels."
    return _plot(plots.accuracy_bars(shown), caption)


def _confusions(rows: list[labels.LabelRow]) -> str:
    columns, body = labels.matrix(rows)
    if not columns:
        return '<p class="note">No picture was taken for another label.</p>'
    note = "Pictures of the label on the left, left out in turn, by what they were taken for."
    heads = ["label", *(plots.shortened(column) for column in columns)]
    return f'<p class="note">{escape(note)}</p><div class="matrix">{_table(heads, body, {0})}</div>'


def _retention(generations: list[dict[str, Any]]) -> str:
    body = []
    for entry in generations:
        kept = report_of(entry).get("retention")
        agreement = number(kept.get("vocabulary_agreement")) if isinstance(kept, dict) else None
        if agreement is not None and isinstance(generation := entry.get("generation"), int):
            body.append([str(generation), f"{agreement:.1f} of 100"])
    if not body:
        return '<p class="note">No retention was measured.</p>'
    note = "Common words that still mean to the model what they meant before anything was taught."
    return f'<p class="note">{escape(note)}</p>' + _table(["gen.", "words"], body, set())


def _quarantined(generations: list[dict[str, Any]]) -> str:
    body = [
        [str(entry.get("generation", UNKNOWN)), str(image.get("image", UNKNOWN)), str(image.get("reason", UNKNOWN))]
        for entry in generations
        for image in entries(report_of(entry), "quarantined")
    ]
    return (
        _table(["gen.", "image", "reason"], body, {1, 2}) if body else '<p class="note">No picture was set aside.</p>'
    )


def _costs(knowledge: Knowledge, generations: list[dict[str, Any]]) -> str:
    body = []
    for entry in generations:
        peak = number(report_of(entry).get("peak_rss_bytes"))
        seconds = _figure(number(report_of(entry).get("seconds")), ".1f")
        memory = UNKNOWN if peak is None else f"{peak / 2**20:.0f}"
        body.append([str(entry.get("generation", UNKNOWN)), str(entry.get("operation", UNKNOWN)), seconds, memory])
    size = f'<p class="note">The state holds {state_bytes(knowledge):,} bytes.</p>'
    return size + (_table(["gen.", "operation", "seconds", "peak MiB"], body, {1}) if body else "")


def _plot(svg: str | None, caption: str) -> str:
    return NO_PLOTS if svg is None else f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(columns: Sequence[str], body: Iterable[Sequence[str]], text_columns: set[int]) -> str:
    kinds = [' class="text"' if index in text_columns else "" for index in range(len(columns))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, columns, strict=True))
    lines = (
        "".join(f"<td{kind}>{_text(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True)) for cells in body
    )
    rows = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _text(value: object) -> str:
    """Escaped, and isolated so that right-to-left text cannot reorder what stands beside it."""
    return f"<bdi>{escape(str(value))}</bdi>"


def _figure(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)
