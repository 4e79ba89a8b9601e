"""Who answers: the analytic head among learned labels, the untouched model for the others; the gate decides.

Letters: B images, L learned labels, U offered labels never learned, D embedding.
Zero-shot: softmax(logit_scale * cos(picture, frozen anchors)) over all offered labels.
Gate: open where the zero-shot argmax is a learned label (RAIL, arXiv 2406.18868), or where the picture more probably
than not shows a taught label (`edge_nusa.device.asking.known`); only then do head and adapted anchors answer, so that
pictures of other things keep the untouched model's answer. Learned labels answer as probably as the picture shows a
taught label at all; the rest is for labels offered beside them, or "something else".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_nusa.device.asking import known
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.fit import Solved
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.threads import one_blas_thread

Floats = np.ndarray


@dataclass(frozen=True)
class PictureFeatures:
    """What the trunk gave for B pictures: frozen embedding (B, D), adapted embedding (B, D) (the same where the image
    tower is frozen), features (B, F) int64 of the head."""

    frozen: Floats
    adapted: Floats
    features: Floats


@dataclass(frozen=True)
class Answers:
    """probabilities (B, L + U), learned labels first; what is missing to 1 in a row is "something else"; known (B,):
    that the picture shows any learned label, NaN where no head can tell; novelty (B,) float64
    (`edge_nusa.device.asking.known`); learned: L."""

    probabilities: Floats
    known: Floats
    novelty: Floats
    learned: int

    @property
    def unknown(self) -> Floats:
        """(B,) bool: a learned label is the most probable of the labels, but more probably it is none of them."""
        return np.asarray((self.probabilities.argmax(axis=1) < self.learned) & (self.known < 0.5))


def softmax(logits: Floats) -> Floats:
    """Row-wise, float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    exponents = np.exp(shifted)
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


class Answerer:
    """Answers for one knowledge and one list of offered labels; everything that does not depend on pictures is done
    here.

    other_frozen (U, D): frozen anchors of offered labels that were never learned; other_adapted (U, D): their anchors
    by the adapted text tower, which only a recipe without head uses; columns (L,): the learned labels offered, None for
    all.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        logit_scale: float,
        other_frozen: Floats,
        other_adapted: Floats,
        columns: Floats | None = None,
    ) -> None:
        self.knowledge, self.scale = knowledge, logit_scale
        chosen = np.arange(len(knowledge.labels)) if columns is None else columns
        self.learned = len(chosen)
        self.anchors = np.concatenate([knowledge.frozen_anchors[chosen], other_frozen])
        self.adapted_anchors = np.concatenate([knowledge.adapted_anchors[chosen], other_adapted])
        self.solved = knowledge.solved.only(chosen) if knowledge.recipe.has_head and self.learned else None
        self.sharpness = sharpness(self.solved) if self.solved is not None else 1.0

    @one_blas_thread
    def __call__(self, pictures: PictureFeatures, left_out: tuple[Floats, Floats] | None = None) -> Answers:
        """Probabilities over learned labels, then others, in that order.

        left_out: what `Solved.left_out` gives, for pictures that are in the head's sums.
        """
        learned = self.learned
        if self.solved is None:
            rows = softmax(self.scale * pictures.adapted @ self.adapted_anchors.T)
            return Answers(rows, np.full(len(rows), np.nan), np.zeros(len(rows)), learned)
        zero_shot = softmax(self.scale * pictures.frozen @ self.anchors.T)
        if left_out is None:
            whitened = self.solved.whitened(pictures.features)
            scores = self.solved.scores(whitened)
            novelty = self.solved.novelty(pictures.features, whitened, scores)
        else:
            scores, novelty = left_out
        shows = known.probability(novelty)
        is_known = shows >= 0.5
        is_open = (zero_shot.argmax(axis=1) < learned) | is_known
        chosen = self.among_learned(pictures, scores)
        answered = combined(chosen, zero_shot, learned, np.where(is_known, shows, 0.0))
        has_others = zero_shot.shape[1] > learned  # what a known picture is not, they may be
        share = np.where(is_known & has_others, 1.0, shows)
        probabilities = np.where(is_open[:, None], answered * share[:, None], zero_shot)
        return Answers(probabilities, shows, novelty, learned)

    @one_blas_thread
    def among_learned(self, pictures: PictureFeatures, head_scores: Floats) -> Floats:
        """(B, L) probabilities of the learned labels alone: head and adapted anchors as `edge_nusa.knowledge.fusion`
        mixes them."""
        text_logits = self.scale * pictures.adapted @ self.adapted_anchors[: self.learned].T
        head_logits = self.sharpness * head_scores
        return softmax(fusion.mixed(head_logits, text_logits, *fusion.best(self.knowledge.fusion)))


def sharpness(solved: Solved) -> float:
    """What the head's scores among these labels are multiplied by: `fusion.maturity`, by the geometric mean of how
    widely the labels lie."""
    return fusion.maturity(solved.counts) / float(np.exp(np.log(solved.widths).mean()))


def combined(chosen: Floats, zero_shot: Floats, learned: int, least: Floats) -> Floats:
    """(B, L + U): the learned labels share their zero-shot mass as `chosen` says, but never less than `least` (B,), nor
    than lets the best win."""
    others = zero_shot[:, learned:]
    if others.shape[1] == 0:
        return chosen
    best_other = others.max(axis=1) / np.maximum(others.sum(axis=1), 1e-12)
    needed = best_other / (best_other + chosen.max(axis=1)) + 1e-6
    mass = np.maximum(np.maximum(zero_shot[:, :learned].sum(axis=1), least), needed)[:, None]
    return np.concatenate(
        [mass * chosen, (1 - mass) * others / np.maximum(others.sum(axis=1, keepdims=True), 1e-12)], axis=1
    )
