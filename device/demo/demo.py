"""The whole way on the embedded model and real pictures: asked what it knows, taught in four lessons, and asked again,
in a minute."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_nusa.device.demo.asked import Answers, Counts, answers, kept_of, labels_of, other_pictures
from edge_nusa.device.demo.pictures import DemoPictures, write_digits, write_pictures, write_rare
from edge_nusa.device.learning.expected import expected
from edge_nusa.device.learning.learn import LearnSettings
from edge_nusa.device.learning.report import LearnReport
from edge_nusa.device.learning.task import Task, folder_per_label, one_label
from edge_nusa.device.learning.two_commits import Progress
from edge_nusa.device.model import Model
from edge_nusa.device.report.page import OtherPictures, html_report, of_hundred
from edge_nusa.errors import UsageError
from edge_nusa.files.durable import write_asked
from edge_nusa.files.foreign import shown
from edge_nusa.knowledge.labels import quoted
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.memory import peak_bytes
from edge_nusa.model.bundle import embedded_bundle

Say = Callable[[str], None]
MARKER = ".edge-nusa-demo"
"""Says that a folder was made by the demonstration, so that a second run may clear it."""


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """What the demonstration found. labels: of each taught; kept: the answer to a picture of each thing never taught;
    report: the page's file."""

    labels: dict[str, Counts]
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
    grounds, rare = write_pictures(out / "grounds"), write_rare(out / "rare")
    digits = write_digits(out / "digits", (0, 1))
    pictures = _together(grounds, rare, digits)
    lessons = [folder_per_label(out / "grounds" / "taught"), *(one_label(p, label) for label, p in rare.taught.items())]
    lessons.append(folder_per_label(out / "digits" / "taught"))
    model = Model.open(embedded_bundle(), out / "state", provider="cpu")
    labels, kept, other, peaks = _taught(model, pictures, lessons, progress, say)
    report = _report(model, out / "report.html", other)
    peak, seconds = max(peak_bytes(), *peaks), time.monotonic() - began
    say(
        f"All of it took {seconds:.0f} s and {peak / 2**20:.0f} MiB at most; "
        f"{model.status().state_bytes / 1e6:.2f} MB of state; no picture was kept."
    )
    say(f"The report, with the same counts: {report}")
    return DemoReport(labels=labels, kept=kept, seconds=round(seconds, 1), peak_rss_bytes=peak, report=str(report))


def _together(*sets: DemoPictures) -> DemoPictures:
    """All of them as one."""
    joined = DemoPictures({}, {}, {})
    for one in sets:
        joined.taught.update(one.taught)
        joined.asked.update(one.asked)
        joined.others.update(one.others)
    return joined


def _taught(
    model: Model, pictures: DemoPictures, lessons: list[Task], progress: Progress, say: Say
) -> tuple[dict[str, Counts], dict[str, Answers], OtherPictures, list[int]]:
    """Ask, teach one lesson after the other, ask again; what was found, the same for the page, and the memory that each
    lesson took."""
    offered = [*pictures.taught, *pictures.others]
    say(f"The embedded model {shown(model.bundle.manifest.model)} has seen none of these pictures. One lesson each:")
    before = answers(model, offered, pictures)
    peaks = [_teach(model, task, progress, say) for task in lessons]
    after = answers(model, offered, pictures)
    labels, kept = labels_of(pictures, before, after), kept_of(pictures, before, after)
    say(f"Asked about other pictures of the same things, with all {len(offered)} names offered; right before -> after:")
    for name, count in labels.items():
        say(f"  {name:<13} {count.before:2} of {count.asked} -> {count.after:2} of {count.asked}")
    say("Things it was never taught, answered before -> after:")
    for thing, answer in kept.items():
        say(f"  {'a picture of a ' + thing:<26} {answer.before} -> {answer.after}")
    return labels, kept, other_pictures(labels, kept, after, len(offered)), peaks


def _report(model: Model, path: Path, other: OtherPictures) -> Path:
    """Write the report of what was taught, with the answers to the other pictures; returns where."""
    history, knowledge = [row.to_json() for row in model.history()], model.known()[1]
    status, soon = model.status(), expected(model.bundle, knowledge)
    html = html_report(knowledge, history, status.bundle, soon, status.state_bytes, other)
    write_asked(path, html.encode())
    return path


def _clear(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).exists():
            raise UsageError(f"demo: {out} holds other files; pass --out with a new folder")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()


def _teach(model: Model, task: Task, progress: Progress, say: Say) -> int:
    """Teach it and say so; returns the most memory that this took, in bytes."""
    heads: list[LearnReport] = []
    report = model.teach(task, LearnSettings(recipe=DEVICE), progress, heads.append)
    kept = heads[-1] if heads and report.text != "kept" else report  # what the state and its report say of it
    names = ", ".join(quoted(row.label) for row in kept.labels)
    say(
        f"  taught {names} from {sum(row.images for row in kept.labels)} pictures in {kept.seconds:.1f} s; "
        f"{of_hundred(kept.retention.vocabulary_agreement)} of 100 common words mean what they meant"
    )
    return report.peak_rss_bytes
