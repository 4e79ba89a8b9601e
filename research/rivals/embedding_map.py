"""A linear map from one image tower's output to another's embedding, fitted by ridge regression on pictures without
labels.

Letters: B pictures, E width, D embedding.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from edge_nusa.model.preprocessing import Preprocessing, pixels

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Tried: times the mean square of a feature."""
HELD_OUT = 5
"""Every so many folders are held out."""
CHUNK = 32


def pictures(archive: Path, each: int) -> tuple[list[bytes], np.ndarray]:
    """The first `each` pictures of every folder of an archive, and the folders' numbers (B,)."""
    with zipfile.ZipFile(archive) as opened:
        folders: dict[str, list[str]] = {}
        for name in sorted(opened.namelist()):
            folders.setdefault(name.split("/")[0], []).append(name)
        chosen = [(number, name) for number, names in enumerate(folders.values()) for name in names[:each]]
        return [opened.read(name) for _, name in chosen], np.array([number for number, _ in chosen])


def passed(found: Sequence[bytes], spec: Preprocessing, outputs: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What a tower makes of all pictures, (B, ...), some at a time."""

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, len(found), CHUNK):
            opened = [Image.open(io.BytesIO(data)).convert("RGB") for data in found[start : start + CHUNK]]
            yield outputs(np.stack([pixels(picture, spec) for picture in opened]))

    return np.concatenate(list(parts()))


def fitted(rows: np.ndarray, goals: np.ndarray, share: float) -> np.ndarray:
    """The ridge map (E, D) from class tokens (B, E) to embeddings (B, D)."""
    rows, goals = rows.astype(np.float64), goals.astype(np.float64)
    gram = rows.T @ rows
    penalty = share * np.trace(gram) / len(gram)
    return np.asarray(np.linalg.solve(gram + penalty * np.eye(len(gram)), rows.T @ goals))


def cosine(rows: np.ndarray, goals: np.ndarray) -> float:
    """The mean cosine of rows with goals of unit norm."""
    return float(((rows / np.linalg.norm(rows, axis=1, keepdims=True)) * goals).sum(axis=1).mean())


def best_map(rows: np.ndarray, goals: np.ndarray, folders: np.ndarray) -> tuple[np.ndarray, dict[float, float]]:
    """The map of the ridge with the best cosine on folders held out, fitted to all; and each ridge's cosine."""
    held_out = folders % HELD_OUT == 0
    cosines = {
        share: cosine(rows[held_out] @ fitted(rows[~held_out], goals[~held_out], share), goals[held_out])
        for share in RIDGES
    }
    return fitted(rows, goals, max(cosines, key=lambda share: cosines[share])), cosines
