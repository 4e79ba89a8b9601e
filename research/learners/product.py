"""The product's own learner inside `eval`: the trainer, the head and the answer that `edge-nusa learn` and `predict`
run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edge_nusa.device.asking.answer import Answerer, Views, softmax
from edge_nusa.device.learning import tails
from edge_nusa.device.learning import train_head as lesson
from edge_nusa.device.learning.recollection import recollection
from edge_nusa.device.learning.task import held_out
from edge_nusa.device.learning.train_cores import TaskData, Trainer
from edge_nusa.knowledge import fusion, head, knowledge
from edge_nusa.knowledge.knowledge import Label
from edge_nusa.knowledge.recipes import Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.research.data.views import View
from edge_nusa.research.learners.learners import Answer, Arrays, Columns, Gradient, anchors_of

NOUNS = 256
"""Vocabulary nouns, none of them a label, that a device recipe draws negatives from, as in
`edge_nusa.device.learning.learn`."""


class AnchorsAlone(Answerer):
    """Among learned labels the adapted anchors answer without the head."""

    def among_learned(self, views: Views, head_scores: np.ndarray) -> np.ndarray:
        """(B, L) softmax(logit_scale * cos)."""
        return softmax(self.scale * views.adapted @ self.adapted_anchors[: self.learned].T)


class HeadAlone(Answerer):
    """Among learned labels no text counts."""

    def among_learned(self, views: Views, head_scores: np.ndarray) -> np.ndarray:
        """(B, L) softmax(a * head scores), a as `edge_nusa.knowledge.fusion` finds it without text."""
        return softmax(fusion.best_alone(self.knowledge.fusion) * head_scores)


class Device:
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
        """Train the text tower, add to the head, fit the answer's constants."""
        classes = view.classes[pictures]
        held = held_out(classes, seed)
        if self.trains_text:
            self._train(view, pictures, held, seed)
        goals = self.columns.add(view)[classes]
        labels = [*self.known.labels, *(Label(f"{view.name} {name}", 0) for name in view.labels)]
        adapted = np.concatenate([self.text.adapted_anchors(old) for old in self.columns.learned])
        candidate = replace(
            self.known,
            labels=tuple(labels),
            cores=self.text.known.cores,
            frozen_anchors=anchors_of(self.columns.learned),
            adapted_anchors=adapted,
        )
        text_logits = self.bundle.manifest.logit_scale * view.embeddings(pictures) @ candidate.frozen_anchors.T
        _, self.known = lesson.with_head(candidate, self.known.head, view.features(pictures), text_logits, goals, held)
        self._answerers = {}

    def _train(self, view: View, pictures: np.ndarray, held: np.ndarray, seed: int) -> None:
        taken = {label.casefold() for task in [view, *self.columns.learned] for label in task.labels}
        free = [noun for noun in self.bundle.vocabulary[0] if noun.casefold() not in taken]
        drawn = [free[i] for i in np.random.default_rng(seed).permutation(len(free))[:NOUNS]]
        noun_hidden, noun_last = self._encoder.hidden(
            [self.bundle.manifest.templates[0].replace("{}", noun) for noun in drawn]
        )
        noun_anchors = self._encoder.through(self._encoder.tail({}), noun_hidden, noun_last)
        old, classes = np.arange(self.columns.count), view.classes[pictures]
        recalled = (
            recollection(self.bundle, self.known.head, old, view.features(pictures), classes, ~held)
            if self.recipe.recalled
            else None
        )
        hidden, last = stacked([view.hidden[0], *(task.hidden[0] for task in self.columns.learned)])
        data = TaskData(
            view.embeddings(pictures), None, classes, held, hidden, last, noun_hidden, noun_last, noun_anchors, recalled
        )
        trainer = Trainer(self.bundle, self.text.known, data, self.recipe, seed)
        self.trained_numbers = sum(parameter.numel() for parameter in trainer.parameters)
        self.text.adopt(trainer.run(lambda done, total: None).cores)

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
        found = self._answerers[key](Views(embedding, embedding, asked.features(pictures)))
        is_learned = np.repeat([column is not None for column in columns], [len(view.labels) for view in offered])
        order = np.argsort(
            np.concatenate([np.flatnonzero(is_learned), np.flatnonzero(~is_learned)])
        )  # learned labels come first
        return Answer(found.probabilities[:, order], found.novelty)

    def arrays(self) -> Arrays:
        """Cores, head, anchors, novelty limits and fusion."""
        novelty = np.array([label.novelty for label in self.known.labels])
        anchors = {
            "adapted": self.known.adapted_anchors.astype(np.float16),
            "frozen": self.known.frozen_anchors.astype(np.float16),
        }
        return {
            **self.text.arrays(),
            **head.head_tensors(self.known.head),
            **anchors,
            "novelty": novelty,
            "fusion": self.known.fusion,
        }

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """Go on from them; anchors are made again in full precision."""
        self.text.restore({name: arrays[name] for name in self.bundle.matrices("text") if name in arrays}, learned)
        for view in learned:
            self.columns.add(view)
        names = [f"{view.name} {name}" for view in learned for name in view.labels]
        labels = tuple(Label(name, 0, None, float(limit)) for name, limit in zip(names, arrays["novelty"], strict=True))
        adapted = np.concatenate([self.text.adapted_anchors(view) for view in learned])
        sums = head.head_from_tensors(arrays, arrays["sums"].shape[1], len(labels))
        known = replace(self.known, labels=labels, cores=self.text.known.cores, head=sums, fusion=arrays["fusion"])
        self.known = replace(known, frozen_anchors=anchors_of(learned), adapted_anchors=adapted)
        self._answerers = {}


def stacked(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Hidden states (C, T, E) and end positions (C,) of several tasks as one, padded to the longest."""
    longest = max(hidden.shape[1] for hidden, _ in parts)
    padded = [np.pad(hidden, ((0, 0), (0, longest - hidden.shape[1]), (0, 0))) for hidden, _ in parts]
    return np.concatenate(padded), np.concatenate([last for _, last in parts])
