"""The product's own learner inside `eval`: the trainer, the head and the answer that `edge-nusa learn` and `predict`
run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edge_nusa.device.asking.answer import Answerer, PictureFeatures, softmax
from edge_nusa.device.learning import tails
from edge_nusa.device.learning.lesson import Lesson, Seen, Train, teach, teach_text
from edge_nusa.device.learning.task import held_out
from edge_nusa.device.learning.task_data import TaskData, Trained
from edge_nusa.device.learning.text_trial import try_text, why_no_text
from edge_nusa.device.learning.train_cores import Trainer
from edge_nusa.knowledge import fusion, knowledge, sums_file
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.recipes import Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.research.data.views import View
from edge_nusa.research.learners.learners import Answer, Arrays, Columns, Gradient, anchors_of


class AnchorsAlone(Answerer):
    """Among learned labels the adapted anchors answer without the head."""

    def among_learned(self, pictures: PictureFeatures, head_scores: np.ndarray) -> np.ndarray:
        """(B, L) softmax(logit_scale * cos)."""
        return softmax(self.scale * pictures.adapted @ self.adapted_anchors[: self.learned].T)


class HeadAlone(Answerer):
    """Among learned labels no text counts."""

    def among_learned(self, pictures: PictureFeatures, head_scores: np.ndarray) -> np.ndarray:
        """(B, L) softmax(a * head scores), a as `edge_nusa.knowledge.fusion` finds it without text."""
        return softmax(fusion.best_alone(self.knowledge.fusion) * self.sharpness * head_scores)


class _ViewPrompts:
    """`lesson.Prompts` of views, whose texts went through the untouched front of the text tower already."""

    def __init__(self, device: Default, encoder: TextEncoder) -> None:
        self.device, self.encoder = device, encoder

    def hidden(self, lesson: Lesson) -> tuple[np.ndarray, np.ndarray]:
        """`Prompts.hidden`; every learned label has pictures, so that all are remembered."""
        *old, view = self.device.columns.learned
        hidden, last = stacked([view.hidden[0], *(task.hidden[0] for task in old)])
        count = len(lesson.columns) + len(lesson.remembered)
        return hidden[:count], last[:count]

    def nouns(self, nouns: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`Prompts.nouns`."""
        template = self.encoder.bundle.manifest.templates[0]
        hidden, last = self.encoder.hidden([template.replace("{}", noun) for noun in nouns])
        return hidden, last, self.encoder.through(self.encoder.tail({}), hidden, last)

    def anchors(self, candidate: Knowledge) -> tuple[np.ndarray, np.ndarray]:
        """`Prompts.anchors`."""
        learned = self.device.columns.learned
        if self.device.trains_text:
            self.device.text.adopt(candidate.cores)
        adapted = [self.device.text.adapted_anchors(view) for view in learned]
        return anchors_of(learned), np.concatenate(adapted)


class Default:
    """The product's default: text tower in the pool, head and gate, by the very code that `edge-nusa learn` runs.

    trains_text False leaves the text tower untouched. answerer: who answers.
    """

    def __init__(
        self, bundle: Bundle, recipe: Recipe, trains_text: bool = True, answerer: type[Answerer] = Answerer
    ) -> None:
        self.text = Gradient(bundle, recipe, tails.NullSpace())
        self.bundle, self.recipe, self.columns, self.trains_text = bundle, recipe, Columns(), trains_text
        self._answerer = answerer
        self.known = knowledge.nothing(bundle, recipe)
        self.trained_numbers = 0
        self._answerers: dict[str, Answerer] = {}
        self._encoder = TextEncoder(bundle, 1)

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """Teach the view's labels as `edge-nusa learn` does, and keep what that gives."""
        classes = view.classes[pictures]
        first = self.columns.count
        self.columns.add(view)
        names = tuple(f"{task.name} {name}" for task in self.columns.learned for name in task.labels)
        seen = Seen(
            embedding=view.embeddings(pictures),
            rows=view.features(pictures),
            tokens=None,
            classes=classes,
            held_out=held_out(classes, seed),
        )
        lesson = Lesson(
            before=self.known,
            names=names,
            columns=np.arange(first, len(names)),
            seen=seen,
            recipe=self.recipe,
            seed=seed,
        )
        prompts = _ViewPrompts(self, self._encoder)
        called = [name for task in self.columns.learned for name in task.labels]
        taught = teach(self.bundle, lesson, prompts)
        self.known = taught.whole
        if self.trains_text and why_no_text(lesson) is None:
            adapted = teach_text(self.bundle, lesson, taught, prompts, called, self._trained(lesson))
            is_kept = try_text(lesson, taught, adapted, self.bundle.manifest.logit_scale).adds
            self.known = adapted.whole if is_kept else taught.whole
            self.text.adopt(self.known.cores)
        self._answerers = {}

    def _trained(self, lesson: Lesson) -> Train:
        """Trains the text tower in this process."""

        def train(data: TaskData) -> Trained:
            trainer = Trainer(self.bundle, lesson.before, data, self.recipe, lesson.seed)
            self.trained_numbers = sum(parameter.numel() for parameter in trainer.parameters)
            return trainer.run(lambda done, total: None)

        return train

    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        """By `edge_nusa.device.asking.answer`, as `edge-nusa predict` answers."""
        columns = [self.columns.of(view) for view in offered]
        learned = [column for column in columns if column is not None]
        others = [view for view, column in zip(offered, columns, strict=True) if column is None]
        key = "/".join(view.name for view in offered)
        if key not in self._answerers:
            untaught = anchors_of(others) if others else self.known.frozen_anchors[:0]
            chosen = np.concatenate(learned) if learned else np.zeros(0, np.int64)
            self._answerers[key] = self._answerer(
                self.known, self.bundle.manifest.logit_scale, untaught, untaught, chosen
            )
        embedding = asked.embeddings(pictures)
        found = self._answerers[key](PictureFeatures(embedding, embedding, asked.features(pictures)))
        is_learned = np.repeat([column is not None for column in columns], [len(view.labels) for view in offered])
        order = np.argsort(
            np.concatenate([np.flatnonzero(is_learned), np.flatnonzero(~is_learned)])
        )  # learned labels come first
        # a closed set: what is asked shows one of the offered labels, so "something else" is left out
        rows = found.probabilities
        if learned:
            rows = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-12)
        return Answer(rows[:, order], found.novelty)

    def arrays(self) -> Arrays:
        """Cores, head, anchors and fusion."""
        anchors = {
            "adapted": self.known.adapted_anchors.astype(np.float16),
            "frozen": self.known.frozen_anchors.astype(np.float16),
        }
        return {
            **self.text.arrays(),
            **sums_file.head_tensors(self.known.head),
            **anchors,
            "fusion": self.known.fusion,
        }

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """Go on from them; anchors are made again in full precision."""
        self.text.restore({name: arrays[name] for name in self.bundle.matrices("text") if name in arrays}, learned)
        for view in learned:
            self.columns.add(view)
        names = [f"{view.name} {name}" for view in learned for name in view.labels]
        labels = tuple(Label(name, 0) for name in names)
        adapted = np.concatenate([self.text.adapted_anchors(view) for view in learned])
        sums = sums_file.head_from_tensors(arrays, arrays["sums"].shape[1], len(labels))
        known = replace(self.known, labels=labels, cores=self.text.known.cores, head=sums, fusion=arrays["fusion"])
        self.known = replace(known, frozen_anchors=anchors_of(learned), adapted_anchors=adapted)
        self._answerers = {}


def stacked(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Hidden states (C, T, E) and end positions (C,) of several tasks as one, padded to the longest."""
    longest = max(hidden.shape[1] for hidden, _ in parts)
    padded = [np.pad(hidden, ((0, 0), (0, longest - hidden.shape[1]), (0, 0))) for hidden, _ in parts]
    return np.concatenate(padded), np.concatenate([last for _, last in parts])
