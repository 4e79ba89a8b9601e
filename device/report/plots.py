"""The report's two plots as inline SVG, drawn by matplotlib with text as text; None where matplotlib is not installed.

Colours are marker values that become the page's CSS variables, so that one drawing serves light and dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 40
LONGEST_LABEL = 22
"""Characters; longer labels end in an ellipsis."""
INCHES_WIDE = 4.4
COLOURS = {"--ink": "#010201", "--line": "#010202", "--before": "#010203", "--after": "#010204", "--third": "#010205"}
_INK, _LINE, _BEFORE, _AFTER, _THIRD = COLOURS.values()
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

Bar = tuple[str, float | None, float | None]
Point = tuple[int, float | None, float | None, float | None]


def accuracy_bars(bars: Sequence[Bar]) -> str | None:
    """Horizontal bars of (label, percent before or None, percent after or None), top to bottom; an <svg> element."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rows = range(len(bars))
        axes.barh([row - 0.2 for row in rows], [bar[1] or 0.0 for bar in bars], 0.38, color=_BEFORE, label="before")
        axes.barh([row + 0.2 for row in rows], [bar[2] or 0.0 for bar in bars], 0.38, color=_AFTER, label="after")
        axes.set_yticks(list(rows), [shortened(bar[0]) for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("accuracy, %")
        axes.grid(axis="x", linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper right", ncols=2)

    return _svg(draw, 1.1 + 0.36 * len(bars), "accuracy", "Accuracy of each label before and after learning")


def retention_lines(points: Sequence[Point]) -> str | None:
    """Two panels over (generation, agreement in percent, vocabulary cosine, old labels' cosine); an <svg> element."""

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        upper, lower = figure.subplots(2, 1, sharex=True)
        _line(upper, points, 1, ("same answers", _AFTER))
        upper.set_ylabel("%")
        upper.set_ylim(min([90.0, *(point[1] - 1 for point in points if point[1] is not None)]), 100.5)
        _line(lower, points, 2, ("vocabulary", _AFTER))
        _line(lower, points, 3, ("old labels", _THIRD))
        lower.set_ylabel("cosine")
        lower.set_xlabel("generation")
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axes in (upper, lower):
            axes.grid(axis="y", linewidth=0.6)
            axes.ticklabel_format(axis="y", useOffset=False)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, ncols=2, fontsize=9)

    return _svg(draw, 3.6, "retention", "Retention of the untouched model's answers over generations")


def _line(axes: Axes, points: Sequence[Point], column: int, style: tuple[str, str]) -> None:
    known = [(point[0], value) for point in points if (value := point[column]) is not None]
    if known:
        axes.plot(
            [x for x, _ in known], [y for _, y in known], marker="o", markersize=4, label=style[0], color=style[1]
        )


def _svg(draw: Callable[[Figure], None], inches_high: float, name: str, description: str) -> str | None:
    """Draws on a figure of our own, never on pyplot's, and gives the <svg> element alone."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
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
