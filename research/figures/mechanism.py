"""Plots of why a learner keeps or loses: what is kept at equal Last over learning rates, and in which directions each
learner moved the text tower beside what prompts put into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_nusa.research.figures.drawing import Colours, label_points
from edge_nusa.research.figures.plots import INCHES_WIDE, Plot
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.figures.summary import figures_of
from edge_nusa.research.figures.titles import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIRST, SECOND = "text-only", "text-lora"
"""The learners in the first and the second colour; the others are grey, told apart by their names."""


@dataclass(frozen=True)
class Point:
    """Medians over the runs of one learner at one rate, percent."""

    rate: float
    last: float
    transfer: float
    retention: float


def points_of(runs: Mapping[float, Sequence[Run]]) -> list[Point]:
    """A point a rate, smallest rate first."""
    found = []
    for rate in sorted(runs):
        figures = [figures_of(run) for run in runs[rate]]
        last, kept, never = (
            float(np.median([each[name] or 0.0 for each in figures])) for name in ("last", "transfer", "retention")
        )
        found.append(Point(rate, last, kept, never))
    return found


def kept_at_equal_last(curves: Mapping[str, Sequence[Point]], transfer: float, retention: float) -> Plot:
    """A line a learner over its rates: what it keeps of tasks to come, and of a set never taught, against what it knows
    at the end. transfer, retention: the untouched model's."""

    def draw(figure: Figure, colours: Colours) -> None:
        panels = figure.subplots(1, 2)
        kinds = (("transfer", transfer, "tasks not yet taught, %"), ("retention", retention, "a set never taught, %"))
        for axes, (kind, untouched, name) in zip(panels, kinds, strict=True):
            ends = {}
            for learner, points in curves.items():
                colour, weight = _look(learner, colours)
                xs, ys = [point.last for point in points], [getattr(point, kind) for point in points]
                axes.plot(xs, ys, "-o", color=colour, linewidth=weight, markersize=2 + 1.5 * weight, zorder=1 + weight)
                ends[title(learner).removesuffix(", text")] = (xs[-1], ys[-1])
            axes.axhline(untouched, color=colours.ink, linestyle="--", linewidth=1)
            axes.set(xlabel="known at the end (Last), %", ylabel=name)
            axes.grid(linewidth=0.6)
            axes.margins(0.18, 0.1)
            label_points(axes, list(ends.values()), list(ends), [])

    caption = (
        "Each line is one learner at rising learning rates; where two lines stand above each other they know equally "
        "much, and the upper one has kept more. Dashed: the untouched model."
    )
    return Plot(draw, (INCHES_WIDE, 4.4), caption)


def _look(learner: str, colours: Colours) -> tuple[str, float]:
    """Colour and line width."""
    known = {FIRST: (colours.first, 2.2), SECOND: (colours.second, 2.2)}
    return known.get(learner, (colours.others, 1.1))


def directions_moved(found: Mapping[str, Any]) -> Plot:
    """A panel a learner of `research/rivals/movement.py`'s JSON: the share of its change in each band of W's singular
    values, over the share of what prompts put into that band."""
    learners = found["learners"]
    columns = 3
    rows = -(-len(learners) // columns)
    used = 100 * np.array(found["input_energy"])

    def draw(figure: Figure, colours: Colours) -> None:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(learners) :]:
            axes.remove()
        for place, (axes, one) in enumerate(zip(grid.flat, learners, strict=False)):
            _bands(axes, one, used, colours)
            axes.set_ylabel("share, %" if place % columns == 0 else "")
            if place >= len(learners) - columns:
                axes.set_xlabel("singular values of W, large to small")

    caption = (
        "Bars: where each learner's change of the text tower lies, by eighths of W's singular values. Dashed: where "
        "the prompts of 2,000 nouns lie. Turned: median 1 - cos of anchors."
    )
    return Plot(draw, (INCHES_WIDE, 0.6 + 2.3 * rows), caption)


def _bands(axes: Axes, one: Mapping[str, Any], used: np.ndarray, colours: Colours) -> None:
    places = np.arange(len(used))
    name, _, rate = one["learner"].partition("@")
    edges = [*(places - 0.5), places[-1] + 0.5]
    axes.step(edges, [*used, used[-1]], where="post", color=colours.ink, linewidth=1, linestyle="--")
    axes.bar(places, 100 * np.array(one["energy"]), 0.55, color=_look(name, colours)[0], zorder=1)
    axes.set_title(
        f"{title(name).removesuffix(', text')}, rate {rate}\n"
        f"Last {one['last']:.0f} %, size {100 * one['size']:.0f} % of W\n"
        f"turned: taught {one['taught'][1]:.2f}, others {one['nouns'][1]:.3f}",
        fontsize=9,
    )
    axes.set_xticks([])
    axes.grid(axis="y", linewidth=0.6)
    axes.set_axisbelow(True)
