"""Turns pictures into the views that an answer needs: trunk, and the adapted image tail where the state has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_nusa.device.asking.answer import Views
from edge_nusa.device.asking.features import Features
from edge_nusa.knowledge import head
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle


def image_tail(bundle: Bundle, merged: Mapping[str, np.ndarray], threads: int) -> Any:
    """A session of the image tail with the merged matrices; None where no image matrix differs from the bundle's."""
    if not any(name.startswith("image.") for name in merged):
        return None
    return sessions.open_session(bundle, "image_tail", threads, sessions.tail_weights(bundle, "image", merged))


def views(features: Features, tail: Any, rows: np.ndarray | None = None) -> Views:
    """The views of extracted pictures (all, or the given rows); `tail` is a session of `image_tail` or None."""
    chosen = np.arange(len(features.embedding)) if rows is None else rows
    adapted = features.embedding[chosen]
    if tail is not None and features.tokens is not None and len(chosen):
        parts = [
            tail.run(None, {"tokens": features.tokens[chosen[i : i + 16]].astype(np.float32)})[0]
            for i in range(0, len(chosen), 16)
        ]
        adapted = np.concatenate(parts)
    return Views(features.embedding[chosen], adapted, head.features(features.taps[chosen]))
