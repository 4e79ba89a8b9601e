"""The board's one door: an opened bundle and state that can be taught, asked, made to forget, undone and looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa.device.opened import Opened
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import LARGEST_LABELS_BYTES, MOST_LABELS, from_files, load, read_report, to_files
from edge_nusa.pictures.pictures import Quarantined
from edge_nusa.state.generation import NO_USE, Generation

if TYPE_CHECKING:
    from edge_nusa.device.asking.predict import Prediction
    from edge_nusa.device.learning.learn import LearnSettings
    from edge_nusa.device.learning.report import LearnReport
    from edge_nusa.device.learning.task import Task

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """One kept generation. operation: what made it; created: ISO 8601 UTC; labels: known then; report: what its learn
    said, {} where it was none."""

    generation: int
    operation: str
    created: str
    current: bool
    labels: list[str]
    report: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """A row of `history --format json`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One label: how many pictures it was taught with, and percent of new ones that are expected to be recognised now
    (None: one label alone, or one picture, tells nothing)."""

    label: str
    images: int
    expected: float | None

    def to_json(self) -> dict[str, Any]:
        """A row of `labels --format json`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Status:
    """Numbers that a fleet's monitoring wants."""

    bundle: str
    identity: str
    generation: int
    labels: int
    tasks: int
    recipe: str
    state_bytes: int

    def to_json(self) -> dict[str, Any]:
        """What `status --format json` prints."""
        return asdict(self)


def nobody(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


class Model(Opened):
    """What a board does with what it has learned. Every answer is a typed record; every change is committed whole.

    What only one verb needs is imported when it is called, so that looking and asking load no torch.
    """

    def teach(
        self,
        task: Task,
        settings: LearnSettings,
        progress: Progress = nobody,
        on_head: Callable[[LearnReport], None] | None = None,
    ) -> LearnReport:
        """Teach a task and commit it; `edge_nusa.device.learning.learn.learn` says what it raises, and whom it tells
        that the head knows it, while the text is trained."""
        from edge_nusa.device.learning.learn import learn

        return learn(self, task, settings, progress, on_head)

    def ask(
        self, pictures: Sequence[Path], others: Sequence[str] = (), top: int | None = None
    ) -> Iterator[Prediction | Quarantined]:
        """A prediction of each readable picture in order; others: labels offered beside the learned ones."""
        from edge_nusa.device.asking.predict import Predictor

        return Predictor(self, others)(pictures, top)

    def forget(self, label: str) -> tuple[int, str]:
        """Take a label back: its anchors, its column of the head and its count. (generation, name as it was known).

        What its pictures did to the cores stays until `undo`, and they stay in G as background of no label.
        Raises InputError for a label that was never taught.
        """
        with self.state.writer():
            _, knowledge = self.known()
            name = knowledge.names[knowledge.column(label)]
            kept = replace(knowledge.without(name).with_lesson(), report={})
            files = to_files(kept)
            from_files(self.bundle, files)  # what could not be read back must not be committed
            return self.state.commit(files, "forget").number, name

    def undo(self) -> int:
        """Go a generation back; the number that is current now (0: nothing is learned)."""
        with self.state.writer():
            target: Generation | None = self.state.undo()
        return target.number if target else 0

    def history(self) -> list[HistoryRow]:
        """The kept generations, oldest first."""
        current = self.state.current()
        rows = []
        for generation in self.state.history():
            if current is None or generation.number > current.number:
                continue  # undone, and gone with the next commit
            try:
                rows.append(_history_row(generation, generation.number == current.number))
            except NO_USE:
                if generation.folder.exists():
                    raise
                continue  # a writer pruned it in between
        return rows

    def known(self) -> tuple[int, Knowledge]:
        """The current generation's number and knowledge."""
        return load(self.bundle, self.state, DEVICE)

    def labels(self) -> tuple[int, list[LabelRow]]:
        """The current generation's number, and what was taught."""
        from edge_nusa.device.learning.expected import expected

        number, knowledge = self.known()
        found = expected(self.bundle, knowledge)
        return number, [
            LabelRow(label=label.name, images=label.images, expected=found.get(column))
            for column, label in enumerate(knowledge.labels)
        ]

    def status(self) -> Status:
        """Where this device stands, in numbers."""
        number, knowledge = self.known()
        generation = self.state.current()
        return Status(
            bundle=self.bundle.manifest.model,
            identity=self.bundle.manifest.identity.sha256,
            generation=number,
            labels=len(knowledge.labels),
            tasks=knowledge.tasks,
            recipe=knowledge.recipe.name,
            state_bytes=sum(record.bytes for record in generation.files.values()) if generation else 0,
        )


def _history_row(generation: Generation, is_current: bool) -> HistoryRow:
    report = read_report(generation.read("report.json"))
    origin = Origin(str(generation.folder / "labels.json"), "run `edge-nusa undo`")
    labels = parse(generation.read("labels.json"), origin, LARGEST_LABELS_BYTES).records("labels", MOST_LABELS)
    return HistoryRow(
        generation=generation.number,
        operation=generation.operation,
        created=generation.created,
        current=is_current,
        labels=[label.text("name") for label in labels],
        report={"generation": generation.number, **report} if report else {},
    )
