"""The plot of what each learner knows at the end beside what it kept: rows in words, intervals, and the untouched
model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_nusa.research.figures.drawing import Colours
from edge_nusa.research.figures.plots import WIDE, Layout, Plot
from edge_nusa.research.figures.summary import Spread, Summary, spread
from edge_nusa.research.figures.titles import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_SPAN = 20.0
"""Points that an axis of accuracies spans at least."""
KINDS = (
    ("last", "frozen_last", "at the end, all tasks"),
    ("transfer", "frozen_transfer", "tasks not yet taught"),
    ("retention", "retention_frozen", "a set never taught"),
)
"""Metric, the untouched model's, and what a reader calls it."""


def learned_and_kept(summaries: Sequence[Summary], layout: Layout = WIDE) -> Plot | None:
    """A row a learner, best Last first: what it knows at the end, of tasks to come, and of a set never taught, each
    a median with quartiles beside the untouched model; None where no learner has a Last."""
    rows = sorted((s for s in summaries if s.figures["last"]), key=lambda s: s.median("last") or 0.0)
    kinds = [kind for kind in KINDS if any(s.figures[kind[0]] for s in rows)]
    if not rows:
        return None
    across = layout.kinds or len(kinds)
    down = -(-len(kinds) // across)

    def draw(figure: Figure, colours: Colours) -> None:
        panels = figure.subplots(down, across, sharey=True, squeeze=False).flat
        for axes, (metric, untouched, name) in zip(panels, kinds, strict=False):
            _intervals(axes, [s.figures[metric] for s in rows], colours)
            base = spread(value for s in rows if (value := s.median(untouched)) is not None)
            if base is not None:
                axes.axvline(base.median, color=colours.second, linestyle="--", linewidth=1.2, zorder=0)
            _widen(axes)
            axes.set_title(name, fontsize=10)
            axes.set_xlabel("accuracy, %")
        panels[0].set_yticks(range(len(rows)), [title(s.group.learner) for s in rows])

    caption = (
        "Points are medians over runs, bars quartiles; dashed: the untouched model. A learner right of the line knows "
        "more, left of it has lost something."
    )
    return Plot(draw, (layout.inches, down * (1.1 + 0.27 * len(rows))), caption)


def _intervals(axes: Axes, spreads: Sequence[Spread | None], colours: Colours) -> None:
    """A point and its quartiles a row, from below."""
    there = [(row, one) for row, one in enumerate(spreads) if one is not None]
    middle, places = [one.median for _, one in there], [row for row, _ in there]
    bars = np.array([[one.median - one.q25, one.q75 - one.median] for _, one in there]).T
    axes.errorbar(middle, places, xerr=bars, fmt="none", ecolor=colours.first, elinewidth=2.2, alpha=0.5, zorder=1)
    axes.scatter(middle, places, s=26, color=colours.first, zorder=2)
    axes.set_ylim(-0.7, len(spreads) - 0.3)
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _widen(axes: Axes) -> None:
    """Spans at least LEAST_SPAN points, so that noise does not look like a difference."""
    low, high = axes.get_xlim()
    lacking = max(LEAST_SPAN - (high - low), 0.0) / 2
    axes.set_xlim(max(low - lacking, -1.0), min(high + lacking, 101.0))
