"""Asking one picture cold (process to answer) and warm: `edge-nusa predict` against open_clip, and against rclip's way.

python research/rivals/predict.py --bundle b32 [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_nusa.device.asking.predict import Predictor
from edge_nusa.device.board.bench import warm
from edge_nusa.device.board.measure import ChildRun, child, edge_nusa_words, median, write_pictures
from edge_nusa.device.model import Model

HERE = Path(__file__).parent
WARM_IMAGES = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = write_pictures(folder / "pictures", ["ash", "birch"], WARM_IMAGES)
        common = ["--bundle", arguments.bundle, "--state", folder / "state"]
        child(edge_nusa_words("learn", "--dataset", pictures, "--steps", "2", "--force", *common))
        one = pictures / "ash" / "0000.jpg"
        ways = {
            "edge-nusa predict": edge_nusa_words("predict", one, *common),
            "edge-nusa predict --labels a,b": edge_nusa_words("predict", one, "--labels", "cup,plate", *common),
            "open_clip": opponent("open_clip", arguments, pictures, 1),
            "onnxruntime, numpy (rclip's way)": opponent("rclip", arguments, pictures, 1),
        }
        runs: dict[str, list[ChildRun]] = {way: [] for way in ways}
        for _ in range(arguments.rounds):
            for way, words in ways.items():
                runs[way].append(child(words))
        warm = warm_milliseconds(arguments, folder, pictures)
    rows = {
        way: {
            "cold_seconds": median([run.seconds for run in done]),
            "processor_seconds": median([run.processor_seconds for run in done]),
            "peak_rss_bytes": max(run.peak_rss_bytes for run in done),
        }
        for way, done in runs.items()
    }
    for way, value in warm.items():
        rows[way]["warm_milliseconds"] = value
    show(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1, allow_nan=False))


def opponent(what: str, arguments: argparse.Namespace, pictures: Path, images: int) -> list[str]:
    """The words that start one of opponents.py."""
    return [
        sys.executable,
        str(HERE / "opponents.py"),
        what,
        "--weights",
        str(arguments.bundle / "weights.safetensors"),
        "--pictures",
        str(pictures),
        "--model",
        arguments.model,
        "--images",
        str(images),
        "--size",
        str(arguments.size),
    ]


def warm_milliseconds(arguments: argparse.Namespace, folder: Path, pictures: Path) -> dict[str, float]:
    """A picture at a time in running processes, the median over the rounds."""
    predictor = Predictor(Model.open(arguments.bundle, folder / "state"))
    paths = sorted(pictures.glob("ash/*.jpg"))
    found: dict[str, list[float]] = {"edge-nusa predict": [], "open_clip": [], "onnxruntime, numpy (rclip's way)": []}
    overhead: list[float] = []
    for _ in range(arguments.rounds):
        singles = [warm(predictor, [path]) for path in paths[:4]]
        found["edge-nusa predict"] += [single.milliseconds_an_image for single in singles]
        overhead += [single.overhead_percent for single in singles]
        for what, way in (("open_clip", "open_clip"), ("rclip", "onnxruntime, numpy (rclip's way)")):
            run: dict[str, Any] = json.loads(
                child(opponent(what, arguments, pictures, WARM_IMAGES)).output.strip().splitlines()[-1]
            )
            found[way].append(1000 * median(run["image_seconds"]))
    print(f"warm, what is not the trunk: {median(overhead):.1f} % of the trunk\n")
    return {way: median(values) for way, values in found.items()}


def show(rows: dict[str, dict[str, float]]) -> None:
    """The table, with everything as a multiple of the first row."""
    first = rows["edge-nusa predict"]
    print(
        "| one picture of 640 x 480 | cold seconds | times | of processor | times | peak RSS MiB | times | warm ms | "
        "times |\n|---|---|---|---|---|---|---|---|---|"
    )
    for way, row in rows.items():
        warm = row.get("warm_milliseconds")
        warm_cells = f"{warm:.1f} | {warm / first['warm_milliseconds']:.2f}" if warm else "- | -"
        cold, memory, processor = row["cold_seconds"], row["peak_rss_bytes"], row["processor_seconds"]
        shares = (
            f"{cold:.2f} | {cold / first['cold_seconds']:.1f} | {processor:.2f} | "
            f"{processor / first['processor_seconds']:.1f}"
        )
        print(f"| {way} | {shares} | {memory / 2**20:.0f} | {memory / first['peak_rss_bytes']:.2f} | {warm_cells} |")


if __name__ == "__main__":
    main()
