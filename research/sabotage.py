"""How often the judge lets a bad learn pass and stops a good one: `python -m edge_nusa.research.sabotage --data DIR`.

Every trial is a whole `learn` of five labels of one data set into a state of its own, with 5 and 16 pictures a label in
turn. Kinds: good;
shuffled (the same pictures, labels dealt anew); noise (one label's files are noise); copies (one label's files are one
picture saved again and again); renamed (a label known already is taught once more, by other pictures under another
name).
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from edge_nusa.device.learning.judge import LITTLE_APART
from edge_nusa.device.learning.learn import LearnSettings, learn
from edge_nusa.device.learning.report import LearnReport
from edge_nusa.device.learning.task import Task
from edge_nusa.device.model import Model
from edge_nusa.errors import EdgeNusaError, InputError, RefusedError
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.model.bundle import embedded_bundle
from edge_nusa.research.data.datasets import DataSet, find_sets

LABELS = 5
SHOTS = (5, 16)
KINDS = ("good", "shuffled", "noise", "copies", "renamed")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one learn. outcome: kept, refused (by the judge), set aside (the bad pictures never reached it),
    hinted (kept, and the report names the label that it repeats)."""

    kind: str
    dataset: str
    shots: int
    outcome: str
    says: str


def run(kind: str, dataset: DataSet, shots: int, seed: int, steps: int) -> Trial:
    """One trial in a temporary folder."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    with tempfile.TemporaryDirectory(prefix="edge-nusa-") as folder:
        task, other = drawn(dataset, shots, random)
        model = Model.open(embedded_bundle(), Path(folder) / "state", threads=1)
        settings = LearnSettings(recipe=replace(DEVICE, steps=steps), seed=seed, template=dataset.templates[0])
        if kind == "renamed":
            _teach(model, task, replace(settings, is_forced=True))
            task = Task(["qwxv"], other, np.zeros(len(other), np.int64), [])
        spoiled = _spoiled(kind, task, Path(folder), random)
        try:
            report = _teach(model, spoiled, settings)
        except RefusedError as error:
            return Trial(kind=kind, dataset=dataset.name, shots=shots, outcome="refused", says=str(error))
        except InputError as error:
            return Trial(kind=kind, dataset=dataset.name, shots=shots, outcome="set aside", says=str(error))
    outcome, says = _outcome(kind, report)
    return Trial(kind=kind, dataset=dataset.name, shots=shots, outcome=outcome, says=says)


def drawn(dataset: DataSet, shots: int, random: np.random.Generator) -> tuple[Task, list[Path]]:
    """Five labels of the set with `shots` pictures each, and as many other pictures of the first of them."""
    chosen = random.permutation(len(dataset.labels))[:LABELS]
    paths: list[Path] = []
    other: list[Path] = []
    for label in chosen:
        members = random.permutation(np.flatnonzero(dataset.classes == label))
        paths += [_path(dataset, i) for i in members[:shots]]
        other = other or [_path(dataset, i) for i in members[shots : 2 * shots]]
    classes = np.repeat(np.arange(len(chosen)), shots)
    return Task([dataset.labels[i] for i in chosen], paths, classes, []), other


def _path(dataset: DataSet, index: int) -> Path:
    picture = dataset.pictures[index]
    if not isinstance(picture, Path):
        raise InputError(
            f"{dataset.name}: expected a set of plain files, found pictures inside an archive; leave the set out with "
            "--sets"
        )
    return picture


def _teach(model: Model, task: Task, settings: LearnSettings) -> LearnReport:
    return learn(model, task, settings, lambda what, done, total: None)


def _spoiled(kind: str, task: Task, folder: Path, random: np.random.Generator) -> Task:
    if kind == "shuffled":
        return replace(task, classes=random.permutation(task.classes))
    if kind not in ("noise", "copies"):
        return task
    first = [path for path, label in zip(task.paths, task.classes, strict=True) if label == 0]
    source = Image.open(first[0]).convert("RGB")
    made = []
    for index in range(len(first)):
        image = source.resize((source.width - index, source.height - index)) if kind == "copies" else _noise(random)
        made.append(folder / f"{index}.jpg")
        made[-1].write_bytes(_jpeg(image, 60 + index))
    return replace(task, pictures=[*made, *task.pictures[len(first) :]])


def _noise(random: np.random.Generator) -> Image.Image:
    side = int(random.integers(64, 320))
    return Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))


def _jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _outcome(kind: str, report: LearnReport) -> tuple[str, str]:
    first = report.labels[0]
    says = f"{first.images} pictures counted, {first.told_apart_errors} standard errors from {first.closest!r}"
    if kind == "copies" and first.images == 1:
        return "set aside", says
    if kind == "renamed" and first.told_apart_errors is not None and first.told_apart_errors < LITTLE_APART:
        return "hinted", says
    return "kept", says


def table(trials: Sequence[Trial]) -> str:
    """Markdown: how each kind ended, by shots."""
    outcomes = ("kept", "hinted", "set aside", "refused")
    lines = [
        f"| Kind | Shots | Learns | {' | '.join(word.capitalize() for word in outcomes)} |",
        "|:--|--:|--:|" + "--:|" * len(outcomes),
    ]
    for kind, shots in dict.fromkeys((trial.kind, trial.shots) for trial in trials):
        ended = [trial.outcome for trial in trials if (trial.kind, trial.shots) == (kind, shots)]
        lines.append(f"| {kind} | {shots} | {len(ended)} | {' | '.join(str(ended.count(word)) for word in outcomes)} |")
    return "\n".join(lines)


def main() -> None:
    """Run the trials and print the table; --out keeps each trial as a line of JSON, and goes on where it stopped."""
    parser = argparse.ArgumentParser(description="Good and sabotaged learns, and what the judge made of them.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", default="")
    parser.add_argument("--trials", type=int, default=36, help="of each kind; three times as many good ones")
    parser.add_argument("--steps", type=int, default=DEVICE.steps)
    chosen = parser.parse_args()
    try:
        sets = [
            found
            for found in find_sets(chosen.data, chosen.sets.split(",") if chosen.sets else None)
            if len(found.labels) >= LABELS
        ]
        trials = (
            [Trial(**json.loads(line)) for line in chosen.out.read_text().splitlines()] if chosen.out.exists() else []
        )
        wanted = [
            (kind, turn)
            for turn in range(3 * chosen.trials)
            for kind in KINDS
            if kind == "good" or turn < chosen.trials
        ]
        for kind, turn in wanted[len(trials) :]:
            trials.append(run(kind, sets[turn % len(sets)], SHOTS[(turn // len(sets)) % 2], turn, chosen.steps))
            with chosen.out.open("a") as file:
                file.write(json.dumps(vars(trials[-1]), allow_nan=False) + "\n")
    except EdgeNusaError as error:
        raise SystemExit(f"sabotage: {error}") from error
    print(table(trials))


if __name__ == "__main__":
    main()
