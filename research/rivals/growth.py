"""How time, memory and the state grow with tasks, pictures and labels; on the embedded model unless --bundle is given.

python research/rivals/growth.py --images 10,100,1000,10000 --tasks 50 --labels 10,100,1000 [--json FILE] [--plot
FILE.png]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_nusa.device.board.measure import ChildRun, child, edge_nusa_words, learn_child, write_pictures
from edge_nusa.research.figures.drawing import document
from edge_nusa.research.figures.growth import grown

Row = dict[str, float]
"""Figures by name, of one count."""


def numbers(text: str) -> list[int]:
    """`10,100` as whole numbers."""
    return [int(word) for word in text.split(",") if word]


def learned(pictures: Path, folder: Path, bundle: list[Any], steps: int) -> tuple[ChildRun, int]:
    """One learn, with the memory of both its processes, and the bytes of the generation it left."""
    run = learn_child("--dataset", pictures, "--state", folder, "--steps", str(steps), *bundle)
    newest = max((folder / "generations").iterdir())
    return run, sum(path.stat().st_size for path in newest.iterdir())


def main() -> None:
    """Measure and print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--images", type=numbers, default=[10, 100, 1000])
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--labels", type=numbers, default=[10, 100])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    bundle = ["--bundle", arguments.bundle] if arguments.bundle else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = {
            "tasks": over_tasks(folder, bundle, arguments.tasks, arguments.steps),
            "images": over_images(folder, bundle, arguments.images),
            "labels": over_labels(folder, bundle, arguments.labels, arguments.steps),
        }
    show(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1, allow_nan=False))
    if arguments.plot:
        plot = grown(rows)
        document(plot.draw, plot.inches, arguments.plot)


def over_tasks(folder: Path, bundle: list[Any], tasks: int, steps: int) -> list[Row]:
    """What each of so many tasks of one label takes, learned one after the other."""
    rows = []
    for task in range(1, tasks + 1):
        pictures = write_pictures(folder / f"task{task}", [f"thing {task}"], 8, task)
        run, size = learned(pictures, folder / "tasks", bundle, steps)
        rows.append({**row_of(run, task), "state_bytes": size})
    return rows


def over_images(folder: Path, bundle: list[Any], counts: Sequence[int]) -> list[Row]:
    """What asking so many pictures takes, of the state that `over_tasks` left."""
    rows = []
    few = sorted(write_pictures(folder / "few", ["thing 1"], 10).glob("*/*.jpg"))
    for count in counts:
        many = folder / f"images{count}"
        many.mkdir()
        for index in range(count):
            (many / f"{index:06d}.jpg").hardlink_to(few[index % len(few)])
        run = child(edge_nusa_words("predict", many, "--state", folder / "tasks", "--top", "1", *bundle))
        rows.append({**row_of(run, count), "milliseconds_an_image": 1000 * run.seconds / count})
    return rows


def over_labels(folder: Path, bundle: list[Any], counts: Sequence[int], steps: int) -> list[Row]:
    """What a task of so many labels takes in a new state."""
    rows = []
    for count in counts:
        pictures = write_pictures(folder / f"labels{count}", [f"thing {index}" for index in range(count)], 2, count)
        run, size = learned(pictures, folder / f"state{count}", bundle, steps)
        rows.append({**row_of(run, count), "state_bytes": size})
    return rows


def row_of(run: ChildRun, count: int) -> Row:
    """The figures that every table has."""
    return {
        "count": count,
        "seconds": run.seconds,
        "processor_seconds": run.processor_seconds,
        "peak_rss_bytes": run.peak_rss_bytes,
    }


def show(rows: dict[str, list[Row]]) -> None:
    """Three tables, of long ones some rows."""
    for what, found in rows.items():
        shown = found if len(found) < 6 else [row for row in found if row["count"] in (1, 2, 5, 10, 20, 50, len(found))]
        names = list(shown[0]) if shown else []
        print(f"\n| {what} | " + " | ".join(names[1:]) + " |\n|" + "---|" * len(names))
        for row in shown:
            print(
                "| "
                + " | ".join(f"{row[name]:.1f}" if isinstance(row[name], float) else str(row[name]) for name in names)
                + " |"
            )


if __name__ == "__main__":
    main()
