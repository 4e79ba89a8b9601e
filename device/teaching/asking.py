"""Asking for one server: a picture's bytes in, the answer's JSON out; and what was taught, looked up once a
generation."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_nusa.device.teaching.denied import DeniedError, UnreadablePictureError
from edge_nusa.device.teaching.reading import Reader
from edge_nusa.device.teaching.why import explained
from edge_nusa.pictures.picture import Picture
from edge_nusa.pictures.pictures import Quarantined

if TYPE_CHECKING:
    from edge_nusa.device.asking.predict import Prediction
    from edge_nusa.device.model import Model
from edge_nusa.device.rows import LabelRow

MOST_OFFERED = 200
"""Labels that one question may offer beside those that were taught: each costs a run of the text tower."""


@dataclass(frozen=True)
class Question:
    """labels: offered beside what was taught; top: only so many labels (None: all); is_explained: say why."""

    labels: Sequence[str] = ()
    top: int | None = None
    is_explained: bool = False


class Asking:
    """Used by any thread."""

    def __init__(self, model: Model, reader: Reader) -> None:
        self._model, self._reader = model, reader
        self._lock = threading.Lock()
        self._rows: tuple[int, list[LabelRow]] | None = None

    def labels(self) -> tuple[int, list[LabelRow]]:
        """The current generation's number, and what was taught; computed anew when it changed."""
        with self._lock:
            if self._rows is None or self._rows[0] != self._model.generation:
                self._rows = self._model.labels()
            return self._rows

    def answer(self, data: bytes, name: str, question: Question) -> dict[str, Any]:
        """The answer to the picture in some bytes, as docs/http.md says. Raises DeniedError."""
        number = self._checked(question)
        return self._answered(number, self._reader.asked(data, name), name, question)

    def answer_to(self, image: np.ndarray, name: str, question: Question) -> dict[str, Any]:
        """The same of a picture (H, W, 3) uint8 RGB."""
        return self._answered(self._checked(question), image, name, question)

    def _answered(self, number: int, image: np.ndarray, name: str, question: Question) -> dict[str, Any]:
        found = self._predicted([image], name, question.labels)[0]
        why = {}
        if question.is_explained:
            why = {"why": explained(lambda some: self._predicted(some, name, question.labels), image, found).to_json()}
        shown = replace(found, labels=found.labels[: question.top])
        return {**shown.to_json(), "generation": number, **why}

    def _checked(self, question: Question) -> int:
        """The number of the current generation. Raises DeniedError where the question cannot be asked."""
        if len(question.labels) > MOST_OFFERED:
            raise DeniedError(413, f"expected at most {MOST_OFFERED} labels to be offered; offer fewer")
        number, rows = self.labels()
        if not question.labels and not rows:
            raise DeniedError(
                409, "nothing was taught yet, so there is nothing to choose from: teach a label, or add ?labels=a,b"
            )
        return number

    def _predicted(self, images: Sequence[np.ndarray], name: str, labels: Sequence[str]) -> list[Prediction]:
        answers = self._model.predict([Picture(one, name=name) for one in images], labels)
        return [_readable(one) for one in answers]


def _readable(answer: Prediction | Quarantined) -> Prediction:
    if isinstance(answer, Quarantined):
        raise UnreadablePictureError(answer.image, answer.reason)
    return answer
