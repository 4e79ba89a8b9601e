"""Methods that keep every picture's numbers and train nothing, each in its published form: nearest class mean, nearest
pictures, Tip-Adapter, GDA-CLIP, and linear discriminant analysis.

All answer a task that was not learned as the untouched model does. Letters: B pictures, N pictures kept, D numbers of
a picture, L labels, C offered labels. Sources: nearest class mean Mensink et al. 2013, with unit norm as SimpleShot
(arXiv 1911.04623); nearest pictures as TensorFlow.js' knn-classifier, which Teachable Machine was built on;
Tip-Adapter arXiv 2111.03930; GDA-CLIP arXiv 2402.04087; shrinkage Ledoit and Wolf 2004.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from edge_nusa.device.asking.answer import softmax
from edge_nusa.knowledge.fit import UNIT
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.data.views import View
from edge_nusa.research.learners.learners import Answer, Arrays, Columns, Frozen, anchors_of
from edge_nusa.threads import one_blas_thread

NEIGHBOURS = 3
"""k of `knn`, the default of TensorFlow.js' knn-classifier."""
TIP_ALPHA, TIP_BETA = 1.0, 5.5
"""Of Tip-Adapter, as published for ImageNet; elsewhere it searches them on validation pictures, which there are none
of here."""
GDA_ALPHA = 1.0
"""Weight of the Gaussians beside the text. Published: the best of 1e-4, 1e-3 to 1e2 on validation pictures; here the
best of them on sets apart (docs/evidence.md)."""


class Kept(ABC):
    """Keeps rows (N, D) float32 and labels of all taught pictures."""

    trained_numbers = 0

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.columns = bundle, Columns()
        self.rows = np.zeros((0, 0), np.float32)
        self.goals = np.zeros(0, np.int64)
        self._fitted: tuple[np.ndarray, np.ndarray] | None = None

    @abstractmethod
    def rows_of(self, view: View, pictures: np.ndarray) -> np.ndarray:
        """(B, D) float32: what is kept of pictures, and asked with."""

    @abstractmethod
    def probabilities(self, rows: np.ndarray, chosen: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """(B, C) of rows (B, D) among the columns `chosen` (C,), whose frozen anchors are (C, E)."""

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        """Keep the pictures' rows too."""
        columns, rows = self.columns.add(view), self.rows_of(view, pictures)
        self.rows = np.concatenate([self.rows, rows]) if len(self.rows) else rows
        self.goals, self._fitted = np.concatenate([self.goals, columns[view.classes[pictures]]]), None

    @one_blas_thread
    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        """Among the offered labels where all of their tasks are learned, zero-shot elsewhere."""
        columns = [column for view in offered if (column := self.columns.of(view)) is not None]
        if len(columns) < len(offered):
            return Frozen(self.bundle).answer(offered, asked, pictures)
        rows = self.rows_of(asked, pictures)
        found = self.probabilities(rows, np.concatenate(columns), anchors_of(offered))
        return Answer(found, 1 - found.max(axis=1))

    def arrays(self) -> Arrays:
        """Rows and labels of every picture."""
        return {"rows": self.rows, "goals": self.goals} if len(self.rows) else {}

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        """Go on from them."""
        for view in learned:
            self.columns.add(view)
        self.rows, self.goals, self._fitted = arrays["rows"], arrays["goals"], None

    def means(self) -> np.ndarray:
        """(L, D) float64 mean row of each label."""
        wide = self.rows.astype(np.float64)
        return np.stack([wide[self.goals == label].mean(axis=0) for label in range(self.columns.count)])


class _Gaussians(Kept):
    """A Gaussian for each label, of one precision."""

    def gaussians(self, rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """(B, C) x^T P m - m^T P m / 2 by one precision of all labels, made once for what is kept."""
        if self._fitted is None:
            means = self.means()
            self._fitted = means, means @ self.precision(self.rows - means[self.goals])
        means, weights = (part[chosen] for part in self._fitted)
        return np.asarray(rows @ weights.T - (weights * means).sum(axis=1) / 2)

    @abstractmethod
    def precision(self, centred: np.ndarray) -> np.ndarray:
        """(D, D) of rows (N, D) centred by label."""


def unit(rows: np.ndarray) -> np.ndarray:
    """The rows (B, D) with unit norm."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


class _Features(Kept):
    """Keeps the features of the product's head without their constant."""

    def rows_of(self, view: View, pictures: np.ndarray) -> np.ndarray:
        """(B, F - 1) float32."""
        return (view.features(pictures)[:, :-1] / UNIT).astype(np.float32)


class NearestMean(_Features):
    """The label whose mean of unit rows has the largest cosine."""

    def rows_of(self, view: View, pictures: np.ndarray) -> np.ndarray:
        """(B, F - 1) float32 of unit norm."""
        return unit(super().rows_of(view, pictures))

    def probabilities(self, rows: np.ndarray, chosen: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """softmax(logit_scale * cos), the scale being the bundle's."""
        return softmax(self.bundle.manifest.logit_scale * rows @ unit(self.means()[chosen]).T)


class NearestPictures(NearestMean):
    """The label of most of the NEIGHBOURS kept pictures with the largest cosine; of equals the nearest one's."""

    def probabilities(self, rows: np.ndarray, chosen: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Each label's share of the neighbours; pictures of other labels than the offered do not vote."""
        place = np.full(self.columns.count, -1)
        place[chosen] = np.arange(len(chosen))
        voters = np.flatnonzero(place[self.goals] >= 0)
        nearest = np.argsort(-(rows @ self.rows[voters].T), axis=1, kind="stable")[:, :NEIGHBOURS]
        votes = place[self.goals[voters]][nearest]
        shares = np.stack([(votes == label).mean(axis=1) for label in range(len(chosen))], axis=1)
        shares[np.arange(len(rows)), votes[:, 0]] += 1e-6
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


class _Embeddings(Kept):
    """Keeps the embeddings, which have unit norm."""

    def rows_of(self, view: View, pictures: np.ndarray) -> np.ndarray:
        """(B, D) float32."""
        return view.embeddings(pictures)

    def text(self, rows: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """(B, C) logit_scale * cos; the published 100 is CLIP's own logit scale."""
        return np.asarray(self.bundle.manifest.logit_scale * rows.astype(np.float64) @ anchors.T)


class TipAdapter(_Embeddings):
    """Text logits and a cache of the kept pictures: + alpha * sum of exp(-beta (1 - cos)) over a label's pictures."""

    def probabilities(self, rows: np.ndarray, chosen: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """softmax of both."""
        affinity = np.exp(-TIP_BETA * (1 - rows.astype(np.float64) @ self.rows.T))
        values = self.goals[:, None] == chosen
        return softmax(self.text(rows, anchors) + TIP_ALPHA * affinity @ values)


class Gda(_Embeddings, _Gaussians):
    """Text logits and Gaussians of one covariance: + alpha * (x^T P m - m^T P m / 2)."""

    def probabilities(self, rows: np.ndarray, chosen: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """softmax of both."""
        return softmax(self.text(rows, anchors) + GDA_ALPHA * self.gaussians(rows, chosen))

    def precision(self, centred: np.ndarray) -> np.ndarray:
        """`empirical_bayes`."""
        return empirical_bayes(centred)


def empirical_bayes(centred: np.ndarray) -> np.ndarray:
    """(D, D) D ((N - 1) S + tr(S) I)^-1, the empirical Bayes ridge estimate (Kubokawa and Srivastava 2008, as in
    GDA-CLIP), S the covariance of rows (N, D) centred by label; zeros where no label has two pictures."""
    count, size = centred.shape
    covariance = centred.T @ centred / max(count - 1, 1)
    return np.asarray(
        size * np.linalg.pinv((count - 1) * covariance + np.trace(covariance) * np.eye(size), hermitian=True)
    )


class Lda(_Features, _Gaussians):
    """Linear discriminant analysis, the covariance within labels shrunk by Ledoit and Wolf's formula."""

    def probabilities(self, rows: np.ndarray, chosen: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """softmax of the log-likelihoods."""
        return softmax(self.gaussians(rows, chosen))

    def precision(self, centred: np.ndarray) -> np.ndarray:
        """The inverse of the shrunk covariance."""
        return np.asarray(np.linalg.pinv(shrunk(centred), hermitian=True))


def shrunk(centred: np.ndarray) -> np.ndarray:
    """(D, D) (1 - a) S + a tr(S) / D I of rows (N, D) centred by label, a by Ledoit and Wolf (2004); I where no label
    has two pictures."""
    count, size = centred.shape
    covariance = centred.T @ centred / count
    mean = np.trace(covariance) / size
    if mean == 0:
        return np.eye(size)
    spread = np.square(covariance - mean * np.eye(size)).sum()
    error = (np.square(np.square(centred).sum(axis=1)).sum() / count - np.square(covariance).sum()) / count
    share = min(error / spread, 1.0) if spread > 0 else 1.0
    return np.asarray((1 - share) * covariance + share * mean * np.eye(size))
