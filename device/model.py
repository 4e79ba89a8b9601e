"""The board's one door: an opened bundle and state that can be taught, asked, made to forget, undone and looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Unpack, cast, overload

from edge_nusa.device.asking.resident import Resident
from edge_nusa.device.opened import Opened
from edge_nusa.device.rows import HistoryRow, LabelRow, Status, history_row
from edge_nusa.errors import InputError
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.labels import distinct
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import from_files, load, to_files
from edge_nusa.pictures.picture import Content, Picture, Pictures, is_one, sources
from edge_nusa.pictures.pictures import Quarantined
from edge_nusa.state.generation import NO_USE

if TYPE_CHECKING:
    import numpy as np

    from edge_nusa.device.asking.predict import Prediction
    from edge_nusa.device.changes.rename import Renamed
    from edge_nusa.device.changes.steps import Step
    from edge_nusa.device.learning.given import LearnOptions
    from edge_nusa.device.learning.learn import LearnSettings
    from edge_nusa.device.learning.report import LearnReport
    from edge_nusa.device.learning.task import Task
    from edge_nusa.model.sessions import Graph

Progress = Callable[[str, int, int], None]


def nobody(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Model(Opened):
    """What a board does with what it has learned. Every answer is a typed record; every change is committed whole.

    `Model.open()` has the bundle and the state that commands have (docs/settings.md). Asking keeps graphs and anchors
    open, and follows whatever changes the state. It may be asked from any thread, also while a lesson runs in another
    one. What only one verb needs is imported when it is called, so that looking and asking load no torch.
    """

    _resident: Resident = field(default_factory=Resident, init=False, repr=False, compare=False)

    def image_trunk(self) -> Graph:
        """A session of the frozen image tower; the one that asking keeps open, where it does."""
        return self._resident.trunk(self)

    @overload
    def predict(  # type: ignore[overload-overlap]  # a text is a path here, not a sequence
        self, pictures: Picture | Content, labels: Sequence[str] = (), top: int | None = None
    ) -> Prediction: ...

    @overload
    def predict(
        self, pictures: Sequence[Picture | Content], labels: Sequence[str] = (), top: int | None = None
    ) -> list[Prediction | Quarantined]: ...

    def predict(
        self, pictures: Pictures, labels: Sequence[str] = (), top: int | None = None
    ) -> Prediction | list[Prediction | Quarantined]:
        """The answer to one picture, or those to several in their order; labels: offered beside the learned ones; top:
        only so many labels an answer.

        Of several, one that cannot be used is a Quarantined that says why; one alone raises InputError. Raises
        InputError where there is nothing to choose from, or for what is no picture.
        """
        labels = [labels] if isinstance(labels, str) else labels
        if not is_one(pictures):
            return list(self.stream(cast(Sequence[Picture | Content], pictures), labels, top))
        (found,) = self.stream([cast(Picture | Content, pictures)], labels, top)
        if isinstance(found, Quarantined):
            raise InputError(f"{found.image}: {found.reason}")
        return found

    def stream(
        self, pictures: Sequence[Picture | Content], labels: Sequence[str] = (), top: int | None = None
    ) -> Iterator[Prediction | Quarantined]:
        """The same of many pictures, of which the next ones are decoded while the first are answered."""
        given = sources(pictures)
        return self._resident.predictor(self, distinct(labels))(given, top)

    def features(self, pictures: Pictures) -> np.ndarray:
        """(B, F) float32: what the head reads of B pictures: the taps of the frozen trunk, of root mean square 1, and
        then a 1. Nothing that is learned changes them.

        Raises InputError naming the first picture that cannot be used.
        """
        import numpy as np

        from edge_nusa.device.asking.features import Trunk, extract, limits
        from edge_nusa.knowledge.fit import UNIT
        from edge_nusa.knowledge.head import features as of_taps

        given = sources([cast(Picture | Content, pictures)] if is_one(pictures) else cast(Any, pictures))
        bounds = limits(self.bundle, self.max_memory_bytes)
        found = extract(
            Trunk(self._resident.kept_trunk(self), self.bundle), given, bounds, False, lambda done, total: None
        )
        if found.quarantined:
            raise InputError(f"{found.quarantined[0].image}: {found.quarantined[0].reason}")
        return (of_taps(found.taps) / UNIT).astype(np.float32)

    def learn(
        self,
        pictures: Mapping[str, Pictures],
        progress: Progress = nobody,
        on_head: Callable[[LearnReport], None] | None = None,
        **options: Unpack[LearnOptions],
    ) -> LearnReport:
        """Teach labels from their pictures (of a path that is a folder all that are in it), judge, and keep the result.

        progress: is told (what, done, total); on_head: is told the report as soon as the head answers, while the text
        is trained. Raises InputError, RefusedError (the judge), UsageError, ResourceError, MissingPackageError; the
        state is then as it was, or holds the head's lesson.
        """
        from edge_nusa.device.learning.given import settings_of, task_of

        return self.teach(task_of(pictures), settings_of(**options), progress, on_head)

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

    @property
    def generation(self) -> int:
        """The number of what is current; 0: nothing is learned."""
        current = self.state.current()
        return current.number if current else 0

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

    def undo(self, to: int | None = None) -> Step:
        """Go a generation back, or to the kept generation `to` (0: nothing is learned), and say what that changes."""
        from edge_nusa.device.changes import steps

        return steps.undo(self, to)

    def redo(self) -> Step:
        """Take the last undo back, where nothing was changed since."""
        from edge_nusa.device.changes import steps

        return steps.redo(self)

    def rename(self, old: str, new: str) -> Renamed:
        """Give a label another name; its pictures stay (`edge_nusa.device.changes.rename`)."""
        from edge_nusa.device.changes import rename

        return rename.rename(self, old, new)

    def history(self) -> list[HistoryRow]:
        """The kept generations, oldest first."""
        current = self.state.current()
        rows = []
        for generation in self.state.history():
            if current is None or generation.number > current.number:
                continue  # undone, and gone with the next commit
            try:
                rows.append(history_row(generation, generation.number == current.number))
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
            identity=self.bundle.identity.sha256,
            generation=number,
            labels=len(knowledge.labels),
            tasks=knowledge.tasks,
            recipe=knowledge.recipe.name,
            state_bytes=sum(record.bytes for record in generation.files.values()) if generation else 0,
        )
