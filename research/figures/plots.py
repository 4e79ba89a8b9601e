"""The plots of a report: accuracy matrices as heat maps, accuracy over tasks, accuracy over steps; what was learned
beside what was kept is in `kept.py`.

Many learners are drawn as one small panel each, the others grey behind it: eleven lines of eleven colours tell nobody
anything, on paper or to a colour-blind reader. Each function gives a Plot, which `drawing` turns into SVG or PNG;
matplotlib comes only then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge_nusa.research.figures.curves import (
    Curve,
    median_matrix,
    over_all_tasks,
    over_learned_tasks,
    over_steps,
    shown_order,
)
from edge_nusa.research.figures.drawing import Colours, Draw, one_line
from edge_nusa.research.figures.metrics import Numbers
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.figures.summary import Order, order_of
from edge_nusa.research.figures.titles import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

INCHES_WIDE, INCHES_NARROW = 9.0, 3.7
MOST_TASKS_WITH_NUMBERS = 12
MOST_TASKS_OF_A_HEAT_MAP = 20
Runs = Mapping[str, Sequence[Run]]
"""A section's runs, learner by learner, in the order of the tables."""
Line = tuple[Callable[[Sequence[Run]], Curve | None], str]
"""What is drawn of a learner's runs, None where they have no such curve, and its dashes."""


@dataclass(frozen=True)
class Plot:
    """A drawing with what a reader needs beside it. inches: wide, high."""

    draw: Draw
    inches: tuple[float, float]
    caption: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a plot's panels lie. inches: wide; points: of panels' titles; lines, maps and kinds: panels of that sort in a
    row, 0: all in one."""

    inches: float
    points: float
    lines: int
    maps: int
    kinds: int


WIDE = Layout(inches=INCHES_WIDE, points=10, lines=4, maps=3, kinds=0)
NARROW = Layout(inches=INCHES_NARROW, points=8, lines=2, maps=1, kinds=1)
"""For a phone, on which a wide plot's text would have 7 pixels."""


def heat_maps(runs: Runs, layout: Layout = WIDE) -> Plot | None:
    """(a) The median accuracy matrix of each learner, of one order; None for more than MOST_TASKS_OF_A_HEAT_MAP
    tasks."""
    order = shown_order([run for each in runs.values() for run in each])
    found = {name: matrix for name, each in runs.items() if (matrix := median_matrix(each, order)) is not None}
    tasks = len(order[1])
    if tasks > MOST_TASKS_OF_A_HEAT_MAP or not any(np.isfinite(matrix).any() for matrix in found.values()):
        return None

    def draw(figure: Figure, _: Colours) -> None:
        values = np.concatenate([matrix[np.isfinite(matrix)] for matrix in found.values()])
        limits = (float(np.floor(values.min() / 10) * 10), float(np.ceil(values.max() / 10) * 10) + 1e-9)
        panels = _panels(figure, list(found), layout.maps, share="none")
        for axes, (name, matrix) in zip(panels, found.items(), strict=True):
            image = _heat_map(axes, matrix, limits)
            axes.set_title(title(name), fontsize=layout.points)
        bar = figure.colorbar(
            image, ax=panels, label="accuracy, %", location="bottom", aspect=20 * layout.maps, fraction=0.02, pad=0.01
        )
        bar.outline.set_visible(False)
        _name_tasks(panels, layout.maps, order)

    rows = -(-len(found) // layout.maps)
    caption = (
        f"Accuracy in percent on each task (columns, in the order {order[0]}) after 0, 1, … tasks (rows). Below the "
        "stair: learned."
    )
    return Plot(
        draw,
        (layout.inches, 1.1 + rows * (2.1 if tasks < 6 else 2.7)),
        f"{caption} Median over seeds; other orders are not mixed in.",
    )


def over_tasks(runs: Runs, layout: Layout = WIDE) -> Plot:
    """(b) Mean accuracy after each task, over all tasks and over the learned ones; a panel a learner, bands are
    quartiles."""
    order = shown_order([run for each in runs.values() for run in each])

    def learned(of: Sequence[Run]) -> Curve | None:
        # which tasks came first differs between orders by more than learners do
        alike = [run for run in of if order_of(run) == order]
        return over_learned_tasks(alike) if alike else None

    caption = (
        "Each learner in colour, the others grey (all tasks). Solid: mean over all tasks, those to come too; medians "
        "and quartiles over runs."
    )
    dashed = f"Dashed: mean over the tasks learned so far, in the order {order[0]} alone, over seeds."
    lines: list[Line] = [(over_all_tasks, "-"), (learned, "--")]
    return _small_multiples(runs, lines, ("tasks learned", f"{caption} {dashed}"), layout)


def joint_over_steps(runs: Runs, layout: Layout = WIDE) -> Plot:
    """(c) Suite `cil`: accuracy on all labels seen so far after each step; a panel a learner, bands are quartiles."""
    caption = (
        "Accuracy on all labels seen so far: each learner in colour, the others grey. Lines are medians over runs, "
        "bands quartiles."
    )
    return _small_multiples(runs, [(over_steps, "-")], ("steps", caption), layout)


def _heat_map(axes: Axes, matrix: Numbers, limits: tuple[float, float]) -> QuadMesh:
    """One panel: cells (N + 1, N), numbers in them where they fit, and the stair between learned and not yet
    learned."""
    from matplotlib import colormaps

    tasks = matrix.shape[1]
    # 40 levels: matplotlib draws a colour bar of more than 50 as a picture, which the page's policy forbids
    colours = colormaps["cividis"].resampled(40)
    image = axes.pcolormesh(matrix, cmap=colours, vmin=limits[0], vmax=limits[1], edgecolors="face", linewidth=0.3)
    axes.set_ylim(tasks + 1, 0)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8)
    stair = [(column + side, column + 1) for column in range(tasks) for side in (0, 1)]
    axes.plot([x for x, _ in stair], [y for _, y in stair], color="white", linewidth=1.6, solid_joinstyle="miter")
    axes.plot([x for x, _ in stair], [y for _, y in stair], color="black", linewidth=0.6, solid_joinstyle="miter")
    if tasks <= MOST_TASKS_WITH_NUMBERS:
        middle = sum(limits) / 2
        for (row, column), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if value < middle else "black",
                )
    return image


def _name_tasks(panels: Sequence[Axes], columns: int, order: Order) -> None:
    """The tasks' names above the highest panel of each column, counts of learned tasks beside the first panel of
    each row."""
    tasks = len(order[1])
    every = 1 if tasks <= MOST_TASKS_WITH_NUMBERS else 5
    for place, axes in enumerate(panels):
        is_highest, is_first = place < columns or columns == 1, place % columns == 0
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.set_xticks(
            np.arange(tasks) + 0.5, [one_line(name) for name in order[1]] if is_highest else [""] * tasks, rotation=90
        )
        axes.set_yticks(
            np.arange(tasks + 1) + 0.5, [str(row) if is_first and row % every == 0 else "" for row in range(tasks + 1)]
        )
        axes.set_ylabel("tasks learned" if is_first else "")


def _small_multiples(runs: Runs, lines: Sequence[Line], words: tuple[str, str], layout: Layout) -> Plot:
    """A panel a learner; its lines in the first and the second colour, the first line of the others grey. words: below
    the axis, and the caption."""
    xlabel, caption = words
    columns = layout.lines
    curves = {name: [curve(each) for curve, _ in lines] for name, each in runs.items()}

    def draw(figure: Figure, colours: Colours) -> None:
        from matplotlib.ticker import MaxNLocator

        panels = _panels(figure, list(curves), columns, share="all")
        for place, (axes, (name, own)) in enumerate(zip(panels, curves.items(), strict=True)):
            for other in (each[0] for each in curves.values() if each[0] is not None):
                axes.plot(other.tasks, other.median, color=colours.others, linewidth=0.7, zorder=1)
            for curve, colour, (_, dashes) in zip(own, (colours.first, colours.second), lines, strict=False):
                if curve is None:
                    continue
                axes.fill_between(curve.tasks, curve.q25, curve.q75, color=colour, alpha=0.25, linewidth=0, zorder=2)
                axes.plot(curve.tasks, curve.median, dashes, color=colour, linewidth=1.8, zorder=3)
            axes.set_title(title(name), fontsize=layout.points)
            axes.grid(axis="y", linewidth=0.6)
            is_lowest, is_first = place // columns == (len(panels) - 1) // columns, place % columns == 0
            axes.tick_params(labelbottom=is_lowest, labelleft=is_first)
            axes.set_xlabel(xlabel if is_lowest else "")
            axes.set_ylabel("accuracy, %" if is_first else "")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    return Plot(draw, (layout.inches, 0.8 + 1.7 * -(-len(curves) // columns)), caption)


def _panels(figure: Figure, names: Sequence[str], columns: int, share: Literal["all", "none"]) -> list[Axes]:
    """One panel a name, row by row; the grid's unused places stay empty."""
    grid = figure.subplots(-(-len(names) // columns), columns, sharex=share, sharey=share, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.remove()
    return list(grid.flat[: len(names)])
