"""Anchors of taught labels, each by the template it was taught with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_nusa.knowledge.knowledge import Label
from edge_nusa.model.text_encoder import TextEncoder


def label_anchors(text: TextEncoder, tail: Any, labels: Sequence[Label]) -> np.ndarray:
    """(L, D) float32 unit-norm anchors of taught labels through a session of the text tail."""
    anchors = np.zeros((len(labels), text.bundle.manifest.text.embed_dim), np.float32)
    for template in dict.fromkeys(label.template for label in labels):
        rows = [i for i, label in enumerate(labels) if label.template == template]
        anchors[rows] = text.anchors(tail, [labels[i].name for i in rows], template)
    return anchors
