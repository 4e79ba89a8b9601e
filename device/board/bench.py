"""The short form of `edge-nusa bench`: what a picture and a task cost on this board, and what to change."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.device.asking.predict import Predictor
from edge_nusa.device.board import linux
from edge_nusa.device.board.measure import child, edge_nusa_words, in_turn, median, write_pictures
from edge_nusa.device.opened import Opened
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.threads import available

LABELS = ("ash", "birch")
PICTURES_EACH = 8
ROUNDS = 5
COLD_ROUNDS = 3
Say = Callable[[str], None]


def bench_board(bundle: Path | None, threads: int, steps: int | None, say: Say) -> dict[str, Any]:
    """Measure; returns {"bundle", "precision", "learn", "cold", "warm", "threads", "advice"}; memory in bytes.

    Works on pictures and a state of its own in a temporary folder. Raises EdgeNusaError where a command fails.
    """
    with tempfile.TemporaryDirectory(prefix="edge-nusa-bench-") as name:
        folder = Path(name)
        write_pictures(folder / "pictures", LABELS, PICTURES_EACH)
        opened = Bundle.open(bundle or embedded_bundle())
        common: list[str | Path] = ["--state", folder / "state", "--bundle", opened.folder, "--threads", str(threads)]
        common += ["--format", "json"]
        found: dict[str, Any] = {"bundle": opened.manifest.model, "precision": opened.manifest.precision}
        say("learning one task")
        found["learn"] = _learn(folder / "pictures", steps, common)
        say("asking in a new process")
        found["cold"] = _cold(folder / "pictures" / LABELS[0] / "0000.jpg", common)
        say("asking again and again")
        workplace = Opened(opened, Opened.open(opened.folder, folder / "state").state, threads)
        found["warm"] = warm(Predictor(workplace), sorted((folder / "pictures").glob("*/*.jpg")))
        found["threads"] = _by_threads(opened)
    return {**found, "advice": advice(found, opened, threads)}


def _learn(pictures: Path, steps: int | None, common: list[str | Path]) -> dict[str, Any]:
    """What `edge-nusa learn` of the pictures takes."""
    wanted = ("--steps", str(steps)) if steps else ()
    run = child(edge_nusa_words("learn", "--dataset", pictures, "--force", *wanted, *common))
    return {
        "seconds": round(run.seconds, 2),
        "peak_rss_bytes": run.peak_rss_bytes,
        "images": len(LABELS) * PICTURES_EACH,
        "steps": json.loads(run.output)["training"]["kept_step"],
    }


def _cold(picture: Path, common: list[str | Path]) -> dict[str, Any]:
    """What `edge-nusa predict` of one picture takes, from its start to the answer."""
    runs = [child(edge_nusa_words("predict", picture, *common)) for _ in range(COLD_ROUNDS)]
    return {
        "seconds": round(median([run.seconds for run in runs]), 3),
        "peak_rss_bytes": max(run.peak_rss_bytes for run in runs),
    }


def warm(predictor: Predictor, paths: list[Path]) -> dict[str, float]:
    """Milliseconds a picture in a running process, of the trunk alone, and the rest in percent of the trunk."""
    shape = predictor.workplace.bundle.manifest.image
    pixels = np.zeros((len(paths), 3, shape.size, shape.size), np.float32)
    calls = {"whole": lambda: list(predictor(paths)), "trunk": lambda: predictor.trunk.run(None, {"pixels": pixels})}
    in_turn(calls, 1)
    taken = in_turn(calls, ROUNDS)
    whole, trunk = (1000 * median(taken[name]) / len(paths) for name in ("whole", "trunk"))
    return {
        "milliseconds_an_image": round(whole, 2),
        "trunk_milliseconds": round(trunk, 2),
        "overhead_percent": round(100 * (whole / trunk - 1), 1),
    }


def _by_threads(bundle: Bundle) -> dict[str, float]:
    """Milliseconds of one picture in the trunk with 1, 2, 4 ... threads."""
    cores = available()
    shape = bundle.manifest.image
    pixels = np.zeros((1, 3, shape.size, shape.size), np.float32)
    found = {}
    for count in sorted({1, 2, 4, cores} & set(range(1, cores + 1))):
        session = sessions.open_session(bundle, "image_trunk", count)
        taken = in_turn({"one": lambda s=session: s.run(None, {"pixels": pixels})}, 2 * ROUNDS)  # type: ignore[misc]
        found[str(count)] = round(1000 * median(taken["one"]), 2)
    return found


def advice(found: dict[str, Any], bundle: Bundle, threads: int) -> list[str]:
    """What to change on this board, one line each; empty where nothing is known to be better."""
    lines = []
    times = found["threads"]
    best = min(times, key=lambda count: times[count])
    chosen = str(threads or max(map(int, times)))
    if chosen in times and times[chosen] > 1.1 * times[best]:
        lines.append(
            f"--threads {best} is faster here: {times[best]:.1f} ms a picture in the trunk instead of "
            f"{times[chosen]:.1f} ms"
        )
    _, flags = linux.processor()
    if bundle.manifest.precision != "int8" and flags & {"asimddp", "i8mm", "avx512_vnni", "avx_vnni"}:
        lines.append(
            "this processor has dot products of 8-bit numbers: try an export with `--precision int8 --calibration "
            "DIR`, and keep it where it is faster here"
        )
    if bundle.manifest.image.tail_blocks:
        lines.append(
            f"the bundle's image tail has {bundle.manifest.image.tail_blocks} blocks, which --recipe device does not "
            "train: --tail-blocks 0 makes a smaller bundle"
        )
    if bundle.manifest.text.tail_blocks > 4 and found["learn"]["seconds"] > 60:
        lines.append(
            f"{bundle.manifest.text.tail_blocks} text blocks learn: --text-blocks 4 at export learns in less time and "
            "memory"
        )
    memory = linux.memory_bytes()
    if memory is not None and found["learn"]["peak_rss_bytes"] > 0.8 * memory[0]:
        lines.append("learning takes most of this board's memory: --max-memory, or a smaller model")
    return lines
