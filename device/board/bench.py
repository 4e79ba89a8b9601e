"""The short form of `edge-nusa bench`: what a picture and a task cost on this board, and what to change."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_nusa.device.asking.predict import Predictor
from edge_nusa.device.board import linux
from edge_nusa.device.board.costs import ColdCost, Costs, LearnCost, WarmCost
from edge_nusa.device.board.measure import child, edge_nusa_words, in_turn, median, write_pictures
from edge_nusa.device.opened import Opened
from edge_nusa.errors import EdgeNusaError
from edge_nusa.files import temporary
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.settings import shared
from edge_nusa.threads import available

LABELS = ("ash", "birch")
PICTURES_EACH = 8
ROUNDS = 5
COLD_ROUNDS = 3
Say = Callable[[str], None]


def bench_board(bundle: Path | None, threads: int, steps: int | None, say: Say, provider: str = "cpu") -> Costs:
    """Measure, with what computes the features of pictures by its name.

    Works on pictures and a state of its own in a temporary folder. Raises EdgeNusaError where a command fails.
    """
    with temporary.folder() as folder:
        write_pictures(folder / "pictures", LABELS, PICTURES_EACH)
        whole = Bundle.open(bundle or embedded_bundle())
        common: list[str | Path] = ["--state", folder / "state", "--bundle", whole.folder, "--threads", str(threads)]
        common += ["--format", "json", "--provider", provider, *_bound()]
        say("learning one task")
        lesson, failed = lesson_cost(folder / "pictures", steps, common, say)
        say("asking in a new process")
        cold = _cold(folder / "pictures" / LABELS[0] / "0000.jpg", common)
        say("asking again and again")
        opened = Opened.open(whole.folder, folder / "state", threads, provider=provider)
        if opened.note:
            say(opened.note)
        in_process = warm(Predictor(opened), sorted((folder / "pictures").glob("*/*.jpg")))
        by_threads = _by_threads(opened)
    return Costs(
        bundle=whole.manifest.model,
        precision=whole.manifest.precision,
        provider=opened.bundle.provider.name,
        learn=lesson,
        cold=cold,
        warm=in_process,
        threads=by_threads,
        advice=[*failed, *advice(lesson, by_threads, whole, threads)],
    )


def _bound() -> list[str]:
    """The bound of memory that variable or settings give every command."""
    found = shared.setting(("max_memory",))
    return [] if found is None else ["--max-memory", str(found.value)]


def lesson_cost(
    pictures: Path, steps: int | None, common: Sequence[str | Path], say: Say
) -> tuple[LearnCost | None, list[str]]:
    """What `edge-nusa learn` of the pictures takes: with its text where torch runs here, else by the head alone; where
    that fails too, None and why, since asking can be measured all the same."""
    try:
        return _learned(pictures, ("--steps", str(steps)) if steps else (), common), []
    except EdgeNusaError as error:
        why = str(error)
        say(f"learning again, by the head alone: {why}")
    try:
        return replace(_learned(pictures, ("--head-only", "--again"), common), text_left_out=why), []
    except EdgeNusaError as error:
        return None, [f"learning fails here ({error}); see `edge-nusa doctor`"]


def _learned(pictures: Path, wanted: Sequence[str], common: Sequence[str | Path]) -> LearnCost:
    run = child(edge_nusa_words("learn", "--dataset", pictures, "--force", *wanted, *common))
    report = json.loads(run.output)
    left_out = report["text_reason"] if report["text"] == "not trained" else ""
    images, steps = len(LABELS) * PICTURES_EACH, report["training"]["kept_step"]
    return LearnCost(round(run.seconds, 2), run.peak_rss_bytes, images, steps, left_out)


def _cold(picture: Path, common: list[str | Path]) -> ColdCost:
    """What `edge-nusa predict` of one picture takes, from its start to the answer."""
    runs = [child(edge_nusa_words("predict", picture, *common)) for _ in range(COLD_ROUNDS)]
    seconds = round(median([run.seconds for run in runs]), 3)
    return ColdCost(seconds, max(run.peak_rss_bytes for run in runs))


def warm(predictor: Predictor, paths: list[Path]) -> WarmCost:
    """These pictures in this process, the median of some rounds."""
    spec = predictor.opened.bundle.manifest.preprocessing
    pixels = np.zeros((len(paths), 3, spec.height, spec.width), np.float32)
    calls = {"whole": lambda: list(predictor(paths)), "trunk": lambda: predictor.trunk.run(None, {"pixels": pixels})}
    in_turn(calls, 1)
    taken = in_turn(calls, ROUNDS)
    whole, trunk = (1000 * median(taken[name]) / len(paths) for name in ("whole", "trunk"))
    return WarmCost(round(whole, 2), round(trunk, 2), round(100 * (whole / trunk - 1), 1))


def _by_threads(opened: Opened) -> dict[str, float]:
    """Milliseconds of one picture in the trunk with 1, 2, 4 ... threads."""
    cores = available()
    spec = opened.bundle.manifest.preprocessing
    pixels = np.zeros((1, 3, spec.height, spec.width), np.float32)
    found = {}
    for count in sorted({1, 2, 4, cores} & set(range(1, cores + 1))):
        session = replace(opened, threads=count).image_trunk()
        taken = in_turn({"one": lambda s=session: s.run(None, {"pixels": pixels})}, 2 * ROUNDS)  # type: ignore[misc]
        found[str(count)] = round(1000 * median(taken["one"]), 2)
    return found


def advice(learn: LearnCost | None, times: dict[str, float], bundle: Bundle, threads: int) -> list[str]:
    """What to change on this board, one line each; empty where nothing is known to be better. times: as in `Costs`."""
    lines = []
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
    if bundle.manifest.text.tail_blocks > 4 and learn is not None and learn.seconds > 60:
        lines.append(
            f"{bundle.manifest.text.tail_blocks} text blocks learn: --text-blocks 4 at export learns in less time and "
            "memory"
        )
    memory = linux.memory_bytes()
    if learn is not None and learn.text_left_out:
        lines.append(f"the lesson was the head's alone: {learn.text_left_out}")
    if memory is not None and learn is not None and learn.peak_rss_bytes > 0.8 * memory[0]:
        lines.append("learning takes most of this board's memory: --head-only, or a smaller model")
    return lines
