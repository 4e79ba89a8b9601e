"""Learning 16 pictures of each of 10 labels: `edge-nusa learn` against peft LoRA and fine-tuning of the same matrices.

    python research/rivals/learn.py --bundle b32 [--opponents lora,finetune] [--opponent-steps 150] [--paper-bundle
    b32all] [--json FILE]

With fewer --opponent-steps than --steps the opponents' steps are timed and multiplied, and the table says so.
--paper-bundle: a bundle with all blocks in its tails, for a row of `--recipe paper` (both towers, its own batch);
--opponents none: no others.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from edge_nusa.device.board.measure import child, learn_child, median, write_pictures
from edge_nusa.knowledge.recipes import DEVICE

HERE = Path(__file__).parent
TITLES = {"lora": "peft LoRA", "finetune": "fine-tuning"}
LABELS = [f"thing {letter}" for letter in "abcdefghij"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--shots", type=int, default=16)
    parser.add_argument("--opponents", default="lora,finetune")
    parser.add_argument("--opponent-steps", type=int, default=10)
    parser.add_argument("--steps", type=int, default=DEVICE.steps)
    parser.add_argument("--paper-bundle", type=Path)
    parser.add_argument("--max-memory")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.opponent_steps < 2:
        parser.error(
            f"--opponent-steps: expected at least 2, to tell a step from the beginning; got {arguments.opponent_steps}"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = write_pictures(folder / "pictures", LABELS, arguments.shots)
        bound = ["--max-memory", arguments.max_memory] if arguments.max_memory else []
        rows = {"edge-nusa learn": learned(pictures, arguments.bundle, arguments.steps, bound)}
        if arguments.paper_bundle:
            few = min(arguments.opponent_steps, arguments.steps)
            rows["--recipe paper" if few == arguments.steps else "--recipe paper (steps multiplied)"] = paper_mode(
                pictures, arguments.paper_bundle, arguments.steps, few, bound
            )
        for what in [] if arguments.opponents == "none" else arguments.opponents.split(","):
            rows |= opponent(what, arguments, pictures)
    show(rows, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1, allow_nan=False))


def opponent(what: str, arguments: argparse.Namespace, pictures: Path) -> dict[str, dict[str, float]]:
    """One row by its title; where its steps were fewer than the product's, its seconds by a step's."""
    title = TITLES[what]
    words = [sys.executable, str(HERE / "opponents.py"), what]
    words += ["--weights", str(arguments.bundle / "weights.safetensors"), "--pictures", str(pictures)]
    words += ["--model", arguments.model, "--steps", str(arguments.opponent_steps), "--batch", str(DEVICE.batch)]
    run = child(words)
    found = json.loads(run.output.strip().splitlines()[-1])
    is_whole = len(found["step_seconds"]) == arguments.steps
    step = median(found["step_seconds"][1:])
    figures = {
        "seconds": run.seconds if is_whole else found["setup_seconds"] + arguments.steps * step,
        "processor_seconds": run.processor_seconds,
        "step_seconds": step,
        "peak_rss_bytes": run.peak_rss_bytes,
        "trained": found["trained"],
    }
    return {title if is_whole else f"{title} (steps multiplied)": figures}


def show(rows: dict[str, dict[str, float]], arguments: argparse.Namespace) -> None:
    """The table, with everything as a multiple of the first row."""
    first = rows["edge-nusa learn"]
    print(
        f"| {arguments.shots} pictures x {len(LABELS)} labels, {arguments.steps} steps of {DEVICE.batch} | seconds | "
        "times | of processor | peak RSS MiB | times |"
    )
    print("|---|---|---|---|---|---|")
    for title, row in rows.items():
        times, more = row["seconds"] / first["seconds"], row["peak_rss_bytes"] / first["peak_rss_bytes"]
        print(
            f"| {title} | {row['seconds']:.1f} | {times:.1f} | {row['processor_seconds']:.0f} | "
            f"{row['peak_rss_bytes'] / 2**20:.0f} | {more:.2f} |"
        )


def paper_mode(pictures: Path, bundle: Path, steps: int, few: int, extra: list[str]) -> dict[str, float]:
    """What `learned` gives for `--recipe paper`; where few < steps, its seconds by a step's, from runs of one and of
    few."""
    paper = learned(pictures, bundle, few, [*extra, "--recipe", "paper"])
    if few < steps:
        one = learned(pictures, bundle, 1, [*extra, "--recipe", "paper"])
        for key in ("seconds", "processor_seconds"):
            paper[key] = one[key] + (steps - 1) * (paper[key] - one[key]) / (few - 1)
    return paper


def learned(pictures: Path, bundle: Path, steps: int, extra: list[str]) -> dict[str, float]:
    """Seconds, processor seconds and peak RSS of both its processes together, of one `edge-nusa learn` into a new
    state."""
    with tempfile.TemporaryDirectory() as state:
        run = learn_child(
            "--dataset", pictures, "--steps", str(steps), "--bundle", bundle, "--state", Path(state) / "state", *extra
        )
    return {"seconds": run.seconds, "processor_seconds": run.processor_seconds, "peak_rss_bytes": run.peak_rss_bytes}


if __name__ == "__main__":
    main()
