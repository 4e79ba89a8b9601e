"""The text tower of a bundle during one learn: hidden states before training, anchors of everything after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_nusa.device.learning import judge
from edge_nusa.device.learning.lesson import Lesson, drawn_nouns
from edge_nusa.knowledge.anchors import label_anchors
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.text_encoder import TextEncoder

NOUNS_FOR_JUDGING = 256


class BundlePrompts:
    """`lesson.Prompts` by onnxruntime. After `anchors`: offered, the untouched and adapted anchors (V, D) of what is
    offered beside the labels while judging, and retention, what became of old knowledge."""

    offered: tuple[np.ndarray, np.ndarray]
    retention: judge.Retention

    def __init__(self, bundle: Bundle, threads: int, lesson: Lesson) -> None:
        self.bundle, self.lesson = bundle, lesson
        self._text = TextEncoder(bundle, threads)
        self._prompt = lesson.template or bundle.manifest.templates[0]

    def hidden(self, lesson: Lesson) -> tuple[np.ndarray, np.ndarray]:
        """`Prompts.hidden`."""
        return self._hidden([lesson.names[i] for i in [*lesson.columns, *lesson.remembered]])

    def nouns(self, nouns: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`Prompts.nouns`."""
        hidden, last = self._hidden(nouns)
        return hidden, last, self._text.through(self._text.tail({}), hidden, last)

    def _hidden(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return self._text.hidden([self._prompt.replace("{}", name) for name in names])

    def rest(self) -> None:
        """Let its memory go while the cores are trained."""
        self._text.close()

    def anchors(self, candidate: Knowledge) -> tuple[np.ndarray, np.ndarray]:
        """`Prompts.anchors`; everything else that needs the two tails is made too, so that they are open once."""
        text, lesson = self._text, self.lesson
        frozen, merged = text.tail({}), candidate.merged(self.bundle, ("text",))
        adapted = text.tail(merged) if merged else frozen
        untouched_anchors = label_anchors(text, frozen, candidate.labels)
        found = untouched_anchors, label_anchors(text, adapted, candidate.labels) if merged else untouched_anchors
        names, untouched = self.bundle.vocabulary
        rows = np.random.default_rng(0).permutation(len(names))[:NOUNS_FOR_JUDGING]
        template = self.bundle.manifest.templates[0]
        now = text.anchors(adapted, [names[i] for i in rows], template) if merged else untouched[rows]
        old = np.setdiff1d(np.arange(len(lesson.before.labels)), lesson.columns)
        self.retention = judge.retention(untouched[rows], now, lesson.before.adapted_anchors[old], found[1][old])
        alone = len(lesson.names) < 2
        beside = drawn_nouns(names, lesson.names, judge.DISTRACTORS, lesson.seed) if alone else []
        self.offered = text.anchors(frozen, beside, lesson.template), text.anchors(adapted, beside, lesson.template)
        text.close()
        return found
