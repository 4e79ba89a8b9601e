"""Draws the pictures of docs/: `python -m edge_nusa.research.figures.documents KIND FROM OUT.png`, FROM what was
measured; beside OUT.png one for dark pages (`drawing.document`).

kept, lines, matrices: FROM is a folder of `edge-nusa eval` (--shots chooses); rates: FROM holds such folders called
LEARNER@RATE; directions: FROM is the JSON of research/rivals/movement.py; growth: that of research/rivals/growth.py.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.research.figures import growth, mechanism, page
from edge_nusa.research.figures.drawing import document
from edge_nusa.research.figures.plots import Plot
from edge_nusa.research.figures.runs import Run, read_runs
from edge_nusa.research.figures.summary import figures_of

OF_RUNS = ("kept", "lines", "matrices")


def rates(folder: Path) -> Plot:
    """The plot of all folders LEARNER@RATE below `folder`. Raises InputError where there is none."""
    found: dict[str, dict[float, list[Run]]] = defaultdict(dict)
    for one in sorted(folder.glob("*@*")):
        learner, _, rate = one.name.partition("@")
        if runs := read_runs(one / "runs"):
            found[learner][float(rate)] = list(runs)
    if not found:
        raise InputError(f"{folder}: expected folders of `edge-nusa eval` called LEARNER@RATE, found none")
    some = [figures_of(run) for each in found.values() for runs in each.values() for run in runs]
    transfer = float(np.mean([each["frozen_transfer"] or 0.0 for each in some]))
    retention = float(np.mean([each["retention_frozen"] or 0.0 for each in some]))
    return mechanism.kept_at_equal_last(
        {learner: mechanism.points_of(each) for learner, each in found.items()}, transfer, retention
    )


def main(words: Sequence[str] | None = None) -> None:
    """Draw one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=[*OF_RUNS, "rates", "directions", "growth"])
    parser.add_argument("source", type=Path, metavar="FROM")
    parser.add_argument("out", type=Path)
    parser.add_argument("--shots", type=int, default=16)
    parser.add_argument("--learners", help="only these, with commas")
    arguments = parser.parse_args(words)
    if arguments.kind in OF_RUNS:
        runs = read_runs(arguments.source / "runs")
        wanted = (arguments.learners or "").split(",") if arguments.learners else {run.learner for run in runs}
        chosen = [run for run in runs if run.learner in wanted]
        page.document_png(chosen, ("mtil", arguments.shots), arguments.kind, arguments.out)
        return
    if arguments.kind == "rates":
        plot = rates(arguments.source)
    else:
        draw = mechanism.directions_moved if arguments.kind == "directions" else growth.grown
        plot = draw(json.loads(arguments.source.read_text()))
    document(plot.draw, plot.inches, arguments.out)


if __name__ == "__main__":
    main()
