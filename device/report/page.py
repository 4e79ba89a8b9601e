"""The HTML report: what the state knows, label by label, what learning changed, what was set aside, and what it cost.

One page without scripts or anything to fetch; a content policy forbids both. All text from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from edge_nusa.device.report import labels
from edge_nusa.device.report.cards import cards, isolated
from edge_nusa.device.report.entries import entries, number, report_of
from edge_nusa.device.report.labels import LabelRow
from edge_nusa.device.report.style import LABELS_STYLE, POLICY, STYLE
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.labels import listed

MARK = '<meta name="generator" content="edge-nusa report">'
"""By which a page of ours is known, so that no other file is overwritten (`edge_nusa.device.report.writing`)."""
FIRST_STEP = (
    '<p class="lead">The first step: put ten pictures of one thing into a folder, then</p>'
    "<p><code>edge-nusa learn --images FOLDER --label &quot;my mug&quot;</code></p>"
)
ASKED_IN_TURN = (
    "Each picture of a label's last lesson was asked as if it were new: with everything that was learned from it taken "
    "away again. Before is the same picture before that lesson."
)
UNKNOWN = "–"
MOST_PAIRS = 12
"""Pairs of labels that are taken for each other, which are shown at once."""


@dataclass(frozen=True)
class OtherPictures:
    """Other pictures than those of the lessons, asked by hand: a row for each label, and how they were asked, as one
    sentence; others: (what the picture shows, answer before, answer after) of things that were never taught."""

    rows: Mapping[str, LabelRow]
    how: str
    others: Sequence[tuple[str, str, str]] = field(default_factory=tuple)


def html_report(
    knowledge: Knowledge,
    generations: list[dict[str, Any]],
    bundle_name: str,
    expected: Mapping[int, float],
    state_bytes: int,
    tested: OtherPictures | None = None,
) -> str:
    """The whole page as a string.

    generations: oldest first, dicts of generation, operation, created and report, where report is what `learn` stored,
    or {} (then the generation has no figures); expected: percent of new pictures of each label by its column
    (`edge_nusa.device.learning.expected`); state_bytes: of the current generation. A label's counts are those of its
    last lesson that was judged, or those of `tested`. Anything in a report that is not of the expected kind is shown as
    unknown, never as markup.
    """
    rows = labels.rows(knowledge, generations, expected)
    if tested is not None:
        rows = labels.tested(rows, tested.rows)
    sections = [
        _labels(rows, ASKED_IN_TURN if tested is None else tested.how),
        _section("What is taken for what", _confusions(rows)) if any(row.taken_for for row in rows) else "",
        _section("What it knew before", _kept(generations, tested)) if rows else "",
        _section("What was set aside", _set_aside(generations)) if rows else "",
        _section("What it took", _costs(generations, state_bytes)),
    ]
    title = f"{_count(len(rows), 'label')} learned" if rows else "Nothing is learned yet"
    created = next((str(entry.get("created")) for entry in reversed(generations) if entry.get("created")), "")
    when = f", last change {created[:16].replace('T', ' ')} UTC" if created else ""
    subtitle = f'<p class="note">edge-nusa, model {isolated(bundle_name)}{isolated(when) if when else ""}</p>'
    head = f'<meta charset="utf-8">{MARK}<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    head += '<meta name="viewport" content="width=device-width,initial-scale=1">'
    head += f"<title>edge-nusa: {escape(title)}</title><style>{STYLE}{LABELS_STYLE}</style>"
    body = f"<h1>{escape(title)}</h1>{subtitle}{''.join(sections)}"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _labels(rows: Sequence[LabelRow], how: str) -> str:
    if not rows:
        return FIRST_STEP
    return f'<p class="lead">{_lead(rows)}</p>{cards(rows)}<p class="note">{escape(how)}</p>'


def _lead(rows: Sequence[LabelRow]) -> str:
    """The page in one sentence."""
    poor = [row.label for row in labels.worst_first(rows) if not row.is_good]
    if not poor:
        return "All are recognised well." if len(rows) > 1 else "It is recognised well."
    good = len(rows) - len(poor)
    named = listed(poor[:3]) + (f" and {len(poor) - 3} more" if len(poor) > 3 else "")
    return f"{good} of {len(rows)} are recognised well. To look at: {isolated(named)}."


def _confusions(rows: Sequence[LabelRow]) -> str:
    pairs = labels.confusions(rows)
    body = [[pair.label, pair.other, f"{pair.times} of {pair.asked}"] for pair in pairs]
    heads, text_columns = ["pictures of", "were taken for", "how many"], {0, 1}
    shown = _table(heads, body[:MOST_PAIRS], text_columns)
    if len(body) <= MOST_PAIRS:
        return shown
    return shown + _folded(f"and {len(body) - MOST_PAIRS} more", _table(heads, body[MOST_PAIRS:], text_columns))


def _kept(generations: Sequence[dict[str, Any]], tested: OtherPictures | None) -> str:
    body = []
    for entry in generations:
        kept = report_of(entry).get("retention")
        agreement = number(kept.get("vocabulary_agreement")) if isinstance(kept, dict) else None
        if agreement is not None and isinstance(generation := entry.get("generation"), int):
            body.append((agreement, [str(generation), f"{of_hundred(agreement)} of 100"]))
    others = _others(tested)
    if not body:
        return others or '<p class="note">Not measured.</p>'
    said = f"<p>{of_hundred(body[-1][0])} of 100 common words still mean to the model what they meant before.</p>"
    if len(body) > 1:
        rows = [cells for _, cells in body]
        said += _folded("after each lesson", _table(["generation", "words"], rows, set()))
    return said + others


def _others(tested: OtherPictures | None) -> str:
    if tested is None or not tested.others:
        return ""
    same = sum(before == after for _, before, after in tested.others)
    said = f"{same} of {len(tested.others)} pictures of things that were never taught are answered as before."
    rows = [list(one) for one in tested.others]
    table = _table(["a picture of a", "answer before", "answer now"], rows, {0, 1, 2})
    return f"<p>{said}</p>" + _folded("all of them", table)


def _set_aside(generations: Sequence[dict[str, Any]]) -> str:
    body = [
        [str(image.get("image", UNKNOWN)), str(image.get("reason", UNKNOWN)), str(entry.get("generation", UNKNOWN))]
        for entry in generations
        for image in entries(report_of(entry), "quarantined")
    ]
    if not body:
        return '<p class="note">No picture.</p>'
    return _table(["picture", "reason", "generation"], body, {0, 1})


def _costs(generations: Sequence[dict[str, Any]], state_bytes: int) -> str:
    size = f"{state_bytes / 1e6:.2f} MB" if state_bytes else "0 bytes"
    said = f"<p>What was learned takes {size}. No picture is kept.</p>"
    body = []
    for entry in generations:
        peak, seconds = (number(report_of(entry).get(name)) for name in ("peak_rss_bytes", "seconds"))
        cells = [str(entry.get(name, UNKNOWN)) for name in ("generation", "operation")]
        cells.append(UNKNOWN if seconds is None else f"{seconds:.1f} s")
        body.append([*cells, UNKNOWN if peak is None else f"{peak / 2**20:.0f} MiB"])
    heads = ["generation", "what", "time", "memory"]
    return said + (_folded("each lesson and change", _table(heads, body, {1})) if body else "")


def of_hundred(share: float) -> str:
    """A share in percent to a tenth, without the tenth of a whole number."""
    return f"{round(share, 1):g}"


def _folded(line: str, content: str) -> str:
    return f'<details class="fold"><summary>{escape(line)}</summary>{content}</details>'


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(columns: Sequence[str], body: Iterable[Sequence[str]], text_columns: set[int]) -> str:
    kinds = [' class="text"' if index in text_columns else "" for index in range(len(columns))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, columns, strict=True))
    lines = (
        "".join(f"<td{kind}>{isolated(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True)) for cells in body
    )
    rows = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
