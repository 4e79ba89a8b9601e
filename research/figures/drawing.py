"""How a plot becomes inline SVG for the page or PNGs for a document, and how labels keep out of each other's way.

The page's colours are marker values that turn into its CSS variables (`edge_nusa.research.figures.inline_svg`), a
document's are those of a white and of a dark page.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa.errors import MissingPackageError
from edge_nusa.files.durable import ASKED_FILE_MODE, explained, replace_file
from edge_nusa.research.figures.inline_svg import COLOURS, SETTINGS, inline, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

PNG_DOTS_PER_INCH = 100
_OFFSETS = [(radius, angle) for radius in (6, 12, 20, 30, 42, 56, 72) for angle in range(0, 360, 30)]
"""Where a label may go: points from its mark, degrees; nearest first."""
FAR = 15
"""Points; beyond this a thin line leads from the label to its mark."""


@dataclass(frozen=True)
class Colours:
    """ink: text; line: axes and grid; others: learners in the background; first and second: blue and orange, also
    told apart by dashes."""

    ink: str
    line: str
    others: str
    first: str
    second: str


PAGE = Colours(*(COLOURS[name] for name in ("--ink", "--line", "--before", "--after", "--third")))
PAPER = Colours("#1d2329", "#d5dbe1", "#b3bcc5", "#1f6fb2", "#b4611a")
DARK = Colours("#e6edf3", "#3d444d", "#6e7681", "#58a6ff", "#f0883e")
GROUNDS = {"": (PAPER, "white"), "-dark": (DARK, "#0d1117")}
"""What is put behind the name of a document's picture: its colours and its ground. A page shows the one that suits its
reader's (`<picture>`); paper takes the first."""
Draw = Callable[["Figure", Colours], None]
Segment = tuple[tuple[float, float], tuple[float, float]]
"""A line in data units, from its lower left end."""


def svg(draw: Draw, inches: tuple[float, float], name: str, description: str) -> str | None:
    """An <svg> element with text as text; None where matplotlib is not installed. name: unique in the page, letters
    and digits."""
    try:
        drawn = _drawn(draw, inches, PAGE, "svg", name)
    except MissingPackageError:
        return None
    return inline(drawn.decode(), name, escape(description))


def document(draw: Draw, inches: tuple[float, float], path: Path) -> list[Path]:
    """Writes a PNG for print and light pages, and one for dark pages beside it, 100 dots an inch. Returns both paths.
    Raises MissingPackageError where matplotlib is not installed."""
    paths = []
    for ending, (colours, ground) in GROUNDS.items():
        paths.append(path.with_name(f"{path.stem}{ending}{path.suffix}"))
        picture = _drawn(draw, inches, colours, "png", "", ground)
        with explained(f"writing {paths[-1]}"):
            replace_file(paths[-1], picture, ASKED_FILE_MODE)
    return paths


def one_line(text: str) -> str:
    """The name as it fits beside a plot: on one line, cut after `inline_svg.LONGEST_LABEL` characters."""
    return shortened(" ".join(text.split()))


def label_points(
    axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str], lines: Sequence[Segment]
) -> None:
    """Writes each name beside its point, as near as it goes without covering a label, a mark, one of the upright or
    level lines, or the axes' edge.

    Call it last: it fixes the layout first, since only then a text's size in data units is known.
    """
    figure: Any = axes.figure
    figure.draw_without_rendering()
    marks = [_Box(x - 5, y - 5, x + 5, y + 5) for x, y in axes.transData.transform(points)]
    edge = axes.get_window_extent()
    taken = [*marks, *(_Box(*ends[0] - 1, *ends[1] + 1) for ends in map(axes.transData.transform, lines))]
    for point, name in sorted(zip(points, names, strict=True), key=lambda each: each[0][1]):
        text = axes.annotate(
            name, point, xytext=(0, 0), textcoords="offset points", fontsize=9, va="center", annotation_clip=False
        )
        taken.append(_put(text, taken, _Box(edge.x0, edge.y0, edge.x1, edge.y1)))
        if math.hypot(*text.get_position()) > FAR:
            line = {"arrowstyle": "-", "linewidth": 0.5, "color": text.get_color()}
            axes.annotate("", point, xytext=text.get_position(), textcoords="offset points", arrowprops=line)


@dataclass(frozen=True)
class _Box:
    """A rectangle in pixels of the figure."""

    left: float
    low: float
    right: float
    high: float

    def shared(self, other: _Box) -> float:
        """The area that both cover."""
        return max(0.0, min(self.right, other.right) - max(self.left, other.left)) * max(
            0.0, min(self.high, other.high) - max(self.low, other.low)
        )

    def area(self) -> float:
        return (self.right - self.left) * (self.high - self.low)


def _put(text: Annotation, taken: Sequence[_Box], edge: _Box) -> _Box:
    """Moves the text to the first of the offsets with the least area covered or cut off; gives the place it takes."""
    best: tuple[float, int, int] | None = None
    for radius, angle in _OFFSETS:
        box = _moved(text, radius, angle)
        cost = sum(box.shared(other) for other in taken) + box.area() - box.shared(edge)
        if best is None or cost < best[0] - 1e-6:
            best = (cost, radius, angle)
    assert best is not None
    return _moved(text, *best[1:])


def _moved(text: Annotation, radius: int, angle: int) -> _Box:
    x, y = radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))
    text.set_position((x, y))
    text.set_horizontalalignment("center" if abs(x) < 1 else "left" if x > 0 else "right")
    extent = text.get_window_extent()
    return _Box(extent.x0 - 2, extent.y0, extent.x1 + 2, extent.y1)


@contextmanager
def _quietly(colours: Colours, salt: str) -> Iterator[None]:
    import matplotlib

    kinds = {
        "text.color": colours.ink,
        "axes.labelcolor": colours.ink,
        "xtick.color": colours.ink,
        "ytick.color": colours.ink,
    }
    lines = {"axes.edgecolor": colours.line, "grid.color": colours.line}
    settings: Any = {**SETTINGS, **kinds, **lines, "svg.hashsalt": salt or None}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The browser has the glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message=".* does not support .* natively")
        yield


def _drawn(
    draw: Draw, inches: tuple[float, float], colours: Colours, form: str, name: str, ground: str = "none"
) -> bytes:
    """Draws on a figure of our own, never on pyplot's."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError('plots need matplotlib; install it with `pip install "edge-nusa[eval]"`') from error
    drawn = io.BytesIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None} if form == "svg" else {"Software": None}
    with _quietly(colours, name):
        figure = Figure(figsize=inches, layout="constrained", facecolor=ground)
        draw(figure, colours)
        figure.savefig(drawn, format=form, dpi=PNG_DOTS_PER_INCH if form == "png" else "figure", metadata=nothing)
    return drawn.getvalue()
