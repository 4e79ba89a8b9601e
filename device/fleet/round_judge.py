"""Judges a knowledge that came from the fleet before it is committed, as a learned one is judged, but without pictures.

No picture is kept on the device, so the accuracy of a round cannot be measured here, and is not; what is judged is what
can be: how much of the vocabulary still means what it meant, whether every label known before is still known or was
taken back by the fleet, and whether the head can be solved. Accuracy is the hub's user's to measure on pictures of
theirs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_nusa.device.learning import judge
from edge_nusa.errors import RefusedError
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.anchors import label_anchors
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.text_encoder import TextEncoder

NOUNS_FOR_JUDGING = 256


def with_anchors(bundle: Bundle, knowledge: Knowledge, threads: int) -> tuple[Knowledge, judge.Retention]:
    """The knowledge with the anchors of its labels by its own cores, and what became of the vocabulary."""
    text = TextEncoder(bundle, threads)
    merged = knowledge.merged(bundle, ("text",))
    frozen = text.tail({})
    adapted = text.tail(merged) if merged else frozen
    whole = replace(
        knowledge,
        frozen_anchors=label_anchors(text, frozen, knowledge.labels),
        adapted_anchors=label_anchors(text, adapted, knowledge.labels),
    )
    names, anchors = bundle.vocabulary
    rows = np.random.default_rng(0).permutation(len(names))[:NOUNS_FOR_JUDGING]
    now = text.anchors(adapted, [names[i] for i in rows], bundle.manifest.templates[0])
    none = np.zeros((0, anchors.shape[1]), np.float32)
    return whole, judge.retention(anchors[rows], now, none, none)


def check(before: Knowledge, after: Knowledge, kept: judge.Retention, taken_back: set[str]) -> None:
    """Raises RefusedError where the round loses more than a learn may. taken_back: keys of labels that it says were
    forgotten."""
    judge.check_kept(kept)
    lost = [label.name for label in before.labels if label.key not in taken_back.union(after.columns)]
    if lost:
        found = f"the round does not know {label_names.listed(lost[:5])} and does not say that it was forgotten"
        raise RefusedError(f"refused: {found}; the state is unchanged: ask the hub's user, or use --force")
    if after.labels:
        try:
            scores = after.solved.means
        except np.linalg.LinAlgError as error:
            raise RefusedError(
                f"refused: the round's head cannot be solved ({error}); the state is unchanged: ask the hub's user"
            ) from error
        if not np.isfinite(scores).all():
            raise RefusedError(
                "refused: the round's head gives no finite numbers; the state is unchanged: ask the hub's user"
            )


def old_labels_cosine(before: Knowledge, after: Knowledge) -> float | None:
    """The least cosine of an adapted anchor before and after, of the labels known in both; None where there are
    none."""
    pairs = [(column, after.columns[key]) for key, column in before.columns.items() if key in after.columns]
    if not pairs:
        return None
    old, new = zip(*pairs, strict=True)
    return round(float((before.adapted_anchors[list(old)] * after.adapted_anchors[list(new)]).sum(axis=1).min()), 4)
