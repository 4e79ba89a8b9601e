"""What grows with tasks, pictures and labels: small panels, each of one quantity with its unit, from the JSON of
research/rivals/growth.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edge_nusa.research.figures.drawing import Colours
from edge_nusa.research.figures.plots import INCHES_WIDE, Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"tasks": "tasks learned", "images": "pictures asked", "labels": "labels in one task"}
QUANTITIES = (
    ("processor_seconds", "processor seconds", 1.0),
    ("peak_rss_bytes", "memory at most, MiB", 2.0**20),
    ("state_bytes", "state on disk, MiB", 2.0**20),
)
"""Figure of a row, what it is called, and how many of its units are one of the axis'."""
ROOM = 1.25
"""An axis reaches this much above its largest value, and starts at 0."""


def grown(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> Plot:
    """A column for each kind of count, a row of panels for each quantity; where there is no state the panel is left
    out. Every axis of a quantity starts at 0."""

    def draw(figure: Figure, colours: Colours) -> None:
        grid = figure.subplots(len(QUANTITIES), len(KINDS), sharex="col", squeeze=False)
        for across, (name, says, unit) in zip(grid, QUANTITIES, strict=True):
            for axes, (kind, counted) in zip(across, KINDS.items(), strict=True):
                there = [row for row in rows.get(kind, ()) if name in row]
                if not there:
                    axes.remove()
                    continue
                values = [row[name] / unit for row in there]
                axes.plot([row["count"] for row in there], values, "-o", color=colours.first, markersize=4)
                axes.set_ylim(0, ROOM * max(values))
                if kind != "tasks":
                    counts = [int(row["count"]) for row in there]
                    axes.set_xscale("log")
                    axes.set_xticks(counts, [f"{count:,}" for count in counts])
                    axes.minorticks_off()
                axes.set_title(says, fontsize=10)
                axes.set_xlabel(counted)
                axes.tick_params(labelbottom=True)
                axes.grid(linewidth=0.6)

    return Plot(draw, (INCHES_WIDE, 6.6), "What one learn (tasks, labels) or one predict (pictures) takes.")
