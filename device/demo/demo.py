"""The whole way on the embedded model and real pictures: three labels taught one after the other, then asked, in a
minute."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_nusa.device.asking.predict import Prediction, Predictor
from edge_nusa.device.demo.pictures import DemoPictures, write_digits, write_pictures
from edge_nusa.device.learning.learn import LearnSettings, Progress
from edge_nusa.device.learning.task import one_label
from edge_nusa.device.report.page import html_report
from edge_nusa.device.workplace import Workplace
from edge_nusa.errors import UsageError
from edge_nusa.files.durable import write_asked
from edge_nusa.knowledge.labels import quoted
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.memory import peak_bytes
from edge_nusa.pictures.pictures import find_pictures

Say = Callable[[str], None]
MARKER = ".edge-nusa-demo"
"""Says that a folder was made by the demonstration, so that a second run may clear it."""


@dataclass(frozen=True)
class Scores:
    """Percent right before anything was taught, and after."""

    before: float
    after: float


@dataclass(frozen=True)
class Answers:
    """The first answer before anything was taught, and after."""

    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """What the demonstration found. labels: percent right of each taught; digits: likewise, afterwards; kept: the
    answer to a picture of each thing never taught; report: the page's file."""

    labels: dict[str, Scores]
    digits: dict[str, float]
    kept: dict[str, Answers]
    seconds: float
    peak_rss_bytes: int
    report: str

    def to_json(self) -> dict[str, Any]:
        """What `demo --format json` prints."""
        return asdict(self)


def run_demo(out: Path, progress: Progress, say: Say) -> DemoReport:
    """Run it in `out`. Raises UsageError where `out` holds something else."""
    began = time.monotonic()
    _clear(out)
    pictures = write_pictures(out / "pictures")
    digits = write_digits(out / "digits", (0, 1))
    workplace = Workplace.open(None, out / "state")
    scores, kept, peaks = _photographs(workplace, pictures, progress, say)
    digit_scores, digit_peaks = _digits(workplace, digits, progress, say)
    report = _report(workplace, out / "report.html")
    peak, seconds = max(peak_bytes(), *peaks, *digit_peaks), time.monotonic() - began
    say(
        f"All of it took {seconds:.1f} s and {peak / 2**20:.0f} MiB at most; "
        f"{workplace.status().state_bytes / 1e6:.2f} MB of state; no picture was kept."
    )
    say(f"The report with its plots: {report}")
    return DemoReport(
        labels=scores,
        digits=digit_scores,
        kept=kept,
        seconds=round(seconds, 1),
        peak_rss_bytes=peak,
        report=str(report),
    )


def _photographs(
    workplace: Workplace, pictures: DemoPictures, progress: Progress, say: Say
) -> tuple[dict[str, Scores], dict[str, Answers], list[int]]:
    """Ask, teach the three labels, ask again; and the memory that each lesson took."""
    labels = list(pictures.taught)
    before = accuracies(workplace, pictures, labels)
    kept_before = answers(workplace, pictures)
    say(
        f"The embedded model {workplace.bundle.manifest.model!r} is asked about {', '.join(labels)} before it is "
        "taught anything:"
    )
    say("  " + ", ".join(f"{label} {before[label]:.0f} %" for label in labels))
    peaks = [_teach(workplace, label, pictures.taught[label], progress, say) for label in labels]
    after = accuracies(workplace, pictures, labels)
    say("On other crops of the same photographs, never taught:")
    for label in labels:
        say(f"  {label:<12} {before[label]:5.1f} % -> {after[label]:5.1f} %")
    kept_after = answers(workplace, pictures)
    say(
        "Things it was never taught, offered beside the labels taught (the untouched model's answers, before -> after):"
    )
    for thing, answer in kept_before.items():
        say(f"  a picture of a {thing:<11} {answer} -> {kept_after[thing]}")
    scores = {label: Scores(before[label], after[label]) for label in labels}
    return scores, {thing: Answers(kept_before[thing], kept_after[thing]) for thing in kept_before}, peaks


def _digits(
    workplace: Workplace, digits: DemoPictures, progress: Progress, say: Say
) -> tuple[dict[str, float], list[int]]:
    """Teach handwritten digits, and ask for all that the set has: percent right of each, and what each took."""
    peaks = [_teach(workplace, label, folder, progress, say) for label, folder in digits.taught.items()]
    scores = accuracies(workplace, digits, list(digits.asked))
    say("Handwritten digits, other scans: " + ", ".join(f"{label} {score:.0f} %" for label, score in scores.items()))
    return scores, peaks


def _report(workplace: Workplace, path: Path) -> Path:
    """Write the report of what was taught; returns where."""
    history = [row.to_json() for row in workplace.history()]
    html = html_report(workplace.known()[1], history, workplace.bundle.manifest.model)
    write_asked(path, html.encode())
    return path


def _clear(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).exists():
            raise UsageError(f"demo: {out} holds other files; pass --out with a new folder")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()


def _teach(workplace: Workplace, label: str, folder: Path, progress: Progress, say: Say) -> int:
    """Teach it and say so; returns the most memory that this took, in bytes."""
    report = workplace.teach(one_label(folder, label), LearnSettings(recipe=DEVICE), progress)
    kept = report.retention.vocabulary_agreement
    say(
        f"taught {quoted(label)} from {report.labels[0].images} pictures in {report.seconds:.1f} s; {kept:.1f} % of "
        "the vocabulary means what it meant"
    )
    return report.peak_rss_bytes


def accuracies(workplace: Workplace, pictures: DemoPictures, labels: list[str]) -> dict[str, float]:
    """Percent of each label's asked pictures that are answered with it, all of `labels` offered."""
    predictor = Predictor(workplace, labels)
    scores: dict[str, float] = {}
    for label in labels:
        results = [r for r in predictor(find_pictures(pictures.asked[label])[0], 1) if isinstance(r, Prediction)]
        scores[label] = 100 * sum(r.labels[0].label == label for r in results) / len(results)
    return scores


def answers(workplace: Workplace, pictures: DemoPictures) -> dict[str, str]:
    """The first answer to each picture of a thing never taught; those things and the taught labels are offered."""
    predictor = Predictor(workplace, [*pictures.others, *pictures.taught])
    found: dict[str, str] = {}
    for thing, folder in pictures.others.items():
        for result in predictor(find_pictures(folder)[0], 1):
            if isinstance(result, Prediction):
                found[thing] = result.labels[0].label
    return found
