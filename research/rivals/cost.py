"""What bundles cost on a board, side by side: one picture in a new process, pictures one after the other, one lesson
by its head alone and with its text.

python research/rivals/cost.py BUNDLE [BUNDLE ...] [--rounds 3] [--threads 1] [--json FILE]

Asking runs on --threads; the lesson, two labels of 8 pictures each in a new state, on all that this process may use.
Bundles take turns within each round, so that a busy moment hits them all.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from edge_nusa.device.asking.predict import Predictor
from edge_nusa.device.board.bench import LABELS, PICTURES_EACH, warm
from edge_nusa.device.board.measure import child, edge_nusa_words, learn_child, median, write_pictures
from edge_nusa.device.model import Model

Row = dict[str, float]
"""Figures by name, of one bundle in one round."""
MIB = 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: dict[Path, list[Row]] = {bundle: [] for bundle in arguments.bundles}
    with tempfile.TemporaryDirectory() as name:
        pictures = write_pictures(Path(name) / "pictures", LABELS, PICTURES_EACH)
        for number in range(arguments.rounds):
            for index, bundle in enumerate(arguments.bundles):
                rows[bundle].append(cost(bundle, pictures, Path(name) / f"state{index}-{number}", arguments.threads))
    found = {str(bundle): {what: median([row[what] for row in of]) for what in of[0]} for bundle, of in rows.items()}
    show(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1, allow_nan=False))


def cost(bundle: Path, pictures: Path, state: Path, threads: int) -> Row:
    """One round of one bundle, in a state that is not there yet."""
    common: list[str | Path] = ["--bundle", bundle, "--state", state]
    beside = state.with_name(f"{state.name}-head")
    head = learn_child("--dataset", pictures, "--head-only", "--bundle", bundle, "--state", beside)
    lesson = learn_child("--dataset", pictures, *common)
    asked = sorted((pictures / LABELS[0]).iterdir())
    alone = ("--threads", str(threads), *common)
    cold = child(edge_nusa_words("predict", asked[0], *alone))
    offered = child(edge_nusa_words("predict", asked[0], "--labels", "birch,elm", *alone))
    running = warm(Predictor(Model.open(bundle, state, threads)), asked[:1])
    return {
        "bundle MB": sum(path.stat().st_size for path in bundle.iterdir()) / 1e6,
        "cold seconds": cold.seconds,
        "of processor": cold.processor_seconds,
        "cold MiB": cold.peak_rss_bytes / MIB,
        "cold seconds with --labels": offered.seconds,
        "MiB with --labels": offered.peak_rss_bytes / MIB,
        "warm ms": running.milliseconds_an_image,
        "of that the trunk": running.trunk_milliseconds,
        "seconds from the last picture to the head's commit": json.loads(lesson.output)["head_seconds"],
        "learn --head-only seconds": head.seconds,
        "of processor in the head's lesson": head.processor_seconds,
        "learn --head-only MiB": head.peak_rss_bytes / MIB,
        "learn seconds": lesson.seconds,
        "of processor in the lesson": lesson.processor_seconds,
        "learn MiB, both processes": lesson.peak_rss_bytes / MIB,
    }


def show(found: dict[str, Row]) -> None:
    """A table with a row for each figure, and a column for each bundle."""
    print("| | " + " | ".join(Path(name).name for name in found) + " |\n|" + "---|" * (len(found) + 1))
    for what in next(iter(found.values())):
        print(f"| {what} | " + " | ".join(f"{row[what]:.2f}" for row in found.values()) + " |")


if __name__ == "__main__":
    main()
