"""A label of the report as a row that opens: its name, its verdict and a bar with its count; inside, what was before,
what it is taken for, and the next step. Bars are drawn by the page's own style: no picture, no script."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

from edge_nusa.device.report.labels import LabelRow, worst_first
from edge_nusa.knowledge.labels import quoted

MOST_GOOD_ROWS = 12
"""Good labels that have a row of their own at once; more of them are behind one line."""
MOST_TAKEN = 5
"""Labels that one is taken for, which are named one by one."""


def cards(rows: Sequence[LabelRow]) -> str:
    """All labels, the worst first and open, the good ones folded."""
    ordered, known = worst_first(rows), {row.label for row in rows}
    poor = [card(row, known, is_open=True) for row in ordered if not row.is_good]
    good = [card(row, known, is_open=False) for row in ordered if row.is_good]
    if len(good) <= MOST_GOOD_ROWS:
        return "".join([*poor, *good])
    folded = f'<details class="more"><summary>{len(good)} labels are recognised well</summary>{"".join(good)}</details>'
    return "".join(poor) + folded


def card(row: LabelRow, known: Collection[str], is_open: bool) -> str:
    """One label. The line that opens it has its name, its verdict and its bar, which is inside where it is open."""
    kind = "good" if row.is_good else "poor"
    now = bar("now", row.right, row.asked) if row.asked else '<span class="none">no picture was asked</span>'
    line = f'<span class="name">{isolated(row.label)}</span><span class="verdict {kind}">{row.verdict}</span>{now}'
    opened, inside = " open" if is_open else "", f'<div class="inside">{_inside(row, known)}</div>'
    return f'<details class="label"{opened}><summary>{line}</summary>{inside}</details>'


def bar(kind: str, right: int, asked: int) -> str:
    """A bar of right in asked with its number beside it; none right is the axis alone, and the number says so."""
    share = 100 * right / asked
    return (
        f'<span class="bar"><span class="track"><span class="{kind}" style="width:{share:.1f}%"></span></span>'
        f'<span class="number">{right} of {asked}</span></span>'
    )


def isolated(value: object) -> str:
    """Escaped, and isolated so that right-to-left text cannot reorder what stands beside it."""
    return f"<bdi>{escape(str(value))}</bdi>"


def _inside(row: LabelRow, known: Collection[str]) -> str:
    parts = []
    if row.asked:
        pair = [("now", row.right)]
        if row.right_before is not None:
            pair.insert(0, ("before", row.right_before))
        bars = "".join(f'<span class="when">{kind}</span>{bar(kind, right, row.asked)}' for kind, right in pair)
        parts.append(f'<div class="pair">{bars}</div>')
    parts.append(f"<p>{' '.join(_sentences(row))}</p>")
    parts.append(f'<p class="next">{isolated(row.next_step(known))}</p>')
    return "".join(parts)


def _sentences(row: LabelRow) -> list[str]:
    said = [f"Taught with {row.images} picture{'' if row.images == 1 else 's'}."]
    if row.taken_for:
        taken = [f"{times} for {quoted(other)}" for other, times in list(row.taken_for.items())[:MOST_TAKEN]]
        more = len(row.taken_for) - MOST_TAKEN
        listed = ", ".join(map(isolated, taken)) + (f", and {more} more labels" if more > 0 else "")
        said.append(f"Taken for another: {listed}.")
    if row.interval is not None and row.asked:
        low, high = row.interval
        said.append(f"Of 100 such pictures it would recognise about {low:.0f} to {high:.0f}.")
    if row.expected is not None:
        said.append(f"Of 10 new pictures about {round(row.expected / 10)} would be recognised today.")
    return said
