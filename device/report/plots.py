"""The report's plot as inline SVG, drawn by matplotlib with text as text; None where matplotlib is not installed.

Colours are marker values that become the page's CSS variables, so that one drawing serves light and dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 40
LONGEST_LABEL = 22
"""Characters; longer labels end in an ellipsis."""
INCHES_WIDE = 4.4
COLOURS = {"--ink": "#010201", "--line": "#010202", "--before": "#010203", "--after": "#010204", "--third": "#010205"}
_INK, _LINE, _BEFORE, _AFTER, _ = COLOURS.values()
SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _LINE,
    "legend.frameon": False,
}


class Bar(NamedTuple):
    """A label, how many of its pictures were asked, right before and after, and the interval of after in percent."""

    label: str
    asked: int
    before: int
    after: int
    interval: tuple[float, float]


def accuracy_bars(bars: Sequence[Bar]) -> str | None:
    """Horizontal bars, top to bottom, with the interval as a line and the counts beside it; an <svg> element."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rows = range(len(bars))
        before, after = ([100 * one / bar.asked for bar, one in zip(bars, ones, strict=True)] for ones in _counts(bars))
        axes.barh([row - 0.2 for row in rows], before, 0.38, color=_BEFORE, label="before")
        axes.barh([row + 0.2 for row in rows], after, 0.38, color=_AFTER, label="after, left out")
        for row, bar in enumerate(bars):
            axes.plot(bar.interval, [row + 0.2] * 2, color=_INK, linewidth=1)
            axes.text(102, row, f"{bar.after} of {bar.asked}", va="center", fontsize=9)
        axes.set_yticks(list(rows), [shortened(bar.label) for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("recognised, %")
        axes.grid(axis="x", linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper right", ncols=2)

    return _svg(draw, 1.1 + 0.36 * len(bars), "accuracy", "Share of each label's pictures recognised before and after")


def _counts(bars: Sequence[Bar]) -> tuple[list[int], list[int]]:
    return [bar.before for bar in bars], [bar.after for bar in bars]


def _svg(draw: Callable[[Figure], None], inches_high: float, name: str, description: str) -> str | None:
    """Draws on a figure of our own, never on pyplot's, and gives the <svg> element alone; None where matplotlib is not
    installed, or finds no folder that it may write (a read-only container)."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except (ImportError, OSError):
        return None
    drawn = io.StringIO()
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        # The browser has the glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message=".* does not support .* natively")
        figure = Figure(figsize=(INCHES_WIDE, inches_high), layout="constrained")
        draw(figure)
        figure.savefig(
            drawn,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return inline(drawn.getvalue(), name, description)


def inline(document: str, name: str, description: str) -> str:
    """The document without what only a file needs, its names made unique in the page, its colours the page's."""
    svg = document[document.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]+>", lambda tag: _renamed(tag.group(), name), svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)


def _renamed(tag: str, name: str) -> str:
    for variable, colour in COLOURS.items():
        tag = tag.replace(colour, f"var({variable})")
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", tag)


def shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
