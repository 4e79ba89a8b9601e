"""The SVDs of every adapted matrix, once: pool and principal values, as the bundle's `basis.safetensors`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_nusa.model.null_space import split
from edge_nusa.model.parameters import Tower, matrix_names, matrix_region
from edge_nusa.model.shapes import FrozenShape, ImageShape, TextShape


def basis_tensors(
    weights: dict[str, np.ndarray],
    shapes: dict[Tower, ImageShape | TextShape],
    pool_rank: dict[str, int],
    progress: Callable[[int, int], None],
) -> dict[str, np.ndarray]:
    """float32 left (width, R), right (width, R), tail (R,), principal (width - R,) of each adapted matrix.

    One full float64 SVD a matrix: the principal values are needed too, so a partial SVD would save nothing.
    `progress` is called with how many matrices are done and how many there are.
    """
    tensors: dict[str, np.ndarray] = {}
    done, total = 0, sum(len(matrix_names(tower, shape)) for tower, shape in shapes.items())
    for tower, shape in shapes.items():
        if isinstance(shape, FrozenShape):
            continue
        for name in matrix_names(tower, shape):
            place = matrix_region(name, shape.width)
            pool = split(weights[place.name][place.start : place.stop], pool_rank[tower])
            parts = {
                "left": pool.left_basis,
                "right": pool.right_basis,
                "tail": pool.tail_values,
                "principal": pool.principal_values,
            }
            tensors |= {
                f"{name}.{part}": np.ascontiguousarray(value, dtype=np.float32) for part, value in parts.items()
            }
            done += 1
            progress(done, total)
    return tensors
