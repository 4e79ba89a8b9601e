"""What people would train instead of the product's head, on the same frozen features: with every picture of all tasks
kept, and on each task's own pictures alone.

Both are heads of all labels learned so far; how well they do where a task's own labels are offered is read off those
columns. A task that was not learned is answered by the untouched model. Letters: B pictures, F features, L labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.device.asking.answer import softmax
from edge_nusa.knowledge.fit import UNIT
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.data.views import View
from edge_nusa.research.learners.learners import Answer, Arrays, Columns, Frozen

COST = 1.0
"""C of `offline`: weight of the summed cross-entropy beside half the weights' squares (scikit-learn's default). On the
five sets apart 0.1 to 10 are alike (docs/evidence.md)."""
ITERATIONS = 300
HIDDEN, DROPOUT = 128, 0.3
RATE, EPOCHS, BATCH = 1e-3, 50, 16
"""Of `sequential`, as Frigate trains its classifiers (frigate/util/classification.py: Adam)."""


def rows_of(view: View, pictures: np.ndarray) -> Tensor:
    """(B, F) float32: the features that the product's head sees, the last of them 1."""
    return torch.from_numpy((view.features(pictures) / UNIT).astype(np.float32))


class _Softmax(ABC):
    """A head of L columns behind the gate: what both learners share."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.columns = bundle, Columns()

    @abstractmethod
    def _logits(self, rows: Tensor) -> np.ndarray:
        """(B, L) float32 of rows (B, F)."""

    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        """softmax over the offered labels' columns where all offered tasks are learned, zero-shot elsewhere."""
        columns = [column for view in offered if (column := self.columns.of(view)) is not None]
        if len(columns) < len(offered):
            return Frozen(self.bundle).answer(offered, asked, pictures)
        logits = self._logits(rows_of(asked, pictures))[:, np.concatenate(columns)]
        probabilities = softmax(logits.astype(np.float64))
        return Answer(probabilities, 1 - probabilities.max(axis=1))


class Offline(_Softmax):
    """Logistic regression from the pictures of all tasks, which are kept: what a method that keeps none can hope
    for."""

    trained_numbers = 0

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.rows: Tensor | None = None
        self.goals = np.zeros(0, np.int64)
        self._fitted: Tensor | None = None

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """Keep the pictures' features too; what is fitted to all of them is fitted when asked."""
        columns, rows = self.columns.add(view), rows_of(view, pictures)
        self.rows = rows if self.rows is None else torch.cat([self.rows, rows])
        self.goals = np.concatenate([self.goals, columns[view.classes[pictures]]])
        self._fitted, self.trained_numbers = None, rows.shape[1] * self.columns.count

    def _logits(self, rows: Tensor) -> np.ndarray:
        if self._fitted is None:
            assert self.rows is not None
            self._fitted = logistic(self.rows, torch.from_numpy(self.goals), self.columns.count)
        return (rows @ self._fitted).numpy()

    def arrays(self) -> Arrays:
        """The features and labels of every picture."""
        return {"rows": self.rows.numpy(), "goals": self.goals} if self.rows is not None else {}

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """Go on from them."""
        for view in learned:
            self.columns.add(view)
        self.rows, self.goals, self._fitted = torch.from_numpy(arrays["rows"]), arrays["goals"], None


def logistic(rows: Tensor, goals: Tensor, labels: int) -> Tensor:
    """Weights (F, L) of least COST * summed cross-entropy + half their squares. rows (B, F) float32, goals (B,)
    int64."""
    weights = torch.zeros(rows.shape[1], labels, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=ITERATIONS, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

    def closure() -> Tensor:
        solver.zero_grad()
        loss = functional.cross_entropy(rows @ weights, goals) + weights.square().sum() / (2 * COST * len(rows))
        loss.backward()
        return loss

    solver.step(closure)
    return weights.detach()


class Sequential(_Softmax):
    """A dense head trained task after task: its labels are added to what is there, and it goes on training on the new
    task's pictures, since the others are gone."""

    trained_numbers = 0

    def __init__(self, bundle: Bundle, steps: int | None = None, rate: float | None = None) -> None:
        super().__init__(bundle)
        self.steps, self.rate = steps, RATE if rate is None else rate
        self.layers: nn.Sequential | None = None

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """EPOCHS over the pictures, or `steps` batches."""
        columns, rows = self.columns.add(view), rows_of(view, pictures)
        goals = torch.from_numpy(columns[view.classes[pictures]])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = widened(self.layers, rows.shape[1], self.columns.count)
            self._train(rows, goals)
        self.trained_numbers = sum(parameter.numel() for parameter in self.layers.parameters())

    def _train(self, rows: Tensor, goals: Tensor) -> None:
        layers = self.layers
        assert layers is not None
        optimizer = torch.optim.Adam(layers.parameters(), lr=self.rate)
        layers.train()
        left = EPOCHS * -(-len(rows) // BATCH) if self.steps is None else self.steps
        while left > 0:
            for batch in torch.randperm(len(rows)).split(BATCH)[:left]:
                optimizer.zero_grad()
                functional.cross_entropy(layers(rows[batch]), goals[batch]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                left -= 1
        layers.eval()

    @torch.no_grad()
    def _logits(self, rows: Tensor) -> np.ndarray:
        assert self.layers is not None
        return np.asarray(self.layers(rows).numpy())

    def arrays(self) -> Arrays:
        """The head's weights."""
        return {name: value.numpy() for name, value in self.layers.state_dict().items()} if self.layers else {}

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """Go on from them."""
        for view in learned:
            self.columns.add(view)
        self.layers = _dense(arrays["0.weight"].shape[1], self.columns.count)
        self.layers.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
        self.layers.eval()


def _dense(features: int, labels: int) -> nn.Sequential:
    """Fresh layers, initialised as Keras does."""
    layers = nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, labels))
    for name, parameter in layers.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.xavier_uniform_(parameter)
    return layers


@torch.no_grad()
def widened(layers: nn.Sequential | None, features: int, labels: int) -> nn.Sequential:
    """Layers for `labels`, which keep what the given ones have learned; fresh ones where there are none."""
    wider = _dense(features, labels)
    if layers is not None:
        for name, kept in layers.state_dict().items():
            wider.state_dict()[name][: len(kept)] = kept
    return wider
