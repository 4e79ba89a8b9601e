"""What a frame costs in a program that stays: `predict` of an array beside the bare trunk, in turns.

    python tests/python/measure_frames.py [--bundle DIR] [--frames 200]

Prints a table of medians; the trunk is asked with the frame's pixels ready, then with the frame made into them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from edge_nusa import Model
from edge_nusa.device.demo.pictures import write_pictures
from edge_nusa.model.preprocessing import pixels


def timed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--frames", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = write_pictures(Path(folder) / "pictures")
        model = Model.open(arguments.bundle, Path(folder) / "state", threads=1)
        model.learn(pictures.taught, head_only=True)
        frame = np.asarray(Image.open(sorted(pictures.asked["gravel"].iterdir())[0]).convert("RGB").resize((640, 480)))
        trunk, spec = model.image_trunk(), model.bundle.manifest.preprocessing
        ready = pixels(Image.fromarray(frame), spec)[None]
        calls: dict[str, Callable[[], object]] = {
            "the trunk alone": lambda: trunk.run(None, {"pixels": ready}),
            "with the frame scaled": lambda: trunk.run(None, {"pixels": pixels(Image.fromarray(frame), spec)[None]}),
            "predict(frame)": lambda: model.predict(frame),
        }
        found: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(arguments.frames + 1):
            for name, call in calls.items():
                found[name].append(timed(call))
    for name, times in found.items():
        print(f"| {name} | {median(times[1:]):.1f} ms |")


if __name__ == "__main__":
    main()
