"""A learner of one's own between the protocol and its code: what it lacks, what it raises and what it answers wrongly
is told in a line that says where."""

from __future__ import annotations

import contextlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.files.foreign import why
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.data.views import View
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Answer, Arrays

PROTOCOL = {
    "learn": ("view", "pictures", "seed"),
    "answer": ("offered", "asked", "pictures"),
    "arrays": (),
    "restore": ("arrays", "learned"),
}
"""Method -> what it is called with, in this order (`edge_nusa.research.learners.learners.Learner`)."""
SUM_WITHIN = 1e-3
"""How far from 1 a row of probabilities may sum."""
NEXT = "see docs/eval.md, a learner of your own"


class Checked:
    """The learner that `maker`(bundle, options) gives, each call checked. Raises InputError where it is none."""

    def __init__(self, name: str, maker: Callable[..., Any], bundle: Bundle, options: Options) -> None:
        self.name = name
        with self._told("__init__"):
            self.inner = maker(bundle, options)
        check_learner(name, self.inner)

    @property
    def trained_numbers(self) -> int:
        """As the learner says."""
        with self._told("trained_numbers"):
            return int(self.inner.trained_numbers)

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """`Learner.learn`."""
        with self._told(f"learn, task {view.name}"):
            self.inner.learn(view, pictures, seed)

    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        """`Learner.answer`; the answer has the shapes and ranges that figures are made from."""
        with self._told(f"answer, task {asked.name}"):
            found = self.inner.answer(offered, asked, pictures)
        labels = sum(len(view.labels) for view in offered)
        probabilities = self._numbers(found, "probabilities", (len(pictures), labels))
        novelty = self._numbers(found, "novelty", (len(pictures),))
        totals = probabilities.sum(axis=1)
        if probabilities.min(initial=0) < 0 or np.abs(totals - 1).max(initial=0) > SUM_WITHIN:
            raise self._wrong(
                "probabilities from 0 that sum to 1 in every row",
                f"sums from {totals.min():.4g} to {totals.max():.4g} and a least of {probabilities.min():.4g}",
            )
        return Answer(np.minimum(probabilities, 1.0), novelty)

    def _numbers(self, found: Any, field: str, shape: tuple[int, ...]) -> np.ndarray:
        with self._told(f"answer, {field}"):  # such as a tensor that still has its gradient
            values = np.asarray(getattr(found, field, None))
        if values.shape != shape or values.dtype.kind not in "fiub":
            raise self._wrong(f"an Answer with {field} {shape}", f"{field} {values.shape} of {values.dtype}")
        if np.isnan(values).any():
            raise self._wrong(f"{field} that are numbers", "NaN among them")
        return values

    def _wrong(self, expected: str, found: str) -> InputError:
        return InputError(f"learner {self.name}: answer: expected {expected}, found {found}; {NEXT}")

    def arrays(self) -> Arrays:
        """`Learner.arrays`: numbers only, which a file can hold."""
        with self._told("arrays"):
            found = self.inner.arrays()
        if not isinstance(found, Mapping):
            raise InputError(
                f"learner {self.name}: arrays: expected a dict of arrays, found {type(found).__name__}; {NEXT}"
            )
        for name, array in found.items():
            if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
                kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise InputError(
                    f"learner {self.name}: arrays: expected NumPy arrays of numbers under names, found {kind} under "
                    f"{name}; {NEXT}"
                )
        return dict(found)

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """`Learner.restore`."""
        with self._told("restore"):
            self.inner.restore(arrays, learned)

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """What the learner's code raises, as one line with its place; what this program raises stays as it is. What the
        code prints goes to stderr, since stdout is the command's answer."""
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except (EdgeNusaError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise InputError(
                f"learner {self.name}: {doing}: {type(error).__name__}: {why(error)} ({Path(last.filename).name}:"
                f"{last.lineno}); EDGE_NUSA_DEBUG=1 shows the way there"
            ) from error


def check_learner(name: str, learner: Any) -> None:
    """Raises InputError where a learner lacks a method, takes other arguments, or has no `trained_numbers`."""
    lacks = [method for method in PROTOCOL if not callable(getattr(learner, method, None))]
    lacks += [] if hasattr(learner, "trained_numbers") else ["trained_numbers"]
    if lacks:
        shown = ", ".join(f"{method}({', '.join(words)})" for method, words in PROTOCOL.items())
        raise InputError(
            f"learner {name}: expected {shown} and trained_numbers, found no {', no '.join(lacks)}; {NEXT}"
        )
    for method, words in PROTOCOL.items():
        try:
            signature = inspect.signature(getattr(learner, method))
            signature.bind(*words)
        except TypeError as error:
            raise InputError(
                f"learner {name}: expected {method}({', '.join(words)}), found {method}{signature}; {NEXT}"
            ) from error
